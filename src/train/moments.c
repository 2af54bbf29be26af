/* The optimizer's moments, of which each process keeps its part: hashed in place, written by rank 0
 * piece by piece, read by each for itself. */
#include "train/train_internal.h"

#include <string.h>

enum { PIECE_COUNT = WEIGHTS_HASH_PIECE /* elements sent, and hashed, as one */ };
enum moment { MOMENT_FIRST, MOMENT_SECOND, MOMENTS };

static const float *own_values(const struct optimizer *optimizer, const struct part *part,
                               enum moment moment)
{
    return moment == MOMENT_FIRST ? optimizer->first + part->first_at
                                  : optimizer->second + part->second_at;
}

static bool has(const struct part *part, enum moment moment)
{
    return moment == MOMENT_FIRST || !part->muon;
}

void moments_reset(struct optimizer *optimizer)
{
    ASSERT(optimizer);
    const struct partition *partition = &optimizer->partition;
    memset(optimizer->first, 0, partition->first_count * sizeof *optimizer->first);
    memset(optimizer->second, 0, partition->second_count * sizeof *optimizer->second);
}

/* ---- hashes ---- */

static size_t list_pieces(struct weights_piece *out, const float *values, size_t count,
                          struct sha256 *hashes)
{
    size_t pieces = 0;
    for (size_t at = 0; at < count; at += PIECE_COUNT, pieces++)
        out[pieces] = (struct weights_piece){
            values + at, count - at < PIECE_COUNT ? count - at : PIECE_COUNT, &hashes[pieces]};
    return pieces;
}

/* Each hashes its own pieces; the hashes are shared. */
static status hash_moment(struct sha256 *out, const struct optimizer *optimizer, enum moment moment,
                          struct arena *arena, struct error *error)
{
    const struct partition *partition = &optimizer->partition;
    const struct comm_map *map =
        moment == MOMENT_FIRST ? &partition->hashes : &partition->second_hashes;
    size_t all = map->start[map->parts], count = 0, at = 0;
    struct weights_piece *pieces;
    struct sha256 *hashes;
    TRY_ALLOC(pieces, arena, all, error);
    TRY_ALLOC(hashes, arena, all, error);
    for (size_t i = 0; i < partition->count; i++) {
        const struct part *part = &partition->parts[i];
        if (!has(part, moment))
            continue;
        if (part->own)
            count += list_pieces(pieces + count, own_values(optimizer, part, moment), part->count,
                                 hashes + map->start[at]);
        at++;
    }
    weights_hash_pieces(pieces, count, optimizer->model->compute);
    comm_share_begin(optimizer->comm, map, hashes, sizeof *hashes, 0, all);
    comm_wait(optimizer->comm);
    return weights_hash_join(
        out, moment == MOMENT_FIRST ? &optimizer->model->table : &optimizer->seconds, hashes,
        error);
}

status moments_hash(struct sha256 *first, struct sha256 *second, const struct optimizer *optimizer,
                    struct error *error)
{
    ASSERT(first && second && optimizer && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = hash_moment(first, optimizer, MOMENT_FIRST, arena, error);
    if (result == OK)
        result = hash_moment(second, optimizer, MOMENT_SECOND, arena, error);
    arena_destroy(arena);
    return result;
}

/* ---- the file: first moments of all weights, then second moments of those that have them ---- */

/* One moment's tensors, under names that begin with `prefix`. */
static status list_moment(struct safetensor *out, const struct weight_table *table,
                          const char *prefix, struct arena *arena, struct error *error)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct weight *weight = &table->weights[i];
        char *name = arena_format(arena, error, "%s%s", prefix, weight->name);
        if (!name)
            return error->code;
        out[i] = (struct safetensor){.name = name,
                                     .dtype = "F32",
                                     .shape = {weight->rows, weight->columns},
                                     .dimensions = 2,
                                     .bytes = weight->rows * weight->columns * sizeof(float)};
    }
    return OK;
}

static status list_tensors(struct safetensor **out, size_t *count,
                           const struct optimizer *optimizer, struct arena *arena,
                           struct error *error)
{
    size_t firsts = optimizer->model->table.count;
    *count = firsts + optimizer->seconds.count;
    TRY_ALLOC(*out, arena, *count, error);
    TRY(list_moment(*out, &optimizer->model->table, "first.", arena, error));
    return list_moment(*out + firsts, &optimizer->seconds, "second.", arena, error);
}

/* Walks all moments in the file's order, a piece of a part at a time. */
struct walk {
    const struct optimizer *optimizer;
    enum moment moment;
    size_t part, at;
    float *piece; /* [PIECE_COUNT]: others' */
};

/* The next piece, in rank 0: its own, or as its owner sends it.  False at the end. */
static bool walk_on(struct walk *walk, struct view *out)
{
    const struct optimizer *optimizer = walk->optimizer;
    const struct partition *partition = &optimizer->partition;
    for (;; walk->part++, walk->at = 0) {
        if (walk->part == partition->count) {
            walk->part = 0;
            walk->moment++;
        }
        if (walk->moment == MOMENTS)
            return false;
        const struct part *part = &partition->parts[walk->part];
        if (has(part, walk->moment) && walk->at < part->count)
            break;
    }
    const struct part *part = &partition->parts[walk->part];
    size_t count = part->count - walk->at < PIECE_COUNT ? part->count - walk->at : PIECE_COUNT;
    float *values = walk->piece;
    if (part->own)
        values = (float *)(uintptr_t)own_values(optimizer, part, walk->moment) + walk->at;
    walk->at += count;
    comm_collect(optimizer->comm, part->owner, values, count * sizeof *values);
    *out = (struct view){(const char *)values, count * sizeof *values};
    return true;
}

static status next_piece(void *context, struct view *piece, struct error *error)
{
    (void)error;
    bool more = walk_on(context, piece);
    ASSERT(more);
    return OK;
}

static status save(const struct optimizer *optimizer, const char *path, struct arena *arena,
                   struct error *error)
{
    struct safetensor *tensors = NULL;
    struct walk walk = {.optimizer = optimizer};
    size_t count = 0;
    TRY_ALLOC(walk.piece, arena, PIECE_COUNT, error);
    TRY(list_tensors(&tensors, &count, optimizer, arena, error));
    return safetensors_write_from(path, tensors, count,
                                  &(struct safetensors_source){next_piece, &walk}, error);
}

status moments_save(const struct optimizer *optimizer, const char *path, struct error *error)
{
    ASSERT(optimizer && path && error);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    status result = save(optimizer, path, arena, error);
    arena_destroy(arena);
    return result;
}

void moments_send(const struct optimizer *optimizer)
{
    ASSERT(optimizer && comm_rank(optimizer->comm) > 0);
    struct walk walk = {.optimizer = optimizer};
    struct view piece;
    while (walk_on(&walk, &piece)) {}
}

/* ---- reading ---- */

static status find_values(const float **out, const struct safetensors *file,
                          const struct safetensor *wanted, const char *path, struct error *error)
{
    const struct safetensor *tensor = safetensors_find(file, wanted->name);
    if (!tensor || strcmp(tensor->dtype, "F32") != 0 || tensor->bytes != wanted->bytes)
        return fail(error, ERR_FORMAT, "%s: has no tensor %s of %zu bytes", path, wanted->name,
                    wanted->bytes);
    *out = (const float *)tensor->data;
    return OK;
}

/* Of one moment: takes what is this process's, and hashes all unless `hash` is NULL. */
static status take_moment(struct sha256 *hash, const struct optimizer *optimizer,
                          enum moment moment, const float *const *values, struct arena *arena,
                          struct error *error)
{
    const struct partition *partition = &optimizer->partition;
    const struct weight_table *table = &optimizer->model->table;
    const struct comm_map *map =
        moment == MOMENT_FIRST ? &partition->hashes : &partition->second_hashes;
    size_t all = map->start[map->parts], count = 0, tensor = 0;
    struct weights_piece *pieces;
    struct sha256 *hashes;
    TRY_ALLOC(pieces, arena, all, error);
    TRY_ALLOC(hashes, arena, all, error);
    for (size_t i = 0; i < partition->count; i++) {
        const struct part *part = &partition->parts[i];
        size_t from = part->begin - table->weights[part->weight].offset;
        if (!has(part, moment))
            continue;
        tensor += count && from == 0;
        const float *source = values[tensor] + from;
        if (part->own)
            memcpy((void *)(uintptr_t)own_values(optimizer, part, moment), source,
                   part->count * sizeof *source);
        count += list_pieces(pieces + count, source, part->count, hashes + count);
    }
    if (!hash)
        return OK;
    weights_hash_pieces(pieces, count, optimizer->model->compute);
    return weights_hash_join(hash, moment == MOMENT_FIRST ? table : &optimizer->seconds, hashes,
                             error);
}

static status load(struct optimizer *optimizer, const struct safetensors *file, const char *path,
                   struct moments_hashes *hashes, struct arena *arena, struct error *error)
{
    struct safetensor *wanted = NULL;
    const float **values;
    size_t count = 0, firsts = optimizer->model->table.count;
    TRY(list_tensors(&wanted, &count, optimizer, arena, error));
    TRY_ALLOC(values, arena, count, error);
    for (size_t i = 0; i < count; i++)
        TRY(find_values(&values[i], file, &wanted[i], path, error));
    TRY(take_moment(hashes ? &hashes->first : NULL, optimizer, MOMENT_FIRST, values, arena, error));
    return take_moment(hashes ? &hashes->second : NULL, optimizer, MOMENT_SECOND, values + firsts,
                       arena, error);
}

status moments_load(struct optimizer *optimizer, const char *path, struct moments_hashes *hashes,
                    struct error *error)
{
    ASSERT(optimizer && path && error);
    struct arena *arena = NULL;
    struct safetensors file = {0};
    TRY(arena_create(&arena, 0, error));
    status result = safetensors_open(&file, path, arena, error);
    if (result == OK)
        result = load(optimizer, &file, path, hashes, arena, error);
    safetensors_close(&file);
    arena_destroy(arena);
    return result;
}
