/* Arenas: the only way memory is taken.  Three lifetimes (process, run or session, step or
 * request), each an arena that is passed in; everything in it is released together by arena_reset
 * or arena_destroy. Not for buffers that grow and shrink: base/buffer.h.  An arena belongs to one
 * thread at a time. */
#ifndef RODNIK_BASE_ARENA_H
#define RODNIK_BASE_ARENA_H

#include "base/error.h"

struct arena;

enum { ARENA_ALIGN = 64 }; /* every block starts on a cache line */

/* Creates an empty arena that may hold at most `size_max_bytes` (0: no limit of its own). */
MUST_USE status arena_create(struct arena **out, size_t size_max_bytes, struct error *error);
/* Releases all memory; NULL is allowed. */
void arena_destroy(struct arena *arena);
/* Forgets all blocks, keeps one chunk for reuse. */
void arena_reset(struct arena *arena);

/* Returns count * size zeroed bytes (aligned to ARENA_ALIGN), or NULL with `error` filled
 * (ERR_MEMORY, ERR_LIMIT; overflow of the product is ERR_LIMIT).  Blocks of 2 MiB and more are
 * mapped on their own, on huge pages where the system has them. */
MUST_USE void *arena_alloc(struct arena *arena, size_t count, size_t size, struct error *error);
MUST_USE char *arena_string(struct arena *arena, const char *text, struct error *error);
MUST_USE char *arena_format(struct arena *arena, struct error *error, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Bytes handed out since the last reset. */
size_t arena_used_bytes(const struct arena *arena);

/* A scope: everything allocated after arena_mark is forgotten by arena_rewind. */
struct arena_mark {
    void *chunk;
    size_t chunk_used, used;
};
struct arena_mark arena_mark(const struct arena *arena);
void arena_rewind(struct arena *arena, struct arena_mark mark);

/* Takes `count` elements of *pointer's type, or returns the failure from the calling function:
 *     struct x *list;
 *     TRY_ALLOC(list, arena, count, error); */
#define TRY_ALLOC(pointer, arena, count, error)                                                    \
    do {                                                                                           \
        (pointer) = arena_alloc((arena), (count), sizeof *(pointer), (error));                     \
        if (!(pointer))                                                                            \
            return (error)->code ? (error)->code : ERR_MEMORY;                                     \
    } while (0)

/* Fault injection for tests: the nth allocation of the process from now on fails (0: never). */
void memory_fail_after(size_t nth);

/* The three system calls of memory, for containers inside base/ and for libraries that want hooks.
 */
MUST_USE void *memory_take(size_t size_bytes);
MUST_USE void *memory_resize(void *block, size_t size_bytes);
void memory_give(void *block);

#endif
