/* Matrix products, one instruction set: packing of panels, tiles in registers, few rows against
 * packed panels. */
#include "tensor/tensor_internal.h"

#include "tensor/vector.h"
#include "tensor/vector_turn.h"

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define INLINE static inline __attribute__((always_inline))

/* clang-format off: one operation a line */
#if KERNEL_ISA >= 2
enum { TILE_LANES = 16, TILE_VECTORS = 3, TILE_ROWS = 8 };
typedef __m512 tile_vector;
INLINE tile_vector tile_load(const float *x)
{
    return _mm512_loadu_ps(x);
}
INLINE void tile_store(float *x, tile_vector v)
{
    _mm512_storeu_ps(x, v);
}
INLINE tile_vector tile_set(float x)
{
    return _mm512_set1_ps(x);
}
INLINE tile_vector tile_fma(tile_vector a, tile_vector b, tile_vector c)
{
    return _mm512_fmadd_ps(a, b, c);
}
#elif KERNEL_ISA == 1
enum { TILE_LANES = 8, TILE_VECTORS = 2, TILE_ROWS = 6 };
typedef __m256 tile_vector;
INLINE tile_vector tile_load(const float *x)
{
    return _mm256_loadu_ps(x);
}
INLINE void tile_store(float *x, tile_vector v)
{
    _mm256_storeu_ps(x, v);
}
INLINE tile_vector tile_set(float x)
{
    return _mm256_set1_ps(x);
}
INLINE tile_vector tile_fma(tile_vector a, tile_vector b, tile_vector c)
{
    return _mm256_fmadd_ps(a, b, c);
}
#else
enum { TILE_LANES = 1, TILE_VECTORS = 4, TILE_ROWS = 3 };
typedef float tile_vector;
INLINE tile_vector tile_load(const float *x)
{
    return *x;
}
INLINE void tile_store(float *x, tile_vector v)
{
    *x = v;
}
INLINE tile_vector tile_set(float x)
{
    return x;
}
INLINE tile_vector tile_fma(tile_vector a, tile_vector b, tile_vector c)
{
    return flushed_fma(a, b, c);
}
#endif
/* clang-format on */
enum { TILE_COLUMNS = TILE_LANES * TILE_VECTORS, FETCH_STEPS = 4 };
/* A panel of columns stays in the first-level cache beside one of rows; where it is too wide for
 * that, in the second-level one.  Measured: docs/notebook.md. */
enum { SLAB_SLOTS_MAX = KERNEL_ISA >= 2 ? 384 : 256 };

/* ---- tiles ---- */

#if KERNEL_ISA == 3
INLINE tile_vector tile_dot_step(tile_vector acc, tile_vector x, tile_vector b)
{
    return _mm512_dpbf16_ps(acc, (__m512bh)x, (__m512bh)b);
}
#else
#define tile_dot_step(acc, x, b) (acc)
#endif

struct accumulators {
    tile_vector at[TILE_ROWS][TILE_VECTORS];
};

INLINE void tile_steps(struct accumulators *acc, const struct tile *tile, size_t begin, size_t end,
                       const size_t vectors, const bool dot)
{
    const float *a = (const float *)(const void *)tile->a + begin * TILE_ROWS;
    const float *b = (const float *)(const void *)tile->b + begin * TILE_COLUMNS;
    for (size_t slot = begin; slot < end; slot++, a += TILE_ROWS, b += TILE_COLUMNS) {
        tile_vector columns[TILE_VECTORS];
        UNROLL
        for (size_t v = 0; v < vectors; v++)
            columns[v] = tile_load(b + v * TILE_LANES);
        UNROLL
        for (size_t i = 0; i < TILE_ROWS; i++) {
            tile_vector x = tile_set(a[i]);
            UNROLL
            for (size_t v = 0; v < vectors; v++)
                acc->at[i][v] = dot ? tile_dot_step(acc->at[i][v], x, columns[v])
                                    : tile_fma(x, columns[v], acc->at[i][v]);
        }
    }
}

/* A whole number of rows and vectors.  On the way memory that is wanted next is fetched, a line
 * every few steps; where the next tile's results stand, at the end, or panels would drive them out
 * of the first-level cache again. */
INLINE void tile_body(const struct tile *tile, const size_t vectors, const bool dot)
{
    struct accumulators acc;
    UNROLL
    for (size_t i = 0; i < TILE_ROWS; i++)
        UNROLL
    for (size_t v = 0; v < vectors; v++)
        acc.at[i][v] =
            tile->load ? tile_load(tile->c + i * tile->c_stride + v * TILE_LANES) : tile_set(0);
    size_t slot = 0;
    for (size_t i = 0; i < tile->fetches && slot + FETCH_STEPS <= tile->slots; i++) {
        __builtin_prefetch(tile->fetch[i], 0, 2);
        tile_steps(&acc, tile, slot, slot + FETCH_STEPS, vectors, dot);
        slot += FETCH_STEPS;
    }
    const size_t last = TILE_ROWS * vectors * FETCH_STEPS;
    if (slot + last < tile->slots) {
        tile_steps(&acc, tile, slot, tile->slots - last, vectors, dot);
        slot = tile->slots - last;
    }
    for (size_t i = 0; i < TILE_ROWS; i++)
        for (size_t v = 0; v < vectors && slot + FETCH_STEPS <= tile->slots; v++) {
            __builtin_prefetch(tile->next_c + i * tile->c_stride + v * TILE_LANES, 1);
            tile_steps(&acc, tile, slot, slot + FETCH_STEPS, vectors, dot);
            slot += FETCH_STEPS;
        }
    tile_steps(&acc, tile, slot, tile->slots, vectors, dot);
    UNROLL
    for (size_t i = 0; i < TILE_ROWS; i++)
        UNROLL
    for (size_t v = 0; v < vectors; v++)
        tile_store(tile->c + i * tile->c_stride + v * TILE_LANES, acc.at[i][v]);
}

/* A switch over constant widths, so that every body keeps its accumulators in registers. */
_Static_assert(TILE_VECTORS <= 4, "the switch below lists every width");
#define WIDTH_CASE(n, dot)                                                                         \
    case n:                                                                                        \
        tile_body(tile, n <= TILE_VECTORS ? n : TILE_VECTORS, dot);                                \
        break;
#define WIDTH_SWITCH(dot)                                                                          \
    switch ((tile->columns + TILE_LANES - 1) / TILE_LANES) {                                       \
        WIDTH_CASE(1, dot)                                                                         \
        WIDTH_CASE(2, dot)                                                                         \
        WIDTH_CASE(3, dot)                                                                         \
        WIDTH_CASE(4, dot)                                                                         \
    default:                                                                                       \
        break;                                                                                     \
    }

static void whole_tile(const struct tile *tile)
{
    WIDTH_SWITCH(false)
}

/* A tile at an edge works on a copy. */
static void edge_tile(const struct tile *tile, void (*multiply)(const struct tile *tile))
{
    float copy[TILE_ROWS * TILE_COLUMNS];
    struct tile whole = *tile;
    whole.c = copy;
    whole.next_c = copy;
    whole.c_stride = TILE_COLUMNS;
    memset(copy, 0, sizeof copy);
    for (size_t i = 0; tile->load && i < tile->rows; i++)
        memcpy(copy + i * TILE_COLUMNS, tile->c + i * tile->c_stride, tile->columns * sizeof *copy);
    multiply(&whole);
    for (size_t i = 0; i < tile->rows; i++)
        memcpy(tile->c + i * tile->c_stride, copy + i * TILE_COLUMNS, tile->columns * sizeof *copy);
}

static void multiply_tile(const struct tile *tile)
{
    if (tile->rows == TILE_ROWS && tile->columns % TILE_LANES == 0)
        whole_tile(tile);
    else
        edge_tile(tile, whole_tile);
}

#if KERNEL_ISA == 3
static void whole_tile_dot(const struct tile *tile)
{
    WIDTH_SWITCH(true)
}

static void multiply_tile_dot(const struct tile *tile)
{
    if (tile->rows == TILE_ROWS && tile->columns % TILE_LANES == 0)
        whole_tile_dot(tile);
    else
        edge_tile(tile, whole_tile_dot);
}
#endif

/* ---- packing ---- */

/* Element (lane, depth) of the source as a slot; outside it is zero. */
INLINE uint32_t slot_at(const struct panel_source *source, enum slot_form form, size_t lane,
                        size_t slot)
{
    size_t depth = form == SLOT_PAIR ? 2 * slot : form == SLOT_WIDENED ? slot ^ 1 : slot;
    if (lane >= source->lanes || depth >= source->count)
        return 0;
    size_t row = source->depth_runs ? source->lane + lane : source->depth + depth;
    size_t column = source->depth_runs ? source->depth + depth : source->lane + lane;
    size_t at = row * source->stride + column;
    if (form == SLOT_F32)
        return ((const uint32_t *)source->data)[at];
    const uint16_t *half = (const uint16_t *)source->data + at;
    if (form == SLOT_WIDENED)
        return (uint32_t)*half << 16;
    size_t next = source->depth_runs ? 1 : source->stride;
    uint32_t odd = depth + 1 < source->count ? half[next] : 0;
    return odd << 16 | *half;
}

INLINE void pack_slots(uint32_t *out, size_t width, const struct panel_source *source,
                       enum slot_form form, size_t begin, size_t end)
{
    for (size_t slot = begin; slot < end; slot++)
        for (size_t lane = 0; lane < width; lane++)
            out[slot * width + lane] = slot_at(source, form, lane, slot);
}

INLINE size_t slots_for(enum slot_form form, size_t depth)
{
    return form == SLOT_F32 ? depth : form == SLOT_WIDENED ? (depth + 1) / 2 * 2 : (depth + 1) / 2;
}

#if KERNEL_ISA >= 1

/* Words of `count` lanes as they stand in memory: an f32, or the bf16 of one depth widened. */
INLINE v16 load_lanes(const struct panel_source *source, enum slot_form form, size_t at,
                      size_t count)
{
    if (form == SLOT_F32)
        return vload_n((const float *)source->data + at, count);
    return vwiden_n((const uint16_t *)source->data + at, count);
}

INLINE void store_lanes(uint32_t *out, v16 x, size_t count)
{
    vstore_n((float *)(void *)out, x, count);
}

/* Lanes side by side in memory, at most sixteen from `lane` on, zeros beyond the last; whole pairs.
 */
INLINE void pack_lanes_column(uint32_t *out, size_t width, const struct panel_source *source,
                              enum slot_form form, size_t lane)
{
    size_t store = width - lane < LANES ? width - lane : LANES;
    size_t left = source->lanes > lane ? source->lanes - lane : 0;
    size_t load = left < store ? left : store;
    size_t at = source->depth * source->stride + source->lane + lane;
    size_t depths = form == SLOT_F32 ? source->count : source->count / 2 * 2;
    size_t step = form == SLOT_F32 ? 1 : 2;
    out += lane;
    for (size_t depth = 0; depth < depths; depth += step, at += step * source->stride) {
        v16 even = load_lanes(source, form, at, load);
        v16 odd = form == SLOT_F32 ? even : load_lanes(source, form, at + source->stride, load);
        if (form == SLOT_PAIR)
            odd = vfrom_bits(ior(vbits(odd), ishift_right(vbits(even), 16)));
        store_lanes(out, odd, store);
        out += width;
        if (form == SLOT_WIDENED) {
            store_lanes(out, even, store);
            out += width;
        }
    }
}

#if KERNEL_ISA == 1
/* The rows of an AVX2 tile, as four and two. */
struct six {
    __m128 four, two;
};

INLINE struct six load_six(const struct panel_source *source, enum slot_form form, size_t at)
{
    if (form == SLOT_F32) {
        const float *x = (const float *)source->data + at;
        return (struct six){_mm_loadu_ps(x), _mm_castsi128_ps(_mm_loadl_epi64(
                                                 (const __m128i *)(const void *)(x + 4)))};
    }
    const uint16_t *x = (const uint16_t *)source->data + at;
    __m128i four = _mm_loadl_epi64((const __m128i *)(const void *)x);
    __m128i two = _mm_loadu_si32(x + 4), zero = _mm_setzero_si128();
    return (struct six){_mm_castsi128_ps(_mm_unpacklo_epi16(zero, four)),
                        _mm_castsi128_ps(_mm_unpacklo_epi16(zero, two))};
}

INLINE void store_six(uint32_t *out, struct six x)
{
    _mm_storeu_si128((__m128i *)(void *)out, _mm_castps_si128(x.four));
    _mm_storel_epi64((__m128i *)(void *)(out + 4), _mm_castps_si128(x.two));
}

/* Whole pairs. */
INLINE void pack_lanes_six(uint32_t *out, const struct panel_source *source, enum slot_form form)
{
    const size_t width = 6, stride = source->stride;
    size_t at = source->depth * stride + source->lane;
    if (form == SLOT_F32) {
        for (size_t depth = 0; depth < source->count; depth++, at += stride, out += width)
            store_six(out, load_six(source, form, at));
        return;
    }
    for (size_t depth = 0; depth + 1 < source->count; depth += 2, at += 2 * stride) {
        store_six(out, load_six(source, form, at + stride));
        store_six(out + width, load_six(source, form, at));
        out += 2 * width;
    }
}
#endif

INLINE void pack_lanes_run(uint32_t *out, size_t width, const struct panel_source *source,
                           enum slot_form form)
{
#if KERNEL_ISA == 1
    if (width == 6 && source->lanes >= 6 && form != SLOT_PAIR)
        pack_lanes_six(out, source, form);
    else
#endif
        for (size_t lane = 0; lane < width; lane += LANES)
            pack_lanes_column(out, width, source, form, lane);
    size_t whole = form == SLOT_F32 ? source->count : source->count / 2 * 2;
    pack_slots(out, width, source, form, slots_for(form, whole), slots_for(form, source->count));
}

#if KERNEL_ISA >= 2
/* Sixteen lanes of a slot, for one panel that is wider or two that are half as wide. */
INLINE void store_sixteen(uint32_t *out, size_t panel, size_t width, v16 x)
{
    if (width >= LANES) {
        vstore((float *)(void *)out, x);
        return;
    }
    _mm256_storeu_ps((float *)(void *)out, _mm512_castps512_ps256(x));
    _mm256_storeu_ps((float *)(void *)(out + panel), _mm512_extractf32x8_ps(x, 1));
}

/* A panel, or two where one is half a vector wide: memory is read in its order, so that a line is
 * touched once.  `panel`: slots times width. */
INLINE void pack_lanes_whole(uint32_t *out, size_t width, size_t panel,
                             const struct panel_source *source, enum slot_form form, size_t at)
{
    size_t depths = form == SLOT_F32 ? source->count : source->count / 2 * 2;
    size_t step = form == SLOT_F32 ? 1 : 2, lanes = width < LANES ? LANES : width;
    for (size_t depth = 0; depth < depths; depth += step, at += step * source->stride) {
        for (size_t lane = 0; lane < lanes; lane += LANES) {
            v16 even = load_lanes(source, form, at + lane, LANES);
            v16 odd = form == SLOT_F32
                          ? even
                          : load_lanes(source, form, at + lane + source->stride, LANES);
            if (form == SLOT_PAIR)
                odd = vfrom_bits(ior(vbits(odd), ishift_right(vbits(even), 16)));
            store_sixteen(out + lane, panel, width, odd);
            if (form == SLOT_WIDENED)
                store_sixteen(out + width + lane, panel, width, even);
        }
        out += form == SLOT_WIDENED ? 2 * width : width;
    }
}
#endif

/* Sixteen words of one lane from memory where the depth runs: f32, or pairs of bf16. */
INLINE v16 load_depth(const struct panel_source *source, enum slot_form form, size_t lane,
                      size_t word)
{
    size_t at = (source->lane + lane) * source->stride + source->depth;
    if (form == SLOT_F32)
        return vload((const float *)source->data + at + word);
    return vload((const float *)(const void *)((const uint16_t *)source->data + at + 2 * word));
}

/* A word of every lane; widened, it becomes two slots, the odd first. */
INLINE void store_word(uint32_t *out, size_t width, enum slot_form form, v16 x, size_t count)
{
    if (form != SLOT_WIDENED) {
        store_lanes(out, x, count);
        return;
    }
    store_lanes(out, vfrom_bits(iand(vbits(x), iset((int32_t)0xffff0000u))), count);
    store_lanes(out + width, vfrom_bits(ishift_left(vbits(x), 16)), count);
}

/* Depth side by side in memory: blocks of sixteen lanes by sixteen words are turned. */
INLINE void pack_depth_column(uint32_t *out, size_t width, const struct panel_source *source,
                              enum slot_form form, size_t lane, size_t words)
{
    size_t store = width - lane < LANES ? width - lane : LANES;
    size_t step = form == SLOT_WIDENED ? 2 * width : width;
    out += lane;
    for (size_t word = 0; word < words; word += LANES) {
        v16 x[LANES];
        UNROLL
        for (size_t i = 0; i < LANES; i++)
            x[i] = lane + i < source->lanes ? load_depth(source, form, lane + i, word) : vzero();
        vturn(x);
        UNROLL
        for (size_t i = 0; i < LANES; i++, out += step)
            store_word(out, width, form, x[i], store);
    }
}

#if KERNEL_ISA >= 2
INLINE __m512i load_quarters(const uint32_t *a, const uint32_t *b)
{
    __m512i x = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)a));
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)b), 1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)(a + 4)), 2);
    return _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)(b + 4)), 3);
}

INLINE void store_half(uint32_t *out, size_t width, enum slot_form form, __m256i x)
{
    __m256i first = x, second = x;
    if (form == SLOT_WIDENED) {
        first = _mm256_and_si256(x, _mm256_set1_epi32((int32_t)0xffff0000u));
        second = _mm256_slli_epi32(x, 16);
        _mm256_storeu_si256((__m256i *)(void *)(out + width), second);
    }
    _mm256_storeu_si256((__m256i *)(void *)out, first);
}

/* Eight lanes by eight words: quarters are put in their places by loading, then turned. */
INLINE void pack_depth_eight(uint32_t *out, const struct panel_source *source, enum slot_form form,
                             size_t words)
{
    const size_t width = 8, step = form == SLOT_WIDENED ? 2 * width : width;
    size_t bytes = form == SLOT_F32 ? sizeof(float) : sizeof(uint16_t);
    const char *row[8];
    for (size_t i = 0; i < 8; i++)
        row[i] = (const char *)source->data +
                 ((source->lane + i) * source->stride + source->depth) * bytes;
    for (size_t word = 0; word < words; word += 8, out += 8 * step) {
        __m512i x[4], t[4], y[4];
        UNROLL
        for (int i = 0; i < 4; i++)
            x[i] = load_quarters((const uint32_t *)(const void *)row[i] + word,
                                 (const uint32_t *)(const void *)row[i + 4] + word);
        UNROLL
        for (int i = 0; i < 2; i++) {
            t[2 * i] = _mm512_unpacklo_epi32(x[2 * i], x[2 * i + 1]);
            t[2 * i + 1] = _mm512_unpackhi_epi32(x[2 * i], x[2 * i + 1]);
        }
        y[0] = _mm512_unpacklo_epi64(t[0], t[2]);
        y[1] = _mm512_unpackhi_epi64(t[0], t[2]);
        y[2] = _mm512_unpacklo_epi64(t[1], t[3]);
        y[3] = _mm512_unpackhi_epi64(t[1], t[3]);
        UNROLL
        for (size_t i = 0; i < 4; i++) {
            store_half(out + i * step, width, form, _mm512_castsi512_si256(y[i]));
            store_half(out + (i + 4) * step, width, form, _mm512_extracti64x4_epi64(y[i], 1));
        }
    }
}
#endif

#if KERNEL_ISA == 1
INLINE struct six lower_six(__m256 x)
{
    return (struct six){_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1)};
}

/* Six lanes by eight words are turned. */
INLINE void pack_depth_six(uint32_t *out, const struct panel_source *source, enum slot_form form,
                           size_t words)
{
    const size_t width = 6, step = form == SLOT_WIDENED ? 2 * width : width;
    const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)0xffff0000u));
    size_t bytes = form == SLOT_F32 ? sizeof(float) : sizeof(uint16_t);
    const char *row =
        (const char *)source->data + (source->lane * source->stride + source->depth) * bytes;
    for (size_t word = 0; word < words; word += 8, row += 8 * sizeof(uint32_t)) {
        __m256 x[8];
        for (size_t i = 0; i < 8; i++)
            x[i] = i < width ? _mm256_loadu_ps(
                                   (const float *)(const void *)(row + i * source->stride * bytes))
                             : _mm256_setzero_ps();
        turn_quadrant(x);
        for (size_t i = 0; i < 8; i++, out += step) {
            store_six(out, lower_six(form == SLOT_WIDENED ? _mm256_and_ps(x[i], high) : x[i]));
            if (form == SLOT_WIDENED)
                store_six(out + width, lower_six(_mm256_castsi256_ps(
                                           _mm256_slli_epi32(_mm256_castps_si256(x[i]), 16))));
        }
    }
}
#endif

INLINE void pack_depth_runs(uint32_t *out, size_t width, const struct panel_source *source,
                            enum slot_form form)
{
    size_t words = (form == SLOT_F32 ? source->count : source->count / 2) / LANES * LANES;
#if KERNEL_ISA >= 2
    if (width == 8 && source->lanes >= 8)
        pack_depth_eight(out, source, form, words);
    else
#elif KERNEL_ISA == 1
    if (width == 6 && source->lanes >= 6 && form != SLOT_PAIR)
        pack_depth_six(out, source, form, words);
    else
#endif
        for (size_t lane = 0; lane < width; lane += LANES)
            pack_depth_column(out, width, source, form, lane, words);
    size_t done = form == SLOT_WIDENED ? 2 * words : words;
    pack_slots(out, width, source, form, done, slots_for(form, source->count));
}

INLINE void pack_panel(uint32_t *out, size_t width, const struct panel_source *source,
                       enum slot_form form)
{
    if (source->depth_runs)
        pack_depth_runs(out, width, source, form);
    else
        pack_lanes_run(out, width, source, form);
}

#else

INLINE void pack_panel(uint32_t *out, size_t width, const struct panel_source *source,
                       enum slot_form form)
{
    pack_slots(out, width, source, form, 0, slots_for(form, source->count));
}

#endif

/* All panels of the source. */
INLINE void pack_form(uint32_t *out, size_t width, const struct panel_source *source,
                      enum slot_form form)
{
    size_t slots = slots_for(form, source->count), done = 0;
#if KERNEL_ISA >= 2
    size_t unit = width % LANES == 0 ? width : 2 * width;
    bool even = form == SLOT_F32 || source->count % 2 == 0;
    if (!source->depth_runs && even && unit % LANES == 0) {
        size_t at = source->depth * source->stride + source->lane;
        for (; done + unit <= source->lanes; done += unit)
            pack_lanes_whole(out + done * slots, width, slots * width, source, form, at + done);
    }
#endif
    for (; done < source->lanes; done += width) {
        struct panel_source panel = *source;
        panel.lane += done;
        panel.lanes = source->lanes - done < width ? source->lanes - done : width;
        pack_panel(out + done * slots, width, &panel, form);
    }
}

/* The widths of tiles are constants to the compiler. */
#define PACK_WIDTHS(form)                                                                          \
    if (width == TILE_ROWS)                                                                        \
        pack_form(out, TILE_ROWS, source, form);                                                   \
    else if (width == TILE_COLUMNS)                                                                \
        pack_form(out, TILE_COLUMNS, source, form);                                                \
    else                                                                                           \
        pack_form(out, width, source, form);

static void pack_f32(uint32_t *out, size_t width, const struct panel_source *source)
{
    PACK_WIDTHS(SLOT_F32)
}

static void pack_widened(uint32_t *out, size_t width, const struct panel_source *source)
{
    PACK_WIDTHS(SLOT_WIDENED)
}

static void pack_pair(uint32_t *out, size_t width, const struct panel_source *source)
{
    PACK_WIDTHS(SLOT_PAIR)
}

/* ---- few rows against a packed panel of 32 columns ---- */

enum { PREFETCH_BYTES = 4096 };

INLINE void prefetch(const uint32_t *at)
{
    __builtin_prefetch((const char *)at + PREFETCH_BYTES);
    __builtin_prefetch((const char *)at + PREFETCH_BYTES + 64);
}

INLINE void store_packed(const struct packed_rows *work, v16 acc[][2], size_t rows)
{
    for (size_t i = 0; i < rows; i++) {
        float *out = work->out + i * work->out_stride;
        vstore_n(out, acc[i][0], work->columns);
        if (work->columns > LANES)
            vstore_n(out + LANES, acc[i][1], work->columns - LANES);
    }
}

INLINE void packed_f32_body(const struct packed_rows *work, const size_t rows)
{
    v16 acc[PACKED_ROWS][2];
    for (size_t i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = vzero();
    const float *panel = (const float *)(const void *)work->panel, *x = work->x;
    for (size_t k = 0; k < work->depth; k++, panel += PACKED_COLUMNS) {
        prefetch((const uint32_t *)(const void *)panel);
        v16 left = vload(panel), right = vload(panel + LANES);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            v16 value = vset(x[i * work->depth + k]);
            acc[i][0] = vfma(value, left, acc[i][0]);
            acc[i][1] = vfma(value, right, acc[i][1]);
        }
    }
    store_packed(work, acc, rows);
}

INLINE float widened(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE void packed_bf16_body(const struct packed_rows *work, const size_t rows)
{
    v16 acc[PACKED_ROWS][2];
    for (size_t i = 0; i < rows; i++)
        acc[i][0] = acc[i][1] = vzero();
    const uint32_t *panel = work->panel;
    const uint16_t *x = work->x;
    const i16 high = iset((int32_t)0xffff0000u);
    for (size_t k = 0; k < work->depth; k += 2, panel += PACKED_COLUMNS) {
        prefetch(panel);
        i16 left = iload(panel), right = iload(panel + LANES);
        v16 left_odd = vfrom_bits(iand(left, high)), right_odd = vfrom_bits(iand(right, high));
        v16 left_even = vfrom_bits(ishift_left(left, 16));
        v16 right_even = vfrom_bits(ishift_left(right, 16));
        bool pair = k + 1 < work->depth;
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            const uint16_t *at = x + i * work->depth + k;
            v16 odd = vset(pair ? widened(at[1]) : 0), even = vset(widened(at[0]));
            acc[i][0] = vfma(even, left_even, vfma(odd, left_odd, acc[i][0]));
            acc[i][1] = vfma(even, right_even, vfma(odd, right_odd, acc[i][1]));
        }
    }
    store_packed(work, acc, rows);
}

_Static_assert(PACKED_ROWS == 4, "the switches below list every row count");

static void packed_f32(const struct packed_rows *work)
{
    switch (work->rows) {
    case 1:
        packed_f32_body(work, 1);
        break;
    case 2:
        packed_f32_body(work, 2);
        break;
    case 3:
        packed_f32_body(work, 3);
        break;
    default:
        packed_f32_body(work, 4);
        break;
    }
}

static void packed_bf16(const struct packed_rows *work)
{
    switch (work->rows) {
    case 1:
        packed_bf16_body(work, 1);
        break;
    case 2:
        packed_bf16_body(work, 2);
        break;
    case 3:
        packed_bf16_body(work, 3);
        break;
    default:
        packed_bf16_body(work, 4);
        break;
    }
}

/* ---- the multiply-add peak: independent chains in registers ---- */

enum { PEAK_CHAINS = KERNEL_ISA >= 2 ? 24 : KERNEL_ISA == 1 ? 12 : 8 };

INLINE double register_loop(size_t rounds, const bool dot)
{
    tile_vector acc[PEAK_CHAINS], x = tile_set(1e-9f);
    UNROLL
    for (int i = 0; i < PEAK_CHAINS; i++)
        acc[i] = tile_set((float)i);
    for (size_t round = 0; round < rounds; round++) {
        UNROLL
        for (int i = 0; i < PEAK_CHAINS; i++)
            acc[i] = dot ? tile_dot_step(acc[i], x, x) : tile_fma(x, x, acc[i]);
    }
    float sink[TILE_LANES], total = 0;
    UNROLL
    for (int i = 0; i < PEAK_CHAINS; i++) {
        tile_store(sink, acc[i]);
        total += sink[0];
    }
    double operations = (double)rounds * PEAK_CHAINS * TILE_LANES * (dot ? 4 : 2);
    return total >= 0 ? operations : 0; /* the sum must be computed */
}

static double fma_loop(size_t rounds)
{
    return register_loop(rounds, false);
}

#if KERNEL_ISA == 3
static double dot_loop(size_t rounds)
{
    return register_loop(rounds, true);
}
#endif

extern const struct gemm_kernels KERNEL_NAME(gemm_kernels);
const struct gemm_kernels KERNEL_NAME(gemm_kernels) = {
    .tile_rows = TILE_ROWS,
    .tile_columns = TILE_COLUMNS,
    .slab_slots_max = SLAB_SLOTS_MAX,
    .pack = {pack_f32, pack_widened, pack_pair},
    .tile = multiply_tile,
#if KERNEL_ISA == 3
    .tile_dot = multiply_tile_dot,
    .dot_loop = dot_loop,
#endif
    .packed = {packed_f32, packed_bf16},
    .fma_loop = fma_loop,
};
