/* Matrix products, one instruction set: packing of panels, tiles in registers, few rows against
 * packed panels. */
#include "tensor/tensor_internal.h"

#include "tensor/vector.h"

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif
#define INLINE static inline __attribute__((always_inline))

/* clang-format off: one operation a line */
#if KERNEL_ISA >= 2
enum { TILE_LANES = 16, TILE_VECTORS = 2, TILE_ROWS = 14 };
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
    return __builtin_fmaf(a, b, c);
}
#endif
/* clang-format on */
enum { TILE_COLUMNS = TILE_LANES * TILE_VECTORS };

/* ---- tiles ---- */

#if KERNEL_ISA == 3
INLINE tile_vector tile_dot_step(tile_vector acc, tile_vector x, tile_vector b)
{
    return _mm512_dpbf16_ps(acc, (__m512bh)x, (__m512bh)b);
}
#else
#define tile_dot_step(acc, x, b) (acc)
#endif

INLINE void tile_body(const struct tile *tile, const size_t rows, const bool dot)
{
    tile_vector acc[TILE_ROWS][TILE_VECTORS];
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < TILE_VECTORS; v++)
        acc[i][v] =
            tile->load ? tile_load(tile->c + i * tile->c_stride + v * TILE_LANES) : tile_set(0);
    const float *a = (const float *)(const void *)tile->a;
    const float *b = (const float *)(const void *)tile->b;
    for (size_t slot = 0; slot < tile->slots; slot++) {
        tile_vector columns[TILE_VECTORS];
        UNROLL
        for (size_t v = 0; v < TILE_VECTORS; v++)
            columns[v] = tile_load(b + v * TILE_LANES);
        UNROLL
        for (size_t i = 0; i < rows; i++) {
            tile_vector x = tile_set(a[i]);
            UNROLL
            for (size_t v = 0; v < TILE_VECTORS; v++)
                acc[i][v] = dot ? tile_dot_step(acc[i][v], x, columns[v])
                                : tile_fma(x, columns[v], acc[i][v]);
        }
        a += TILE_ROWS;
        b += TILE_COLUMNS;
    }
    UNROLL
    for (size_t i = 0; i < rows; i++)
        UNROLL
    for (size_t v = 0; v < TILE_VECTORS; v++)
        tile_store(tile->c + i * tile->c_stride + v * TILE_LANES, acc[i][v]);
}

/* A switch over constant row counts, so that every body keeps its accumulators in registers. */
#define ROWS_CASE(n, dot)                                                                          \
    case n:                                                                                        \
        tile_body(tile, n <= TILE_ROWS ? n : TILE_ROWS, dot);                                      \
        break;
#define ROWS_SWITCH(dot)                                                                           \
    switch (tile->rows) {                                                                          \
        ROWS_CASE(1, dot)                                                                          \
        ROWS_CASE(2, dot)                                                                          \
        ROWS_CASE(3, dot)                                                                          \
        ROWS_CASE(4, dot)                                                                          \
        ROWS_CASE(5, dot)                                                                          \
        ROWS_CASE(6, dot)                                                                          \
        ROWS_CASE(7, dot)                                                                          \
        ROWS_CASE(8, dot)                                                                          \
        ROWS_CASE(9, dot)                                                                          \
        ROWS_CASE(10, dot)                                                                         \
        ROWS_CASE(11, dot)                                                                         \
        ROWS_CASE(12, dot)                                                                         \
        ROWS_CASE(13, dot)                                                                         \
        ROWS_CASE(14, dot)                                                                         \
    default:                                                                                       \
        break;                                                                                     \
    }

static void full_columns(const struct tile *tile)
{
    ROWS_SWITCH(false)
}

/* A tile at the right edge works on a copy. */
static void edge_columns(const struct tile *tile, void (*full)(const struct tile *tile))
{
    float copy[TILE_ROWS * TILE_COLUMNS];
    struct tile whole = *tile;
    whole.c = copy;
    whole.c_stride = TILE_COLUMNS;
    memset(copy, 0, sizeof copy);
    for (size_t i = 0; tile->load && i < tile->rows; i++)
        memcpy(copy + i * TILE_COLUMNS, tile->c + i * tile->c_stride, tile->columns * sizeof *copy);
    full(&whole);
    for (size_t i = 0; i < tile->rows; i++)
        memcpy(tile->c + i * tile->c_stride, copy + i * TILE_COLUMNS, tile->columns * sizeof *copy);
}

static void multiply_tile(const struct tile *tile)
{
    if (tile->columns == TILE_COLUMNS)
        full_columns(tile);
    else
        edge_columns(tile, full_columns);
}

#if KERNEL_ISA == 3
static void full_columns_dot(const struct tile *tile)
{
    ROWS_SWITCH(true)
}

static void multiply_tile_dot(const struct tile *tile)
{
    if (tile->columns == TILE_COLUMNS)
        full_columns_dot(tile);
    else
        edge_columns(tile, full_columns_dot);
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

/* Lanes side by side in memory: slot by slot, sixteen lanes at a time. */
INLINE void pack_lanes_run(uint32_t *out, size_t width, const struct panel_source *source,
                           enum slot_form form)
{
    size_t slots = slots_for(form, source->count), whole = source->count / 2 * 2;
    if (form == SLOT_F32)
        whole = source->count;
    size_t whole_slots = form == SLOT_PAIR ? whole / 2 : whole;
    for (size_t lane = 0; lane < width; lane += LANES) {
        size_t store = width - lane < LANES ? width - lane : LANES;
        size_t load = source->lanes <= lane          ? 0
                      : source->lanes - lane < LANES ? source->lanes - lane
                                                     : LANES;
        for (size_t slot = 0; slot < whole_slots; slot++) {
            size_t depth = form == SLOT_PAIR ? 2 * slot : form == SLOT_WIDENED ? slot ^ 1 : slot;
            size_t at = (source->depth + depth) * source->stride + source->lane + lane;
            v16 values = vzero();
            if (load && form == SLOT_F32)
                values = vload_n((const float *)source->data + at, load);
            else if (load && form == SLOT_WIDENED)
                values = vwiden_n((const uint16_t *)source->data + at, load);
            else if (load) {
                const uint16_t *even = (const uint16_t *)source->data + at;
                i16 high = vbits(vwiden_n(even + source->stride, load));
                i16 low = ishift_right(vbits(vwiden_n(even, load)), 16);
                values = vfrom_bits(ior(high, low));
            }
            vstore_n((float *)(void *)(out + slot * width + lane), values, store);
        }
    }
    pack_slots(out, width, source, form, whole_slots, slots);
}

/* Sixteen slots of one lane from memory where the depth runs, as they stand. */
INLINE v16 load_depth(const struct panel_source *source, enum slot_form form, size_t lane,
                      size_t slot)
{
    size_t depth = source->depth + (form == SLOT_PAIR ? 2 * slot : slot);
    size_t at = (source->lane + lane) * source->stride + depth;
    if (form == SLOT_F32)
        return vload((const float *)source->data + at);
    if (form == SLOT_WIDENED)
        return vwiden((const uint16_t *)source->data + at);
    return vload((const float *)(const void *)((const uint16_t *)source->data + at));
}

#if KERNEL_ISA >= 2
/* Rows become columns: 16 x 16 words. */
INLINE void transpose(v16 *x)
{
    __m512i r[16], t[16];
    UNROLL
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(vbits(x[2 * i]), vbits(x[2 * i + 1]));
        t[2 * i + 1] = _mm512_unpackhi_epi32(vbits(x[2 * i]), vbits(x[2 * i + 1]));
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL
    for (int i = 0; i < 8; i++) {
        x[i] = vfrom_bits(_mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
        x[i + 8] = vfrom_bits(_mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    }
}
#else
INLINE void transpose8(__m256 *x)
{
    __m256 t[8], r[8];
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_ps(x[2 * i], x[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_ps(x[2 * i], x[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        r[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
        r[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
        r[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
        r[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        x[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        x[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
}

INLINE void transpose(v16 *x)
{
    __m256 q[4][8]; /* quadrants: rows 0-7 and 8-15 by halves */
    for (int i = 0; i < 8; i++)
        for (int h = 0; h < 2; h++) {
            q[h][i] = x[i].half[h];
            q[2 + h][i] = x[8 + i].half[h];
        }
    for (int k = 0; k < 4; k++)
        transpose8(q[k]);
    for (int i = 0; i < 8; i++)
        for (int h = 0; h < 2; h++) {
            x[i].half[h] = q[2 * h][i];
            x[8 + i].half[h] = q[2 * h + 1][i];
        }
}
#endif

/* Depth side by side in memory: blocks of sixteen lanes by sixteen slots are turned. */
INLINE void pack_depth_runs(uint32_t *out, size_t width, const struct panel_source *source,
                            enum slot_form form)
{
    size_t slots = slots_for(form, source->count);
    size_t whole = form == SLOT_PAIR ? source->count / 2 : source->count;
    size_t blocks = whole / LANES * LANES;
    for (size_t lane = 0; lane < width; lane += LANES) {
        size_t store = width - lane < LANES ? width - lane : LANES;
        for (size_t slot = 0; slot < blocks; slot += LANES) {
            v16 x[LANES];
            UNROLL
            for (size_t i = 0; i < LANES; i++)
                x[i] =
                    lane + i < source->lanes ? load_depth(source, form, lane + i, slot) : vzero();
            transpose(x);
            UNROLL
            for (size_t i = 0; i < LANES; i++) {
                size_t to = slot + (form == SLOT_WIDENED ? i ^ 1 : i);
                vstore_n((float *)(void *)(out + to * width + lane), x[i], store);
            }
        }
    }
    pack_slots(out, width, source, form, blocks, slots);
}

INLINE void pack_form(uint32_t *out, size_t width, const struct panel_source *source,
                      enum slot_form form)
{
    if (source->depth_runs)
        pack_depth_runs(out, width, source, form);
    else
        pack_lanes_run(out, width, source, form);
}

#else

INLINE void pack_form(uint32_t *out, size_t width, const struct panel_source *source,
                      enum slot_form form)
{
    pack_slots(out, width, source, form, 0, slots_for(form, source->count));
}

#endif

static void pack_f32(uint32_t *out, size_t width, const struct panel_source *source)
{
    pack_form(out, width, source, SLOT_F32);
}

static void pack_widened(uint32_t *out, size_t width, const struct panel_source *source)
{
    pack_form(out, width, source, SLOT_WIDENED);
}

static void pack_pair(uint32_t *out, size_t width, const struct panel_source *source)
{
    pack_form(out, width, source, SLOT_PAIR);
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
    .pack = {pack_f32, pack_widened, pack_pair},
    .tile = multiply_tile,
#if KERNEL_ISA == 3
    .tile_dot = multiply_tile_dot,
    .dot_loop = dot_loop,
#endif
    .packed = {packed_f32, packed_bf16},
    .fma_loop = fma_loop,
};
