#include "corpus/corpus.h"

#include <stdlib.h>
#include <string.h>

#include "corpus/corpus_internal.h"
#include "proof/merkle.h"

struct corpus_settings corpus_settings_default(void)
{
    return (struct corpus_settings){.text_field = "text",
                                    .source = "unknown",
                                    .license = "unknown",
                                    .held_out = 0.02,
                                    .minimum_bytes = 64};
}

status document_leaf(struct sha256 *out, const struct document *document, struct error *error)
{
    struct sha256_state state;
    TRY(sha256_begin(&state, error));
    sha256_add(&state, "rodnik salt", 12);
    sha256_add(&state, document->id, strlen(document->id) + 1);
    sha256_add(&state, &document->hash, sizeof document->hash);
    struct sha256 salt = sha256_end(&state);
    const struct view pieces[] = {{(const char *)salt.byte, sizeof salt.byte},
                                  document->text,
                                  {"", 1},
                                  {document->license, strlen(document->license) + 1},
                                  {document->source, strlen(document->source) + 1},
                                  view_of("human")};
    return merkle_leaf(out, pieces, sizeof pieces / sizeof *pieces, error);
}

/* ---- decisions ---- */

static int compare_hashes(const struct sha256 *a, const struct sha256 *b)
{
    return memcmp(a->byte, b->byte, sizeof a->byte);
}

static int by_id(const void *a, const void *b)
{
    const struct candidate *left = a, *right = b;
    int order = strcmp(left->id, right->id);
    return order ? order : compare_hashes(&left->hash, &right->hash);
}

static int by_hash(const void *a, const void *b)
{
    const struct candidate *left = *(const struct candidate *const *)a;
    const struct candidate *right = *(const struct candidate *const *)b;
    int order = compare_hashes(&left->hash, &right->hash);
    return order ? order : left < right ? -1 : left > right; /* the list is in order of ids */
}

static bool chosen(const struct candidate *candidate, double share)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | candidate->hash.byte[i];
    return (double)value < share * 0x1p64;
}

enum { HELD_OUT_NEEDED = 10 }; /* a corpus of this many documents holds out at least one */

static void hold_out(struct gathering *gathering, struct candidate **sorted, size_t kept,
                     struct corpus_counts *counts)
{
    for (size_t i = 0; i < kept; i++)
        sorted[i]->held_out =
            chosen(sorted[i], gathering->settings->held_out) || (i == 0 && kept >= HELD_OUT_NEEDED);
    for (size_t i = 0; i < kept; i++)
        if (sorted[i]->held_out && gathering->settings->held_out > 0) {
            counts->held_out++;
            counts->held_out_bytes += sorted[i]->text.len;
        } else
            sorted[i]->held_out = false;
}

/* The smallest id of equal texts stays.  Sorted by hash, the first document is also the likeliest
 * to be held out. */
static status decide_all(struct gathering *gathering, struct corpus_counts *counts,
                         struct error *error)
{
    struct candidate **sorted;
    TRY_ALLOC(sorted, gathering->arena, gathering->count + 1, error);
    if (gathering->count)
        qsort(gathering->list, gathering->count, sizeof *gathering->list, by_id);
    size_t kept = 0;
    for (size_t i = 0; i < gathering->count; i++)
        if (!gathering->list[i].dropped)
            sorted[kept++] = &gathering->list[i];
    if (kept)
        qsort(sorted, kept, sizeof *sorted, by_hash);
    size_t unique = 0;
    for (size_t i = 0; i < kept; i++) {
        if (unique && sha256_equal(&sorted[i]->hash, &sorted[unique - 1]->hash)) {
            sorted[i]->dropped = "is a duplicate";
            sorted[i]->equal = sorted[unique - 1];
            sorted[unique - 1]->cluster++;
            counts->duplicates++;
            continue;
        }
        sorted[unique++] = sorted[i];
        sorted[i]->cluster = 1;
        counts->bytes += sorted[i]->text.len;
    }
    counts->documents = unique;
    hold_out(gathering, sorted, unique, counts);
    return OK;
}

/* Refusals of single documents (encodings) are named like those of files. */
static status name_refused(struct gathering *gathering, struct corpus_counts *counts,
                           struct error *error)
{
    for (size_t i = 0; i < gathering->count; i++) {
        const struct candidate *candidate = &gathering->list[i];
        if (!candidate->dropped || strcmp(candidate->dropped, "is a duplicate") == 0)
            continue;
        if (candidate->filtered)
            counts->filtered++;
        else if (strcmp(candidate->dropped, "is shorter than the minimum") == 0)
            counts->short_documents++;
        else
            TRY(gathering_refuse(gathering, candidate->id, candidate->dropped, error));
    }
    counts->refused = gathering->refused_count;
    counts->files = gathering->files;
    return OK;
}

/* ---- the whole ---- */

static status build(struct corpus_counts *counts, const struct corpus_job *job,
                    struct gathering *gathering, struct arena **arenas, struct error *error)
{
    TRY(gather(gathering, job->inputs, job->input_count, error));
    TRY(clean(gathering, job->pool, arenas, error));
    TRY(judge(gathering, job->pool, error));
    TRY(decide_all(gathering, counts, error));
    TRY(name_refused(gathering, counts, error));
    if (counts->documents == 0)
        return fail(error, ERR_FORMAT,
                    "%s: holds no readable text of at least %lld bytes (%zu dropped by the "
                    "profile, %zu refused%s%s%s%s)",
                    job->inputs[0], (long long)job->settings.minimum_bytes, counts->filtered,
                    counts->refused, counts->refused ? "; first: " : "",
                    counts->refused ? gathering->refused[0].what : "", counts->refused ? " " : "",
                    counts->refused ? gathering->refused[0].reason : "");
    return store_write(gathering, counts, job->out, error);
}

static status build_in(struct corpus_counts *counts, const struct corpus_job *job,
                       struct arena *arena, struct error *error)
{
    size_t threads = (size_t)thread_pool_count(job->pool);
    struct gathering *gathering;
    struct arena **arenas;
    TRY_ALLOC(gathering, arena, 1, error);
    TRY_ALLOC(arenas, arena, threads, error);
    gathering->arena = arena;
    gathering->settings = &job->settings;
    gathering->progress = job->progress;
    gathering->context = job->context;
    gathering->readers = (int)threads;
    status result = OK;
    for (size_t i = 0; i < threads && result == OK; i++)
        result = arena_create(&arenas[i], 0, error);
    if (result == OK)
        result = build(counts, job, gathering, arenas, error);
    for (size_t i = 0; i < threads; i++)
        arena_destroy(arenas[i]);
    return result;
}

status corpus_build(struct corpus_counts *out, const struct corpus_job *job, struct error *error)
{
    ASSERT(out && job && job->inputs && job->out && job->pool && error);
    if (job->input_count == 0)
        return fail(error, ERR_USAGE, "no input was named: give files or folders");
    struct arena *arena = NULL;
    TRY(arena_create(&arena, 0, error));
    struct corpus_counts counts = {0};
    status result = build_in(&counts, job, arena, error);
    arena_destroy(arena);
    if (result == OK)
        *out = counts;
    return result;
}
