/* Matrix products: which operand is packed once for all threads, and how tiles are handed out.
 *
 * The smaller of rows and columns is the shared side: its panels are packed by all threads
 * together, a slab of the depth at a
 * time.  The larger side is cut into jobs; each job packs its own panels, a block of the depth at a
 * time, and multiplies them
 * with all shared panels.  So every element is packed once, tiles of the right operand stay in the
 * first-level cache, and threads
 * take jobs as they come. */
#include "tensor/tensor_internal.h"

#include <string.h>

/* Slots of a block along the depth: a panel of 32 columns then takes 32 KiB. */
enum { BLOCK_SLOTS = 256, JOB_PANELS_MAX = 16, JOBS_PER_THREAD = 6 };
/* Shared lanes at once, so that a slab has at least a block's depth. */
enum { SHARED_LANES_MAX = 8192 };

size_t slots_of(enum slot_form form, size_t depth)
{
    return form == SLOT_F32 ? depth : form == SLOT_WIDENED ? (depth + 1) / 2 * 2 : (depth + 1) / 2;
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

struct gemm {
    const struct product *product;
    struct compute *compute;
    enum slot_form form;
    void (*tile)(const struct tile *tile);
    struct side shared, jobs;
    size_t job_panels;
    size_t shared_lane, shared_lanes; /* the part of the shared side in work */
    size_t depth, depth_count, slots; /* the slab in work */
};

static size_t depth_of_slots(enum slot_form form, size_t slots)
{
    return form == SLOT_PAIR ? 2 * slots : slots;
}

static void pack_panel(const struct gemm *gemm, const struct side *side, uint32_t *out,
                       const struct panel_source *range)
{
    struct panel_source source = *range;
    source.data = side->operand->data;
    source.stride = side->operand->stride;
    source.depth_runs = side->depth_runs;
    gemm->compute->gemm->pack[gemm->form](out, side->width, &source);
}

/* ---- the shared side ---- */

static uint32_t *shared_panel(const struct gemm *gemm, size_t panel)
{
    return (uint32_t *)gemm->compute->shared + panel * gemm->shared.width * gemm->slots;
}

static void pack_shared(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const struct gemm *gemm = context;
    for (size_t panel = begin; panel < end; panel++) {
        size_t lane = panel * gemm->shared.width;
        struct panel_source range = {.lane = gemm->shared_lane + lane,
                                     .lanes =
                                         smaller(gemm->shared.width, gemm->shared_lanes - lane),
                                     .depth = gemm->depth,
                                     .count = gemm->depth_count};
        pack_panel(gemm, &gemm->shared, shared_panel(gemm, panel), &range);
    }
}

/* ---- jobs ---- */

struct block { /* panels of a job at some depth, packed */
    const uint32_t *panels;
    size_t first_panel, panel_count;
    size_t slot, slots; /* within the slab */
};

static void multiply_pair(const struct gemm *gemm, const struct block *block, size_t shared,
                          size_t job, bool load)
{
    const struct product *product = gemm->product;
    const uint32_t *shared_slots = shared_panel(gemm, shared) + block->slot * gemm->shared.width;
    const uint32_t *job_slots = block->panels + job * gemm->jobs.width * block->slots;
    size_t shared_lane = shared * gemm->shared.width;
    size_t job_lane = (block->first_panel + job) * gemm->jobs.width;
    size_t shared_count = smaller(gemm->shared.width, gemm->shared_lanes - shared_lane);
    size_t job_count = smaller(gemm->jobs.width, gemm->jobs.lanes - job_lane);
    shared_lane += gemm->shared_lane;
    bool jobs_are_rows = gemm->jobs.is_a;
    size_t row = jobs_are_rows ? job_lane : shared_lane;
    size_t column = jobs_are_rows ? shared_lane : job_lane;
    struct tile tile = {.slots = block->slots,
                        .a = jobs_are_rows ? job_slots : shared_slots,
                        .b = jobs_are_rows ? shared_slots : job_slots,
                        .c = product->out + row * product->out_stride + column,
                        .c_stride = product->out_stride,
                        .rows = jobs_are_rows ? job_count : shared_count,
                        .columns = jobs_are_rows ? shared_count : job_count,
                        .load = load};
    gemm->tile(&tile);
}

/* The inner loop runs over rows, so that a panel of columns stays in the first-level cache. */
static void multiply_block(const struct gemm *gemm, const struct block *block)
{
    bool load = gemm->product->accumulate || gemm->depth > 0 || block->slot > 0;
    size_t shared_count = divide_up(gemm->shared_lanes, gemm->shared.width);
    if (gemm->jobs.is_a) {
        for (size_t shared = 0; shared < shared_count; shared++)
            for (size_t job = 0; job < block->panel_count; job++)
                multiply_pair(gemm, block, shared, job, load);
    } else {
        for (size_t job = 0; job < block->panel_count; job++)
            for (size_t shared = 0; shared < shared_count; shared++)
                multiply_pair(gemm, block, shared, job, load);
    }
}

static void run_job(const struct gemm *gemm, size_t job, uint32_t *scratch)
{
    size_t panels = divide_up(gemm->jobs.lanes, gemm->jobs.width);
    struct block block = {.panels = scratch, .first_panel = job * gemm->job_panels};
    block.panel_count = smaller(gemm->job_panels, panels - block.first_panel);
    for (block.slot = 0; block.slot < gemm->slots; block.slot += block.slots) {
        block.slots = smaller(BLOCK_SLOTS, gemm->slots - block.slot);
        size_t depth = depth_of_slots(gemm->form, block.slot);
        for (size_t i = 0; i < block.panel_count; i++) {
            size_t lane = (block.first_panel + i) * gemm->jobs.width;
            struct panel_source range = {
                .lane = lane,
                .lanes = smaller(gemm->jobs.width, gemm->jobs.lanes - lane),
                .depth = gemm->depth + depth,
                .count =
                    smaller(depth_of_slots(gemm->form, block.slots), gemm->depth_count - depth)};
            pack_panel(gemm, &gemm->jobs, scratch + i * gemm->jobs.width * block.slots, &range);
        }
        multiply_block(gemm, &block);
    }
}

static void run_jobs(void *context, size_t begin, size_t end, int thread)
{
    const struct gemm *gemm = context;
    for (size_t job = begin; job < end; job++)
        run_job(gemm, job, gemm->compute->thread[thread]);
}

/* ---- the whole ---- */

static void run_slab(struct gemm *gemm)
{
    struct thread_pool *pool = gemm->compute->pool;
    size_t shared_panels = divide_up(gemm->shared_lanes, gemm->shared.width);
    size_t panel_bytes = gemm->slots * gemm->shared.width * sizeof(uint32_t);
    parallel_for(pool, shared_panels, chunk_of(shared_panels, panel_bytes), pack_shared, gemm);
    size_t panels = divide_up(gemm->jobs.lanes, gemm->jobs.width);
    parallel_for(pool, divide_up(panels, gemm->job_panels), 1, run_jobs, gemm);
}

static void run_shared_part(struct gemm *gemm)
{
    size_t lanes = divide_up(gemm->shared_lanes, gemm->shared.width) * gemm->shared.width;
    size_t slab = SCRATCH_SHARED_BYTES / sizeof(uint32_t) / lanes / BLOCK_SLOTS * BLOCK_SLOTS;
    ASSERT(slab > 0);
    size_t slab_depth = depth_of_slots(gemm->form, slab);
    for (gemm->depth = 0; gemm->depth < gemm->product->depth; gemm->depth += slab_depth) {
        gemm->depth_count = smaller(slab_depth, gemm->product->depth - gemm->depth);
        gemm->slots = slots_of(gemm->form, gemm->depth_count);
        run_slab(gemm);
    }
}

static void choose_sides(struct gemm *gemm)
{
    const struct product *product = gemm->product;
    const struct gemm_kernels *kernels = gemm->compute->gemm;
    struct side a = {&product->a, !product->a.transposed, product->rows, kernels->tile_rows, true};
    struct side b = {&product->b, product->b.transposed, product->columns, kernels->tile_columns,
                     false};
    bool rows_are_jobs = product->rows > product->columns;
    gemm->jobs = rows_are_jobs ? a : b;
    gemm->shared = rows_are_jobs ? b : a;
    size_t panels = divide_up(gemm->jobs.lanes, gemm->jobs.width);
    size_t threads = (size_t)thread_pool_count(gemm->compute->pool);
    size_t most = SCRATCH_THREAD_BYTES / (gemm->jobs.width * BLOCK_SLOTS * sizeof(uint32_t));
    gemm->job_panels = panels / (threads * JOBS_PER_THREAD);
    gemm->job_panels = gemm->job_panels < 1 ? 1 : smaller(gemm->job_panels, JOB_PANELS_MAX);
    gemm->job_panels = smaller(gemm->job_panels, most);
}

void matrix_product(struct compute *compute, const struct product *product)
{
    ASSERT(compute && product && product->out);
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
    choose_sides(&gemm);
    size_t lanes_max = SHARED_LANES_MAX / gemm.shared.width * gemm.shared.width;
    for (; gemm.shared_lane < gemm.shared.lanes; gemm.shared_lane += lanes_max) {
        gemm.shared_lanes = smaller(lanes_max, gemm.shared.lanes - gemm.shared_lane);
        run_shared_part(&gemm);
    }
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
