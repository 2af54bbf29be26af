/* Processes started by mpirun. */
#include "tensor/comm.h"

#include <limits.h>
#include <mpi.h>

#include "base/arena.h"

struct comm {
    int rank, count, local;
};

/* A message is a piece of the data, so that lengths fit and a sum follows while they are warm. */
enum { PIECE_FLOATS = 2 << 20, TAG_SUM = 1, TAG_VALUE = 2 };

status comm_start(const struct comm **out, struct error *error)
{
    ASSERT(out && error);
    struct comm *comm = memory_take(sizeof *comm);
    int given;
    MPI_Comm machine;
    if (!comm)
        return fail(error, ERR_MEMORY, "no memory for the processes' names");
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS ||
        given < MPI_THREAD_FUNNELED) {
        memory_give(comm);
        return fail(error, ERR_IO, "MPI does not start");
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm->count);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_size(machine, &comm->local);
    MPI_Comm_free(&machine);
    *out = comm;
    return OK;
}

void comm_stop(const struct comm *comm)
{
    if (!comm)
        return;
    MPI_Finalize();
    memory_give((void *)(uintptr_t)comm);
}

void comm_abort(const struct comm *comm, int exit_status)
{
    if (comm && comm->count > 1)
        MPI_Abort(MPI_COMM_WORLD, exit_status);
}

int comm_rank(const struct comm *comm)
{
    return comm->rank;
}

int comm_count(const struct comm *comm)
{
    return comm->count;
}

int comm_local(const struct comm *comm)
{
    return comm->local;
}

void comm_broadcast(const struct comm *comm, void *data, size_t bytes)
{
    ASSERT(comm && (data || !bytes));
    for (size_t at = 0; at < bytes && comm->count > 1; at += INT_MAX) {
        size_t piece = bytes - at < INT_MAX ? bytes - at : INT_MAX;
        MPI_Bcast((char *)data + at, (int)piece, MPI_BYTE, 0, MPI_COMM_WORLD);
    }
}

static void exchange(int partner, int tag, const float *data, float *received, size_t count)
{
    MPI_Sendrecv(data, (int)count, MPI_FLOAT, partner, tag, received, (int)count, MPI_FLOAT,
                 partner, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

float comm_tree_sum(const struct comm *comm, struct compute *compute, float *data, size_t count,
                    float *received, float value)
{
    ASSERT(comm && compute && data && received && (comm->count & (comm->count - 1)) == 0);
    for (int distance = 1; distance < comm->count; distance *= 2) {
        int partner = comm->rank ^ distance;
        float other;
        for (size_t at = 0; at < count; at += PIECE_FLOATS) {
            size_t piece = count - at < PIECE_FLOATS ? count - at : PIECE_FLOATS;
            exchange(partner, TAG_SUM, data + at, received + at, piece);
            add_arrays(compute, data + at, data + at, received + at, piece);
        }
        exchange(partner, TAG_VALUE, &value, &other, 1);
        value = value + other; /* the same bits on both sides: addition commutes */
    }
    return value;
}
