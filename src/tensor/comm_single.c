/* One process: built without MPI. */
#include "tensor/comm.h"

#include <stdlib.h>

struct comm {
    char nothing;
};

status comm_start(const struct comm **out, const char *advice, struct error *error)
{
    ASSERT(out && advice && error);
    static const struct comm comm;
    int launched = comm_launched();
    if (launched > 1)
        return fail(error, ERR_USAGE,
                    "%d processes were started together, but this program is built for one; `make "
                    "MPI=1` builds build/variants/mpi/rodnik, which build/rodnik then starts",
                    launched);
    *out = &comm;
    return OK;
}

int comm_launched(void)
{
    /* Open MPI; MPICH, Intel MPI and srun with PMI */
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        if (text)
            return atoi(text);
    }
    /* srun with PMIx gives a rank only; without a rank the tasks of a step are each their own. */
    const char *tasks = getenv("SLURM_STEP_NUM_TASKS");
    return tasks && (getenv("PMIX_RANK") || getenv("PMI_RANK")) ? atoi(tasks) : 1;
}

void comm_stop(const struct comm *comm)
{
    (void)comm;
}

void comm_abort(const struct comm *comm, int exit_status)
{
    (void)comm;
    (void)exit_status;
}

int comm_rank(const struct comm *comm)
{
    (void)comm;
    return 0;
}

int comm_count(const struct comm *comm)
{
    (void)comm;
    return 1;
}

int comm_local(const struct comm *comm)
{
    (void)comm;
    return 1;
}

void comm_sum_begin(const struct comm *comm, const struct comm_map *map,
                    const struct compute *compute, float *data, size_t begin, size_t end)
{
    (void)comm;
    (void)map;
    (void)compute;
    (void)data;
    (void)begin;
    (void)end;
}

void comm_share_begin(const struct comm *comm, const struct comm_map *map, void *data,
                      size_t item_bytes, size_t begin, size_t end)
{
    (void)comm;
    (void)map;
    (void)data;
    (void)item_bytes;
    (void)begin;
    (void)end;
}

void comm_wait(const struct comm *comm)
{
    (void)comm;
}

void comm_broadcast(const struct comm *comm, void *data, size_t bytes)
{
    (void)comm;
    (void)data;
    (void)bytes;
}

void comm_collect(const struct comm *comm, int owner, void *data, size_t bytes)
{
    (void)comm;
    (void)owner;
    (void)data;
    (void)bytes;
}
