/* Who must be alive for the job to go on: processes of this machine and the launcher, seen by their
 * process ids; peers anywhere, heard by a message a second.  For comm_mpi.c, in its thread. */
#ifndef RODNIK_TENSOR_COMM_MPI_WATCH_H
#define RODNIK_TENSOR_COMM_MPI_WATCH_H

#include "base/arena.h"

struct watch;

/* How long a peer may be silent.  ERR_USAGE when RODNIK_PEER_SECONDS is no number from 2 to
 * 86400. */
MUST_USE status watch_silence_s(double *out, struct error *error);
/* All processes together, after MPI's start; lives in the arena.  advice outlives it. */
MUST_USE status watch_create(struct watch **out, struct arena *arena, const char *advice,
                             double silence_s, struct error *error);
/* Ends a job that has no watch yet: says the sentence; without one, leaves it to who has it for
 * some seconds.  Does not return. */
void watch_end_unstarted(const char *sentence);
/* To be called all the time by the thread that calls MPI: sends and receives what tells that a
 * process lives.  A thread of the watch looks; when somebody is missing it says so and ends the
 * job. */
void watch_step(struct watch *watch);
/* Ends the job at once without a sentence: who calls has said why.  Does not return. */
void watch_end_told(struct watch *watch, int exit_status);
/* Ends the job because of a failure of MPI.  Does not return. */
void watch_end_failed(struct watch *watch, const char *what);
/* All processes together: from now on they may end. */
void watch_close(struct watch *watch);

#endif
