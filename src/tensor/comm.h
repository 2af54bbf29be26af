/* Processes that train together, on one machine or many.  Built with MPI=1 they are those that
 * mpirun started; otherwise there is one.  What they exchange has the same bits for any number of
 * them: sums go by one fixed tree, never by the library's reductions, whose order depends on the
 * number.  A failure of the connection ends all of them.  Called by one thread. */
#ifndef RODNIK_TENSOR_COMM_H
#define RODNIK_TENSOR_COMM_H

#include "tensor/ops.h"

struct comm;

/* Once in a process. */
MUST_USE status comm_start(const struct comm **out, struct error *error);
void comm_stop(const struct comm *comm);
/* Ends every process with this exit status, at once, when there are others; else returns. */
void comm_abort(const struct comm *comm, int exit_status);

int comm_rank(const struct comm *comm);  /* 0: the one that leads */
int comm_count(const struct comm *comm); /* of all processes */
int comm_local(const struct comm *comm); /* of those on this machine */

/* Everybody's data become those of rank 0. */
void comm_broadcast(const struct comm *comm, void *data, size_t bytes);
/* Leaves in everybody's data [count] the sum of all by the balanced tree over ranks, left + right;
 * `count` of processes is a power of two.  received: [count] of scratch.  Returns the sum of the
 * `value`s by the same tree. */
float comm_tree_sum(const struct comm *comm, struct compute *compute, float *data, size_t count,
                    float *received, float value);

#endif
