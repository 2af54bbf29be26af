/* Which process keeps the moments of which weights and steps them. */
#include "train/train_internal.h"

#include <stdlib.h>

/* A weight, or a piece of one that AdamW steps: what goes to one process whole. */
struct item {
    struct part part;
    uint64_t cost;
};

/* Arithmetic of one step: Muon's products (five times 3 m^2 n + m^3, m the smaller side), and for
 * AdamW the time its 28 bytes of memory an element take, as multiply-adds. */
enum { ADAMW_COST = 150 };

static uint64_t cost_of(const struct weight *weight, bool muon, size_t count)
{
    if (!muon)
        return (uint64_t)count * ADAMW_COST;
    uint64_t m = weight->rows < weight->columns ? weight->rows : weight->columns;
    uint64_t n = weight->rows < weight->columns ? weight->columns : weight->rows;
    return 5 * m * m * (3 * n + m) / 2 + m * n * ADAMW_COST / 2;
}

static bool uses_muon(const struct recipe *recipe, const struct weight *weight)
{
    return weight->group == WEIGHT_MATRIX && recipe->matrix_optimizer == MATRIX_MUON;
}

static size_t piece_of(const struct weight *weight, bool muon, size_t at)
{
    size_t left = weight->rows * weight->columns - at;
    return muon || left < PART_CUT ? left : PART_CUT;
}

static size_t count_items(const struct weight_table *table, const struct recipe *recipe)
{
    size_t items = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        size_t count = weight->rows * weight->columns;
        items += uses_muon(recipe, weight) ? 1 : (count + PART_CUT - 1) / PART_CUT;
    }
    return items;
}

static void list_items(struct item *out, const struct weight_table *table,
                       const struct recipe *recipe)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        bool muon = uses_muon(recipe, weight);
        size_t all = weight->rows * weight->columns, count;
        for (size_t at = 0; at < all; at += count) {
            count = piece_of(weight, muon, at);
            *out++ = (struct item){
                .part = {.weight = i, .muon = muon, .begin = weight->offset + at, .count = count},
                .cost = cost_of(weight, muon, count)};
        }
    }
}

/* ---- who gets what: the costliest first, each to who has least ---- */

static int compare_costs(const void *a, const void *b)
{
    const struct item *x = *(const struct item *const *)a, *y = *(const struct item *const *)b;
    if (x->cost != y->cost)
        return x->cost < y->cost ? 1 : -1;
    return (x > y) - (x < y);
}

static void assign(struct item **order, size_t items, uint64_t *load, size_t processes)
{
    qsort(order, items, sizeof *order, compare_costs);
    for (size_t i = 0; i < items; i++) {
        size_t least = 0;
        for (size_t p = 1; p < processes; p++)
            if (load[p] < load[least])
                least = p;
        load[least] += order[i]->cost;
        order[i]->part.owner = (int)least;
    }
}

static status assign_items(struct item *items, size_t count, int processes, struct arena *arena,
                           struct error *error)
{
    struct item **order;
    uint64_t *load;
    TRY_ALLOC(order, arena, count, error);
    TRY_ALLOC(load, arena, (size_t)processes, error);
    for (size_t i = 0; i < count; i++)
        order[i] = &items[i];
    assign(order, count, load, (size_t)processes);
    return OK;
}

/* ---- parts, and maps of all that is exchanged ---- */

/* Neighbouring pieces of one weight with one owner are one part. */
static void join_items(struct partition *out, const struct item *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct part part = items[i].part;
        struct part *last = out->count ? &out->parts[out->count - 1] : NULL;
        if (last && last->weight == part.weight && last->owner == part.owner)
            last->count += part.count;
        else
            out->parts[out->count++] = part;
    }
}

struct map_builder {
    size_t *start;
    int *owner;
    size_t parts;
};

static status map_create(struct map_builder *out, size_t parts, struct arena *arena,
                         struct error *error)
{
    *out = (struct map_builder){0};
    TRY_ALLOC(out->start, arena, parts + 1, error);
    TRY_ALLOC(out->owner, arena, parts, error);
    return OK;
}

static void map_add(struct map_builder *map, size_t items, int owner)
{
    map->owner[map->parts++] = owner;
    map->start[map->parts] = map->start[map->parts - 1] + items;
}

static struct comm_map map_of(const struct map_builder *map)
{
    return (struct comm_map){map->parts, map->start, map->owner};
}

static size_t pieces(size_t count, size_t size)
{
    return (count + size - 1) / size;
}

static status create_maps(struct partition *out, int processes, struct arena *arena,
                          struct error *error)
{
    struct map_builder elements, blocks, hashes, second_hashes, ranks;
    TRY(map_create(&elements, out->count, arena, error));
    TRY(map_create(&blocks, out->count, arena, error));
    TRY(map_create(&hashes, out->count, arena, error));
    TRY(map_create(&second_hashes, out->count, arena, error));
    TRY(map_create(&ranks, (size_t)processes, arena, error));
    for (size_t i = 0; i < out->count; i++) {
        const struct part *part = &out->parts[i];
        map_add(&elements, part->count, part->owner);
        map_add(&blocks, pieces(part->count, SQUARES_BLOCK), part->owner);
        map_add(&hashes, pieces(part->count, WEIGHTS_HASH_PIECE), part->owner);
        if (!part->muon)
            map_add(&second_hashes, pieces(part->count, WEIGHTS_HASH_PIECE), part->owner);
    }
    for (int rank = 0; rank < processes; rank++)
        map_add(&ranks, 1, rank);
    out->elements = map_of(&elements);
    out->blocks = map_of(&blocks);
    out->hashes = map_of(&hashes);
    out->second_hashes = map_of(&second_hashes);
    out->ranks = map_of(&ranks);
    return OK;
}

/* Where this process keeps the moments of its parts, one after the other. */
static void place_moments(struct partition *out, int rank)
{
    for (size_t i = 0; i < out->count; i++) {
        struct part *part = &out->parts[i];
        part->own = part->owner == rank;
        if (!part->own)
            continue;
        part->first_at = out->first_count;
        out->first_count += part->count;
        if (part->muon)
            continue;
        part->second_at = out->second_count;
        out->second_count += part->count;
    }
}

status partition_create(struct partition *out, const struct weight_table *table,
                        const struct recipe *recipe, struct seat seat, struct arena *arena,
                        struct error *error)
{
    ASSERT(out && table && recipe && seat.rank < seat.count && arena && error);
    struct partition partition = {0};
    struct item *items;
    size_t count = count_items(table, recipe);
    TRY_ALLOC(items, arena, count, error);
    TRY_ALLOC(partition.parts, arena, count, error);
    list_items(items, table, recipe);
    TRY(assign_items(items, count, seat.count, arena, error));
    join_items(&partition, items, count);
    TRY(create_maps(&partition, seat.count, arena, error));
    place_moments(&partition, seat.rank);
    *out = partition;
    return OK;
}
