/* What must have the same bits everywhere, written to standard output.  It needs nothing but the C
 * library, so that it can be built for any processor and run by an emulator.
 *
 * usage: exact KIND THREADS [WAY...]      $RODNIK_ISA caps the instruction set
 *   kinds: operations train small inference
 *   ways:  dot widened (products of bf16)  micro=1 recompute (training)
 *          whole single pieces together neighbours (feeding of sessions)
 * Exit status 77: this processor lacks the instruction set or the dot instruction. */
#include "exact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

void must(status result, const struct error *error)
{
    if (result == OK)
        return;
    fprintf(stderr, "exact: %s\n", error->text);
    exit(1);
}

void *take(struct arena *arena, size_t count, size_t size)
{
    struct error error = {0};
    void *block = arena_alloc(arena, count, size, &error);
    must(error.code, &error);
    return block;
}

/* ---- output ---- */

static struct digest { /* FNV-1a of a section, to tell where two runs part */
    const char *name;
    uint64_t value;
} digest;

void section(const char *name)
{
    if (digest.name)
        fprintf(stderr, "%s %016llx\n", digest.name, (unsigned long long)digest.value);
    digest = (struct digest){name, 0xcbf29ce484222325u};
}

static void emit_bytes(uint32_t bits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)(bits >> 8 * i);
        digest.value = (digest.value ^ byte) * 0x100000001b3u;
        if (putchar(byte) == EOF)
            exit(1);
    }
}

void emit(const float *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        emit_bytes((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc00000u : bits, 4);
    }
}

void emit_halves(const uint16_t *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        emit_bytes((x[i] & 0x7fffu) > 0x7f80u ? 0x7fc0u : x[i], 2);
}

void emit_as(const void *x, enum dtype type, size_t count)
{
    if (type == DTYPE_BF16)
        emit_halves(x, count);
    else
        emit(x, count);
}

/* ---- input ---- */

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Any bits but what is not a number: all sizes, and often such whose products are near the smallest
 * normal number. */
static uint32_t any_bits(uint64_t draw)
{
    static const uint32_t hard[] = {0x00000000, 0x80000000, 0x00000001, 0x807fffff,
                                    0x00400000, 0x00800000, 0x80800001, 0x00ffffff,
                                    0x3f800000, 0x3f7fffff, 0xbf800001, 0x7f800000,
                                    0xff800000, 0x7f7fffff, 0x33800000, 0x5f000000};
    uint32_t bits = (uint32_t)draw;
    if (draw >> 60 == 0)
        return hard[draw >> 32 & 15];
    if (draw >> 60 < 6)
        return (bits & 0x80ffffffu) | (uint32_t)(0x20 + (draw >> 40 & 0x3f) / 32) << 24;
    return (bits & 0x7f800000u) == 0x7f800000u ? bits & 0xbfffffffu : bits;
}

/* Numbers of few bits, whose products end in the middle between two floats; upper halves and a
 * half, the middle between two bf16; tiny numbers, denormals, powers of two. */
static float tie(uint64_t draw, float even)
{
    uint32_t bits = bits_of(even), sign = bits & 0x80000000u;
    switch (draw >> 56 & 7) {
    case 0:
        return float_of((bits & 0xfffff800u) | 0x800u);
    case 1:
        return float_of((bits & 0xffff0000u) | 0x8000u);
    case 2:
        return float_of(sign | (uint32_t)(draw & 0x007fffff)); /* denormal, or zero */
    case 3:
        return float_of(sign | 0x00800000u | (uint32_t)(draw & 0x01000003));
    case 4:
        return float_of(sign | (uint32_t)(0x30 + (draw & 31)) << 24);
    default:
        return even;
    }
}

void fill(float *x, size_t count, enum numbers numbers, uint64_t stream)
{
    static const float odd[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf("")};
    const struct random_key key = {12 + (uint64_t)numbers, RANDOM_TEST, stream};
    for (size_t i = 0; i < count; i++) {
        uint64_t draw = random_u64(key, 2 * i);
        float even = random_unit(key, 2 * i + 1) * 2 - 1;
        x[i] = numbers == NUMBERS_EVEN   ? even
               : numbers == NUMBERS_HARD ? float_of(any_bits(draw))
                                         : tie(draw, even);
        if (numbers == NUMBERS_ODD && draw % 499 < 3)
            x[i] = odd[draw % 499];
    }
}

/* ---- the command ---- */

static bool set_feeding(struct ways *ways, const char *word)
{
    static const char *const names[] = {"whole", "single", "pieces", "together", "neighbours"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(word, names[i]) == 0) {
            ways->feeding = (enum feeding)i;
            return true;
        }
    return false;
}

static void set_way(struct exact *exact, const char *word)
{
    if (strcmp(word, "dot") == 0) {
        if (!exact->compute->gemm->tile_dot)
            exit(77);
        exact->compute->dot_is_faster = true;
    } else if (strcmp(word, "widened") == 0)
        exact->compute->dot_is_faster = false;
    else if (strcmp(word, "micro=1") == 0)
        exact->ways.micro_rows = 1;
    else if (strcmp(word, "recompute") == 0)
        exact->ways.recompute = true;
    else if (!set_feeding(&exact->ways, word)) {
        fprintf(stderr, "exact: there is no way '%s'\n", word);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*emit)(const struct exact *exact);
    } kinds[] = {{"operations", emit_operations},
                 {"train", emit_training},
                 {"small", emit_small},
                 {"inference", emit_inference}};
    struct exact exact = {.ways = {.micro_rows = 2}};
    struct error error = {0};
    int found = 2;
    must(arena_create(&exact.arena, 0, &error), &error);
    must(compute_create(&exact.compute, argc > 2 ? atoi(argv[2]) : 1, &error), &error);
    const char *wanted = getenv("RODNIK_ISA");
    if (wanted && *wanted && strcmp(isa_name(compute_isa(exact.compute)), wanted) != 0)
        return 77;
    for (int i = 3; i < argc; i++)
        set_way(&exact, argv[i]);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (argc > 1 && strcmp(argv[1], kinds[i].name) == 0) {
            kinds[i].emit(&exact);
            section("end");
            found = 0;
        }
    if (found)
        fprintf(stderr, "usage: exact operations|train|small|inference THREADS [WAY...]\n");
    compute_destroy(exact.compute);
    arena_destroy(exact.arena);
    return fflush(stdout) == 0 ? found : 1;
}
