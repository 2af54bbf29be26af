#include "corpus/duplicates.h"

#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/thread.h"
#include "corpus/comparisons_internal.h"
#include "corpus/components.h"
#include "corpus/minhash.h"

enum { HASH_WORDS = SHA256_BYTES / 8 };

/* What is known of a document once it was read. */
struct summary {
    struct sha256 hash;
    uint64_t keys[MINHASH_BANDS];
    bool has_words;
};

/* The document that a thread reads. */
struct reader {
    struct minhasher minhasher;
    struct minhash minhash;
    struct sha256_state hash; /* of the words so far */
    bool has_words;
};

struct duplicates {
    struct duplicates_settings settings;
    struct arena *arena;
    struct text_readers texts;
    struct reader *readers; /* [threads] */
    struct summary *batch;  /* [BATCH_DOCUMENTS] */
    /* while adding */
    struct external_sort *hashes; /* {SHA-256 in four, document} */
    struct external_sort *keys;   /* {key, document} */
    /* while finishing */
    struct external_sort *edges; /* {document, document} */
    struct external_sort *exact; /* {document}: has an exact duplicate with a smaller number */
    struct external_sort *nodes, *by_root, *sizes;
    /* while reading */
    struct external_sort *members; /* {document, cluster, size} */
    const uint64_t *next_exact;
};

const char *duplicate_kind_name(enum duplicate_kind kind)
{
    static const char *const names[] = {"first", "exact", "near"};
    ASSERT(kind < sizeof names / sizeof *names);
    return names[kind];
}

/* A sort with a sixteenth or more of the memory. */
static status new_sort(struct external_sort **out, const struct duplicates *duplicates,
                       size_t words, size_t sixteenths, struct error *error)
{
    struct external_sort_settings settings = {
        words, duplicates->settings.memory_bytes / 16 * sixteenths, duplicates->settings.folder,
        duplicates->settings.pool};
    return external_sort_create(out, &settings, error);
}

static status create_in(struct duplicates *duplicates, struct error *error)
{
    size_t threads = (size_t)thread_pool_count(duplicates->settings.pool);
    TRY(text_readers_open(&duplicates->texts, duplicates->settings.pool, duplicates->arena, error));
    TRY_ALLOC(duplicates->batch, duplicates->arena, BATCH_DOCUMENTS, error);
    TRY_ALLOC(duplicates->readers, duplicates->arena, threads, error);
    for (size_t i = 0; i < threads; i++)
        minhasher_open(&duplicates->readers[i].minhasher);
    for (size_t i = 0; i < threads; i++)
        TRY(sha256_begin(&duplicates->readers[i].hash, error));
    TRY(new_sort(&duplicates->hashes, duplicates, HASH_WORDS + 1, 2, error));
    return new_sort(&duplicates->keys, duplicates, 2, 8, error);
}

status duplicates_create(struct duplicates **out, const struct duplicates_settings *settings,
                         struct error *error)
{
    ASSERT(out && settings && settings->folder && settings->pool && error);
    if (settings->memory_bytes < DUPLICATES_MEMORY_BYTES_MIN)
        return fail(error, ERR_USAGE, "finding duplicates has %zu bytes of memory, needed are %d",
                    settings->memory_bytes, DUPLICATES_MEMORY_BYTES_MIN);
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct duplicates *duplicates = arena_alloc(arena, 1, sizeof *duplicates, error);
    if (!duplicates) {
        arena_destroy(arena);
        return error->code;
    }
    duplicates->settings = *settings;
    duplicates->arena = arena;
    status result = create_in(duplicates, error);
    if (result != OK) {
        duplicates_destroy(duplicates);
        return result;
    }
    *out = duplicates;
    return OK;
}

void duplicates_destroy(struct duplicates *duplicates)
{
    if (!duplicates)
        return;
    for (int i = 0; duplicates->readers && i < thread_pool_count(duplicates->settings.pool); i++) {
        minhasher_close(&duplicates->readers[i].minhasher);
        sha256_abandon(&duplicates->readers[i].hash);
    }
    text_readers_close(&duplicates->texts);
    external_sort_destroy(duplicates->hashes);
    external_sort_destroy(duplicates->keys);
    external_sort_destroy(duplicates->edges);
    external_sort_destroy(duplicates->exact);
    external_sort_destroy(duplicates->nodes);
    external_sort_destroy(duplicates->by_root);
    external_sort_destroy(duplicates->sizes);
    external_sort_destroy(duplicates->members);
    arena_destroy(duplicates->arena);
}

static void drop_sort(struct external_sort **sort)
{
    external_sort_destroy(*sort);
    *sort = NULL;
}

/* ---- reading documents ---- */

struct text_readers *duplicates_readers(struct duplicates *duplicates)
{
    return &duplicates->texts;
}

void duplicates_begin(struct duplicates *duplicates, int thread)
{
    struct reader *reader = &duplicates->readers[thread];
    reader->has_words = false;
    if (duplicates->settings.near)
        minhash_begin(&reader->minhash, &reader->minhasher);
}

void duplicates_take(struct duplicates *duplicates, int thread, const struct text_stretch *stretch)
{
    struct reader *reader = &duplicates->readers[thread];
    const struct words_piece *words = &stretch->words;
    reader->has_words = true;
    sha256_add(&reader->hash, words->normal.data, words->normal.len);
    if (duplicates->settings.near)
        minhash_add(&reader->minhash, &reader->minhasher, words, stretch->folded_fives);
}

void duplicates_end(struct duplicates *duplicates, int thread, size_t index, struct view text)
{
    struct reader *reader = &duplicates->readers[thread];
    struct summary *summary = &duplicates->batch[index];
    if (!reader->has_words)
        sha256_add(&reader->hash, text.data ? text.data : "", text.len);
    summary->has_words = reader->has_words;
    summary->hash = sha256_take(&reader->hash);
    if (duplicates->settings.near && reader->has_words) {
        minhash_end(&reader->minhash, &reader->minhasher);
        minhash_keys(summary->keys, &reader->minhash);
    }
}

/* The hash as four numbers whose order is that of its bytes. */
static void hash_numbers(uint64_t out[HASH_WORDS], const struct sha256 *hash)
{
    for (size_t i = 0; i < HASH_WORDS; i++) {
        out[i] = 0;
        for (size_t k = 0; k < 8; k++)
            out[i] = out[i] << 8 | hash->byte[8 * i + k];
    }
}

static status keep_summary(struct duplicates *duplicates, const struct summary *summary,
                           uint64_t number, struct error *error)
{
    uint64_t hash[HASH_WORDS + 1], keys[MINHASH_BANDS][2];
    hash_numbers(hash, &summary->hash);
    hash[HASH_WORDS] = number;
    TRY(external_sort_add(duplicates->hashes, hash, 1, error));
    if (!duplicates->settings.near || !summary->has_words)
        return OK;
    for (size_t band = 0; band < MINHASH_BANDS; band++) {
        keys[band][0] = summary->keys[band];
        keys[band][1] = number;
    }
    return external_sort_add(duplicates->keys, keys[0], MINHASH_BANDS, error);
}

status duplicates_keep(struct duplicates *duplicates, const struct numbered_text *documents,
                       size_t count, struct error *error)
{
    ASSERT(duplicates->hashes);
    for (size_t i = 0; i < count; i++)
        TRY(keep_summary(duplicates, &duplicates->batch[i], documents[i].number, error));
    return OK;
}

status duplicates_add(struct duplicates *duplicates, const struct numbered_text *documents,
                      size_t count, struct error *error)
{
    ASSERT(duplicates && duplicates->hashes);
    return comparisons_add(NULL, &(struct comparisons){.duplicates = duplicates}, documents, count,
                           error);
}

/* ---- clusters ---- */

/* Records with the same leading numbers belong together; each group's first document, which is its
 * smallest, gets an edge to each other. */
static status add_edges(struct duplicates *duplicates, struct external_sort *from, size_t leading,
                        bool exact, struct error *error)
{
    const uint64_t *record;
    uint64_t group[HASH_WORDS] = {0}, first = 0;
    TRY(external_sort_finish(from, error));
    for (bool any = false;; any = true) {
        TRY(external_sort_next(&record, from, error));
        if (!record)
            return OK;
        uint64_t document = record[leading];
        if (!any || memcmp(record, group, leading * sizeof *record) != 0) {
            memcpy(group, record, leading * sizeof *record);
            first = document;
            continue;
        }
        TRY(external_sort_add(duplicates->edges, (const uint64_t[]){document, first}, 1, error));
        if (exact)
            TRY(external_sort_add(duplicates->exact, &document, 1, error));
    }
}

static status group(struct duplicates *duplicates, struct error *error)
{
    TRY(new_sort(&duplicates->edges, duplicates, 2, 4, error));
    TRY(new_sort(&duplicates->exact, duplicates, 1, 1, error));
    TRY(add_edges(duplicates, duplicates->hashes, HASH_WORDS, true, error));
    drop_sort(&duplicates->hashes);
    TRY(add_edges(duplicates, duplicates->keys, 1, false, error));
    drop_sort(&duplicates->keys);
    TRY(external_sort_finish(duplicates->exact, error));
    return external_sort_finish(duplicates->edges, error);
}

/* Sorts nodes by root and counts each root's: the sizes come in the order of roots. */
static status count_members(struct duplicates *duplicates, struct error *error)
{
    const uint64_t *record;
    uint64_t size[2] = {0, 0};
    TRY(new_sort(&duplicates->by_root, duplicates, 2, 4, error));
    TRY(new_sort(&duplicates->sizes, duplicates, 2, 2, error));
    for (;;) {
        TRY(external_sort_next(&record, duplicates->nodes, error));
        if (!record)
            break;
        TRY(external_sort_add(duplicates->by_root, (const uint64_t[]){record[1], record[0]}, 1,
                              error));
    }
    drop_sort(&duplicates->nodes);
    TRY(external_sort_finish(duplicates->by_root, error));
    do {
        TRY(external_sort_next(&record, duplicates->by_root, error));
        if (size[1] && (!record || record[0] != size[0])) {
            TRY(external_sort_add(duplicates->sizes, size, 1, error));
            size[1] = 0;
        }
        if (record) {
            size[0] = record[0];
            size[1] = size[1] ? size[1] + 1 : 2; /* the root is a member too */
        }
    } while (record);
    TRY(external_sort_finish(duplicates->sizes, error));
    return external_sort_rewind(duplicates->by_root, error);
}

/* Every member, the root too, with its cluster and the cluster's size. */
static status list_members(struct duplicates *duplicates, struct error *error)
{
    const uint64_t *record, *size = NULL;
    TRY(new_sort(&duplicates->members, duplicates, 3, 4, error));
    for (;;) {
        TRY(external_sort_next(&record, duplicates->by_root, error));
        if (!record)
            break;
        if (!size || size[0] != record[0]) {
            TRY(external_sort_next(&size, duplicates->sizes, error));
            ASSERT(size && size[0] == record[0]);
            TRY(external_sort_add(duplicates->members,
                                  (const uint64_t[]){size[0], size[0], size[1]}, 1, error));
        }
        TRY(external_sort_add(duplicates->members,
                              (const uint64_t[]){record[1], record[0], size[1]}, 1, error));
    }
    drop_sort(&duplicates->by_root);
    drop_sort(&duplicates->sizes);
    return external_sort_finish(duplicates->members, error);
}

status duplicates_finish(struct duplicates *duplicates, struct error *error)
{
    ASSERT(duplicates && duplicates->hashes && error);
    struct external_sort_settings settings = {2, duplicates->settings.memory_bytes / 4,
                                              duplicates->settings.folder,
                                              duplicates->settings.pool};
    TRY(group(duplicates, error));
    TRY(components_find(&duplicates->nodes, duplicates->edges, &settings, error));
    drop_sort(&duplicates->edges);
    TRY(count_members(duplicates, error));
    TRY(list_members(duplicates, error));
    return external_sort_next(&duplicates->next_exact, duplicates->exact, error);
}

status duplicates_next(bool *found, struct duplicate *out, struct duplicates *duplicates,
                       struct error *error)
{
    ASSERT(found && out && duplicates && duplicates->members && error);
    const uint64_t *record;
    TRY(external_sort_next(&record, duplicates->members, error));
    *found = record != NULL;
    if (!record)
        return OK;
    *out = (struct duplicate){record[0], record[1], record[2], DUPLICATE_FIRST};
    while (duplicates->next_exact && *duplicates->next_exact < out->document)
        TRY(external_sort_next(&duplicates->next_exact, duplicates->exact, error));
    if (duplicates->next_exact && *duplicates->next_exact == out->document)
        out->kind = DUPLICATE_EXACT;
    else if (out->document != out->cluster)
        out->kind = DUPLICATE_NEAR;
    return OK;
}
