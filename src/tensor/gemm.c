/* Matrix products: how operands are cut, packed and handed to tiles.
 *
 * The smaller of rows and columns is the shared side.  It is cut into blocks, some lanes by a slab
 * of the depth, that stay in every second-level cache while threads take jobs: a few panels of the
 * other side, which they pack and multiply with the whole block.  A job also packs its part of the
 * next block, and fetches from memory what the next job will pack, so that tiles hide the way to
 * memory. */
#include "tensor/tensor_internal.h"

#include <string.h>

/* Measured: docs/notebook.md. */
enum { JOB_LANES = 96, JOBS_PER_THREAD = 8, PIECES_PER_THREAD = 32 };
enum { LINE_BYTES = 64, FETCH_MAX = 64 };

size_t slots_of(enum slot_form form, size_t depth)
{
    return form == SLOT_F32 ? depth : form == SLOT_WIDENED ? (depth + 1) / 2 * 2 : (depth + 1) / 2;
}

static size_t depth_of_slots(enum slot_form form, size_t slots)
{
    return form == SLOT_PAIR ? 2 * slots : slots;
}

static size_t divide_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct side { /* one operand as panels */
    const struct operand *operand;
    bool depth_runs;
    size_t lanes, width; /* rows or columns in all; of a panel */
    bool is_a;
};

struct slab { /* a part of the depth */
    size_t depth, count, slots;
};

struct block { /* some lanes of the shared side at a slab */
    uint32_t *panels;
    size_t lane, lanes; /* no lanes: no block */
    struct slab slab;
};

struct gemm {
    const struct product *product;
    struct compute *compute;
    enum slot_form form;
    void (*tile)(const struct tile *tile);
    struct side shared, jobs;
    size_t job_panels, job_count;
    size_t pieces;                  /* of a job: parts of the block */
    size_t block_lanes, slab_depth; /* of a whole block */
    struct block now, next;
};

/* ---- packing, and what will be packed ---- */

/* Panels of lanes [lane, lane + lanes). */
static void pack_panels(const struct gemm *gemm, const struct side *side, const struct slab *slab,
                        uint32_t *out, size_t lane, size_t lanes)
{
    struct panel_source source = {.data = side->operand->data,
                                  .stride = side->operand->stride,
                                  .depth_runs = side->depth_runs,
                                  .lane = lane,
                                  .lanes = lanes,
                                  .depth = slab->depth,
                                  .count = slab->count};
    gemm->compute->gemm->pack[gemm->form](out, side->width, &source);
}

struct region { /* rows of memory, walked a line at a time */
    const char *row;
    size_t rows, row_bytes, stride, at;
};

static struct region region_of(const struct side *side, const struct slab *slab, size_t lane,
                               size_t lanes)
{
    size_t bytes = dtype_bytes(side->operand->type), stride = side->operand->stride;
    size_t row = side->depth_runs ? lane : slab->depth;
    size_t column = side->depth_runs ? slab->depth : lane;
    return (struct region){.row =
                               (const char *)side->operand->data + (row * stride + column) * bytes,
                           .rows = side->depth_runs ? lanes : slab->count,
                           .row_bytes = (side->depth_runs ? slab->count : lanes) * bytes,
                           .stride = stride * bytes};
}

static size_t region_lines(const struct region *region)
{
    return region->rows * divide_up(region->row_bytes, LINE_BYTES);
}

static size_t region_walk(struct region *region, const void **lines, size_t most)
{
    size_t count = 0;
    while (count < most && region->rows) {
        lines[count++] = region->row + region->at;
        region->at += LINE_BYTES;
        if (region->at < region->row_bytes)
            continue;
        region->at = 0;
        region->row += region->stride;
        region->rows--;
    }
    return count;
}

/* ---- blocks ---- */

/* Lanes [begin, end) of the block, which begin with a panel. */
static void pack_part(const struct gemm *gemm, const struct block *block, size_t begin, size_t end)
{
    if (begin < end)
        pack_panels(gemm, &gemm->shared, &block->slab, block->panels + begin * block->slab.slots,
                    block->lane + begin, end - begin);
}

static void pack_first_block(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct gemm *gemm = context;
    pack_part(gemm, &gemm->now, begin, end);
}

static struct block block_at(const struct gemm *gemm, size_t lane, size_t depth, uint32_t *panels)
{
    struct block block = {.panels = panels, .lane = lane, .slab.depth = depth};
    block.lanes = smaller(gemm->block_lanes, gemm->shared.lanes - lane);
    block.slab.count = smaller(gemm->slab_depth, gemm->product->depth - depth);
    block.slab.slots = slots_of(gemm->form, block.slab.count);
    return block;
}

/* Slabs of a block of lanes one after the other, as chains of sums demand. */
static struct block block_after(const struct gemm *gemm, const struct block *block,
                                uint32_t *panels)
{
    size_t depth = block->slab.depth + gemm->slab_depth, lane = block->lane;
    if (depth >= gemm->product->depth) {
        depth = 0;
        lane += gemm->block_lanes;
    }
    return lane < gemm->shared.lanes ? block_at(gemm, lane, depth, panels) : (struct block){0};
}

/* ---- jobs ---- */

/* A piece of a job: its panels times some lanes of the block.  A thread that takes the next piece
 * of the same job finds the panels packed. */
struct job {
    const uint32_t *panels;
    size_t lane, lanes;              /* of the other side */
    size_t shared_begin, shared_end; /* lanes of the block */
    size_t part_begin, part_end;     /* lanes of the next block that this piece packs */
    struct region wanted[2];         /* memory to fetch on the way */
    size_t lines_a_tile;
    const float *after; /* where the first results of the piece after this one stand */
};

static float *result_at(const struct gemm *gemm, size_t shared_lane, size_t job_lane)
{
    size_t row = gemm->jobs.is_a ? job_lane : shared_lane;
    size_t column = gemm->jobs.is_a ? shared_lane : job_lane;
    return gemm->product->out + row * gemm->product->out_stride + column;
}

/* Whether a tile lies below the diagonal of a symmetric result, which is copied later. */
static bool is_mirrored(const struct gemm *gemm, size_t shared_lane, size_t job_lane)
{
    size_t row = gemm->jobs.is_a ? job_lane : shared_lane;
    size_t column = gemm->jobs.is_a ? shared_lane : job_lane;
    return gemm->product->symmetric && column + gemm->compute->gemm->tile_columns <= row;
}

/* The tile at these lanes, counted from the block's and the job's first; `next` is where the
 * results of the tile after it stand. */
static void multiply_pair(const struct gemm *gemm, struct job *job, size_t shared, size_t lane,
                          const float *next)
{
    const struct block *block = &gemm->now;
    if (is_mirrored(gemm, block->lane + shared, job->lane + lane))
        return;
    const uint32_t *shared_slots = block->panels + shared * block->slab.slots;
    const uint32_t *job_slots = job->panels + lane * block->slab.slots;
    size_t shared_count = smaller(gemm->shared.width, block->lanes - shared);
    size_t job_count = smaller(gemm->jobs.width, job->lanes - lane);
    bool jobs_are_rows = gemm->jobs.is_a;
    const void *lines[FETCH_MAX];
    struct tile tile = {.slots = block->slab.slots,
                        .a = jobs_are_rows ? job_slots : shared_slots,
                        .b = jobs_are_rows ? shared_slots : job_slots,
                        .c = result_at(gemm, block->lane + shared, job->lane + lane),
                        .c_stride = gemm->product->out_stride,
                        .rows = jobs_are_rows ? job_count : shared_count,
                        .columns = jobs_are_rows ? shared_count : job_count,
                        .load = gemm->product->accumulate || block->slab.depth > 0,
                        .next_c = next,
                        .fetch = lines};
    for (int i = 0; i < 2; i++)
        tile.fetches +=
            region_walk(&job->wanted[i], lines + tile.fetches, job->lines_a_tile - tile.fetches);
    gemm->tile(&tile);
}

/* The inner loop runs over rows, so that a panel of columns stays in the first-level cache. */
static void multiply_job(const struct gemm *gemm, struct job *job)
{
    const struct side *outer = gemm->jobs.is_a ? &gemm->shared : &gemm->jobs;
    const struct side *inner = gemm->jobs.is_a ? &gemm->jobs : &gemm->shared;
    size_t outer_begin = gemm->jobs.is_a ? job->shared_begin : 0;
    size_t inner_begin = gemm->jobs.is_a ? 0 : job->shared_begin;
    size_t outer_end = gemm->jobs.is_a ? job->shared_end : job->lanes;
    size_t inner_end = gemm->jobs.is_a ? job->lanes : job->shared_end;
    for (size_t column = outer_begin; column < outer_end; column += outer->width)
        for (size_t row = inner_begin; row < inner_end; row += inner->width) {
            bool last = row + inner->width >= inner_end;
            size_t next_row = last ? inner_begin : row + inner->width;
            size_t next_column = last ? column + outer->width : column;
            size_t shared = gemm->jobs.is_a ? next_column : next_row;
            size_t lane = gemm->jobs.is_a ? next_row : next_column;
            const float *next = next_column < outer_end
                                    ? result_at(gemm, gemm->now.lane + shared, job->lane + lane)
                                    : job->after;
            if (gemm->jobs.is_a)
                multiply_pair(gemm, job, column, row, next);
            else
                multiply_pair(gemm, job, row, column, next);
        }
}

/* The part of a job's region that one of its pieces fetches. */
static struct region job_region(const struct gemm *gemm, const struct slab *slab, size_t index,
                                size_t piece)
{
    size_t lanes = gemm->job_panels * gemm->jobs.width, lane = index * lanes;
    struct region region =
        region_of(&gemm->jobs, slab, lane, smaller(lanes, gemm->jobs.lanes - lane));
    size_t begin = region.rows * piece / gemm->pieces;
    region.row += begin * region.stride;
    region.rows = region.rows * (piece + 1) / gemm->pieces - begin;
    return region;
}

/* What this thread will pack next: its part of the next block, and the panels of its next job,
 * which is the first of its share again where this is the last. */
static void want(const struct gemm *gemm, struct job *job, size_t index, int thread)
{
    const struct thread_pool *pool = gemm->compute->pool;
    const struct block *next = &gemm->next;
    size_t count = gemm->job_count * gemm->pieces, piece = index % gemm->pieces;
    if (job->part_begin < job->part_end)
        job->wanted[0] = region_of(&gemm->shared, &next->slab, next->lane + job->part_begin,
                                   job->part_end - job->part_begin);
    if (index - piece + gemm->pieces < parallel_share(pool, count, 1, thread + 1))
        job->wanted[1] = job_region(gemm, &gemm->now.slab, index / gemm->pieces + 1, piece);
    else if (next->lanes)
        job->wanted[1] = job_region(gemm, &next->slab,
                                    parallel_share(pool, count, 1, thread) / gemm->pieces, piece);
    size_t lines = region_lines(&job->wanted[0]) + region_lines(&job->wanted[1]);
    size_t tiles = divide_up(job->shared_end - job->shared_begin, gemm->shared.width) *
                   divide_up(job->lanes, gemm->jobs.width);
    job->lines_a_tile = smaller(divide_up(lines, tiles), FETCH_MAX);
}

/* The first lane of the block that a piece multiplies, or where the last one ends. */
static size_t piece_begin(const struct gemm *gemm, size_t piece)
{
    size_t width = gemm->shared.width, panels = divide_up(gemm->now.lanes, width);
    return smaller(piece * panels / gemm->pieces * width, gemm->now.lanes);
}

/* Where the results of a piece begin, of the last one those of the first. */
static const float *piece_result(const struct gemm *gemm, size_t index)
{
    size_t at = index / gemm->pieces % gemm->job_count, piece = index % gemm->pieces;
    return result_at(gemm, gemm->now.lane + piece_begin(gemm, piece),
                     at * gemm->job_panels * gemm->jobs.width);
}

static void run_piece(const struct gemm *gemm, size_t index, int thread)
{
    uint32_t *scratch = gemm->compute->thread[thread];
    size_t *packed = &gemm->compute->packed_job[thread];
    size_t lanes = gemm->job_panels * gemm->jobs.width, width = gemm->shared.width;
    size_t at = index / gemm->pieces, piece = index % gemm->pieces;
    size_t count = gemm->job_count * gemm->pieces, parts = divide_up(gemm->next.lanes, width);
    struct job job = {.panels = scratch,
                      .lane = at * lanes,
                      .lanes = smaller(lanes, gemm->jobs.lanes - at * lanes),
                      .shared_begin = piece_begin(gemm, piece),
                      .shared_end = piece_begin(gemm, piece + 1),
                      .part_begin = index * parts / count * width,
                      .part_end = smaller((index + 1) * parts / count * width, gemm->next.lanes),
                      .after = piece_result(gemm, index + 1)};
    if (job.shared_begin < job.shared_end) {
        want(gemm, &job, index, thread);
        if (*packed != at)
            pack_panels(gemm, &gemm->jobs, &gemm->now.slab, scratch, job.lane, job.lanes);
        *packed = at;
        multiply_job(gemm, &job);
    }
    pack_part(gemm, &gemm->next, job.part_begin, job.part_end);
}

static void run_pieces(void *context, size_t begin, size_t end, int thread)
{
    for (size_t index = begin; index < end; index++)
        run_piece(context, index, thread);
}

/* ---- the whole ---- */

/* Cuts `whole` into the fewest parts of at most `most`, all of about the same size, a multiple of
 * `unit`. */
static size_t part_of(size_t whole, size_t most, size_t unit)
{
    size_t parts = divide_up(whole, most / unit * unit);
    return divide_up(divide_up(whole, parts), unit) * unit;
}

static void cut(struct gemm *gemm)
{
    const struct product *product = gemm->product;
    const struct gemm_kernels *kernels = gemm->compute->gemm;
    struct side a = {&product->a, !product->a.transposed, product->rows, kernels->tile_rows, true};
    struct side b = {&product->b, product->b.transposed, product->columns, kernels->tile_columns,
                     false};
    bool rows_are_jobs = product->rows >= product->columns;
    gemm->jobs = rows_are_jobs ? a : b;
    gemm->shared = rows_are_jobs ? b : a;
    size_t panels = divide_up(gemm->jobs.lanes, gemm->jobs.width);
    size_t threads = (size_t)thread_pool_count(gemm->compute->pool);
    gemm->job_panels =
        smaller(divide_up(panels, threads * JOBS_PER_THREAD), JOB_LANES / gemm->jobs.width);
    gemm->job_count = divide_up(panels, gemm->job_panels);
    size_t slots = part_of(slots_of(gemm->form, product->depth), kernels->slab_slots_max, 2);
    gemm->slab_depth = depth_of_slots(gemm->form, slots);
    gemm->block_lanes =
        part_of(gemm->shared.lanes, gemm->compute->block_bytes / (slots * sizeof(uint32_t)),
                gemm->shared.width);
    gemm->pieces = smaller(divide_up(threads * PIECES_PER_THREAD, gemm->job_count),
                           divide_up(gemm->block_lanes, gemm->shared.width));
}

static void run_blocks(struct gemm *gemm)
{
    struct thread_pool *pool = gemm->compute->pool;
    uint32_t *const halves[] = {gemm->compute->shared, (uint32_t *)gemm->compute->shared +
                                                           BLOCK_BYTES_MAX / sizeof(uint32_t)};
    gemm->now = block_at(gemm, 0, 0, halves[0]);
    parallel_for(pool, gemm->now.lanes, gemm->shared.width, pack_first_block, gemm);
    for (size_t i = 1; gemm->now.lanes; i++) {
        gemm->next = block_after(gemm, &gemm->now, halves[i % 2]);
        for (int thread = 0; thread < thread_pool_count(pool); thread++)
            gemm->compute->packed_job[thread] = SIZE_MAX;
        parallel_for(pool, gemm->job_count * gemm->pieces, 1, run_pieces, gemm);
        gemm->now = gemm->next;
    }
}

enum { MIRROR_TILE = 16 };

/* Rows [begin, end) below the diagonal from the columns above it, by small squares. */
static void mirror_rows(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct product *product = context;
    size_t stride = product->out_stride;
    for (size_t at = 0; at < end; at += MIRROR_TILE)
        for (size_t row = begin; row < end; row++)
            for (size_t column = at; column < row && column < at + MIRROR_TILE; column++)
                product->out[row * stride + column] = product->out[column * stride + row];
}

void matrix_product(struct compute *compute, const struct product *product)
{
    ASSERT(compute && product && product->out);
    ASSERT(!product->symmetric || product->rows == product->columns);
    ASSERT(product->a.type == product->b.type && product->out_stride >= product->columns);
    if (product->rows == 0 || product->columns == 0)
        return;
    if (product->depth == 0) {
        for (size_t i = 0; !product->accumulate && i < product->rows; i++)
            memset(product->out + i * product->out_stride, 0,
                   product->columns * sizeof *product->out);
        return;
    }
    bool half = product->a.type == DTYPE_BF16, dot = half && compute->dot_is_faster;
    struct gemm gemm = {.product = product,
                        .compute = compute,
                        .form = !half ? SLOT_F32
                                : dot ? SLOT_PAIR
                                      : SLOT_WIDENED,
                        .tile = dot ? compute->gemm->tile_dot : compute->gemm->tile};
    cut(&gemm);
    run_blocks(&gemm);
    if (product->symmetric)
        parallel_for(compute->pool, product->rows, MIRROR_TILE, mirror_rows,
                     (void *)(uintptr_t)product);
}

/* ---- few rows against a matrix packed once ---- */

static enum slot_form packed_form(enum dtype type)
{
    return type == DTYPE_BF16 ? SLOT_PAIR : SLOT_F32;
}

static size_t packed_panel_slots(enum dtype type, size_t depth)
{
    return slots_of(packed_form(type), depth) * PACKED_COLUMNS;
}

size_t matrix_packed_bytes(enum dtype type, size_t depth, size_t columns)
{
    return divide_up(columns, PACKED_COLUMNS) * packed_panel_slots(type, depth) * sizeof(uint32_t);
}

struct packing {
    const struct gemm_kernels *kernels;
    struct panel_source source;
    enum slot_form form;
    uint32_t *panels;
    size_t panel_slots, columns;
};

static void pack_columns(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct packing *packing = context;
    for (size_t panel = begin; panel < end; panel++) {
        struct panel_source source = packing->source;
        source.lane = panel * PACKED_COLUMNS;
        source.lanes = smaller(PACKED_COLUMNS, packing->columns - source.lane);
        packing->kernels->pack[packing->form](packing->panels + panel * packing->panel_slots,
                                              PACKED_COLUMNS, &source);
    }
}

status matrix_pack(struct packed_matrix *out, struct compute *compute, struct operand b,
                   size_t depth, size_t columns, struct arena *arena, struct error *error)
{
    ASSERT(out && compute && b.data && depth && columns && arena && error);
    struct packing packing = {
        .kernels = compute->gemm,
        .source = {.data = b.data, .stride = b.stride, .depth_runs = b.transposed, .count = depth},
        .form = packed_form(b.type),
        .panel_slots = packed_panel_slots(b.type, depth),
        .columns = columns};
    packing.panels = arena_alloc(arena, matrix_packed_bytes(b.type, depth, columns), 1, error);
    if (!packing.panels)
        return error->code;
    size_t panels = divide_up(columns, PACKED_COLUMNS);
    parallel_for(compute->pool, panels, chunk_of(panels, packing.panel_slots * sizeof(uint32_t)),
                 pack_columns, &packing);
    *out = (struct packed_matrix){packing.panels, b.type, depth, columns};
    return OK;
}

struct packed_product {
    const struct gemm_kernels *kernels;
    const struct packed_matrix *b;
    const void *x;
    size_t rows, out_stride, panel_slots;
    float *out;
};

static void multiply_packed(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct packed_product *product = context;
    const struct packed_matrix *b = product->b;
    size_t row_bytes = b->depth * dtype_bytes(b->type);
    for (size_t panel = begin; panel < end; panel++) {
        size_t column = panel * PACKED_COLUMNS;
        for (size_t row = 0; row < product->rows; row += PACKED_ROWS) {
            struct packed_rows work = {.x = (const char *)product->x + row * row_bytes,
                                       .rows = smaller(PACKED_ROWS, product->rows - row),
                                       .depth = b->depth,
                                       .panel = (const uint32_t *)b->panels +
                                                panel * product->panel_slots,
                                       .out = product->out + row * product->out_stride + column,
                                       .out_stride = product->out_stride,
                                       .columns = smaller(PACKED_COLUMNS, b->columns - column)};
            product->kernels->packed[b->type](&work);
        }
    }
}

void matrix_product_packed(struct compute *compute, float *out, size_t out_stride, const void *x,
                           size_t rows, const struct packed_matrix *b)
{
    ASSERT(compute && out && x && b && b->panels && out_stride >= b->columns);
    struct packed_product product = {.kernels = compute->gemm,
                                     .b = b,
                                     .x = x,
                                     .rows = rows,
                                     .out = out,
                                     .out_stride = out_stride,
                                     .panel_slots = packed_panel_slots(b->type, b->depth)};
    size_t panels = divide_up(b->columns, PACKED_COLUMNS);
    parallel_for(compute->pool, panels, chunk_of(panels, product.panel_slots * sizeof(uint32_t)),
                 multiply_packed, &product);
}
