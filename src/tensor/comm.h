/* Processes that train together, on one machine or many.  Built with MPI=1 they are those that
 * mpirun started; otherwise there is one.  What they exchange has the same bits for any number of
 * them: sums go by one fixed tree, never by the library's reductions, whose order depends on the
 * number.
 *
 * Exchanges that are begun go on beside the caller's work, in a thread of their own, until
 * comm_wait.  All processes call the same functions in the same order.  A process that ends, a
 * launcher that ends, or a peer that is silent for RODNIK_PEER_SECONDS (30) ends every process,
 * with one sentence on standard error.  Called by one thread. */
#ifndef RODNIK_TENSOR_COMM_H
#define RODNIK_TENSOR_COMM_H

#include "tensor/ops.h"

struct comm;

/* Once in a process.  Where processes of one machine may run on the same processors, each takes its
 * share of them.  advice: what to do when the job is ended by a failure, for that sentence. */
MUST_USE status comm_start(const struct comm **out, const char *advice, struct error *error);
void comm_stop(const struct comm *comm);
/* Ends every process with this exit status, at once, when there are others; else returns. */
void comm_abort(const struct comm *comm, int exit_status);

/* How many processes a launcher started together of a program built without MPI, which can't join
 * them; else 1. */
int comm_launched(void);

int comm_rank(const struct comm *comm);  /* 0: the one that leads */
int comm_count(const struct comm *comm); /* of all processes */
int comm_local(const struct comm *comm); /* of those on this machine, this one too */

/* Who owns what of an array: part p is its items [start[p], start[p + 1]). */
struct comm_map {
    size_t parts;
    const size_t *start; /* [parts + 1], ascending from 0 */
    const int *owner;    /* [parts] */
};

/* Begins to leave in every owner's part of data[begin, end) the sum of all processes' by the
 * balanced tree over ranks, left + right; what others own is overwritten.  A power of two
 * processes.  Of `compute` only the choice of the addition is used. */
void comm_sum_begin(const struct comm *comm, const struct comm_map *map,
                    const struct compute *compute, float *data, size_t begin, size_t end);
/* Begins to give everybody the owners' items [begin, end) of data, of item_bytes each.  A power of
 * two processes. */
void comm_share_begin(const struct comm *comm, const struct comm_map *map, void *data,
                      size_t item_bytes, size_t begin, size_t end);
/* Until it returns, data, maps and compute of what was begun are the exchange's. */
void comm_wait(const struct comm *comm);

/* Everybody's data become those of rank 0.  Any number of processes. */
void comm_broadcast(const struct comm *comm, void *data, size_t bytes);
/* Rank 0's data become the owner's; the others do nothing. */
void comm_collect(const struct comm *comm, int owner, void *data, size_t bytes);

#endif
