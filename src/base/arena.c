#include "base/arena.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CHUNK_BYTES = 256 << 10, HUGE_BYTES = 2 << 20 };

/* A chunk's header takes one alignment unit; its blocks follow.  Chunks form a stack: the newest
 * first. */
struct chunk {
    struct chunk *older;
    size_t size, used; /* of the bytes after the header */
    size_t mapped;     /* bytes mapped, 0 when it came from memory_take */
    void *base;        /* what to unmap or give back */
};

struct arena {
    struct chunk *newest;
    size_t size_max, used;
};

/* ---- the system's memory, with faults for tests ---- */

static atomic_size_t *fail_counter(void)
{
    static atomic_size_t counter;
    return &counter;
}

void memory_fail_after(size_t nth)
{
    atomic_store(fail_counter(), nth);
}

static bool fails_now(void)
{
    atomic_size_t *counter = fail_counter();
    size_t left = atomic_load_explicit(counter, memory_order_relaxed);
    if (left == 0)
        return false;
    while (left && !atomic_compare_exchange_weak(counter, &left, left - 1))
        ;
    return left == 1;
}

void *memory_take(size_t size_bytes)
{
    return fails_now() ? NULL : malloc(size_bytes ? size_bytes : 1);
}

void *memory_resize(void *block, size_t size_bytes)
{
    return fails_now() ? NULL : realloc(block, size_bytes ? size_bytes : 1);
}

void memory_give(void *block)
{
    free(block);
}

/* ---- chunks ---- */

static size_t align_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

/* The data of a mapped chunk start on a huge page; its header stands before it. */
static struct chunk *chunk_map(size_t size)
{
    size_t mapped = align_up(size, HUGE_BYTES) + 2 * (size_t)HUGE_BYTES;
    if (fails_now())
        return NULL;
    void *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    uintptr_t data = align_up((uintptr_t)base + ARENA_ALIGN, HUGE_BYTES);
    madvise((void *)data, align_up(size, HUGE_BYTES), MADV_HUGEPAGE);
    struct chunk *chunk = (struct chunk *)(data - ARENA_ALIGN);
    *chunk = (struct chunk){.size = size, .mapped = mapped, .base = base};
    return chunk;
}

static struct chunk *chunk_create(size_t size)
{
    if (size >= HUGE_BYTES)
        return chunk_map(size);
    void *base = memory_take(size + 2 * ARENA_ALIGN);
    if (!base)
        return NULL;
    uintptr_t start = align_up((uintptr_t)base, ARENA_ALIGN);
    struct chunk *chunk = (struct chunk *)start;
    *chunk = (struct chunk){.size = size, .base = base};
    return chunk;
}

static void chunk_destroy(struct chunk *chunk)
{
    if (chunk->mapped)
        munmap(chunk->base, chunk->mapped);
    else
        memory_give(chunk->base);
}

static char *chunk_data(struct chunk *chunk)
{
    return (char *)chunk + ARENA_ALIGN;
}

_Static_assert(sizeof(struct chunk) <= ARENA_ALIGN, "the header fits its place");

/* ---- arenas ---- */

status arena_create(struct arena **out, size_t size_max_bytes, struct error *error)
{
    ASSERT(out && error);
    struct arena *arena = memory_take(sizeof *arena);
    if (!arena)
        return fail(error, ERR_MEMORY, "no memory for an arena");
    *arena = (struct arena){.size_max = size_max_bytes ? size_max_bytes : SIZE_MAX};
    *out = arena;
    return OK;
}

void arena_destroy(struct arena *arena)
{
    if (!arena)
        return;
    for (struct chunk *chunk = arena->newest, *older; chunk; chunk = older) {
        older = chunk->older;
        chunk_destroy(chunk);
    }
    memory_give(arena);
}

static void *chunk_take(struct chunk *chunk, size_t size)
{
    char *block = chunk_data(chunk) + chunk->used;
    chunk->used += size;
    if (!chunk->mapped) /* fresh mappings are zero already */
        memset(block, 0, size);
    return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size, struct error *error)
{
    ASSERT(arena && error);
    size_t bytes;
    /* The last block within the limit may pass it by its alignment. */
    size_t left = arena->used < arena->size_max ? arena->size_max - arena->used : 0;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2 || bytes > left) {
        (void)!fail(error, ERR_LIMIT, "%zu elements of %zu bytes exceed the limit of %zu bytes",
                    count, size, arena->size_max);
        return NULL;
    }
    bytes = align_up(bytes ? bytes : 1, ARENA_ALIGN);
    struct chunk *chunk = arena->newest;
    if (!chunk || chunk->mapped || chunk->size - chunk->used < bytes) {
        chunk = chunk_create(bytes >= HUGE_BYTES || bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES);
        if (!chunk) {
            (void)!fail(error, ERR_MEMORY, "the system has no %zu bytes of memory left", bytes);
            return NULL;
        }
        chunk->older = arena->newest;
        arena->newest = chunk;
    }
    arena->used += bytes;
    return chunk_take(chunk, bytes);
}

char *arena_string(struct arena *arena, const char *text, struct error *error)
{
    size_t len = strlen(text);
    char *copy = arena_alloc(arena, len + 1, 1, error);
    return copy ? memcpy(copy, text, len + 1) : NULL;
}

char *arena_format(struct arena *arena, struct error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ASSERT(len >= 0);
    char *text = arena_alloc(arena, (size_t)len + 1, 1, error);
    if (!text)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)len + 1, format, arguments);
    va_end(arguments);
    return text;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return arena->used;
}

struct arena_mark arena_mark(const struct arena *arena)
{
    return (struct arena_mark){arena->newest, arena->newest ? arena->newest->used : 0, arena->used};
}

void arena_rewind(struct arena *arena, struct arena_mark mark)
{
    while (arena->newest && arena->newest != mark.chunk) {
        struct chunk *older = arena->newest->older;
        chunk_destroy(arena->newest);
        arena->newest = older;
    }
    if (arena->newest)
        arena->newest->used = mark.chunk_used;
    arena->used = mark.used;
}

void arena_reset(struct arena *arena)
{
    struct chunk *kept = NULL;
    for (struct chunk *chunk = arena->newest, *older; chunk; chunk = older) {
        older = chunk->older;
        if (!kept && !chunk->mapped) {
            kept = chunk;
            continue;
        }
        chunk_destroy(chunk);
    }
    if (kept)
        *kept = (struct chunk){.size = kept->size, .base = kept->base};
    arena->newest = kept;
    arena->used = 0;
}
