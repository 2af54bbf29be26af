/* Takes rights away from the calling process for good: a parser of hostile input then computes, and
 * can neither open files nor reach the network nor start programs (seccomp, Landlock).  Not for
 * limits of time, which the parent keeps: base/sandbox.h.  No state; call it with one thread. */
#ifndef RODNIK_BASE_CONFINE_H
#define RODNIK_BASE_CONFINE_H

#include "base/error.h"

enum confinement {
    CONFINED_FULLY,            /* seccomp and Landlock */
    CONFINED_WITHOUT_LANDLOCK, /* the kernel has none: seccomp alone refuses every open */
    CONFINED_NOT /* the kernel has no seccomp filters: limits of memory and time only */
};
/* What this kernel can do. */
enum confinement confinement_possible(void);
/* A sentence for people that says what lacks; NULL where nothing does. */
const char *confinement_notice(enum confinement confinement);

/* Only reading and writing open descriptors, memory and the clock stay; every other system call
 * fails with EPERM.  At most memory_bytes more than now can be taken. */
MUST_USE status confine_to_computing(uint64_t memory_bytes, struct error *error);

/* For an external program that is started next: files of the system may be read and run, nothing
 * written, no socket made, no other process traced. */
MUST_USE status confine_to_reading_system(uint64_t memory_bytes, struct error *error);

#endif
