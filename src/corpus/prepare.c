/* One document, alone: it is cleaned, hashed, looked up in the opt-out list, measured, and held
 * against its profile. */
#include <string.h>

#include "corpus/corpus_internal.h"
#include "corpus/opt_out.h"
#include "corpus/profile.h"

static const size_t BUFFER_BYTES_MAX = (size_t)3 << 30;

enum choice { CHOICE_ONE, CHOICE_RU, CHOICE_EN, CHOICES };

struct worker {
    struct arena *arena; /* texts that cleaning changed */
    struct buffer buffers[2];
    struct signals_work *work;
    struct error error;
};

struct preparer {
    const struct corpus_settings *settings;
    struct thread_pool *pool;
    struct language_model *model;
    struct opt_out *opt_out; /* NULL: none */
    bool judges, by_kind;
    struct profile profiles[CHOICES];
    struct worker *workers; /* [threads] */
    struct prepared *list;
};

/* ---- profiles ---- */

static status open_profiles(struct preparer *preparer, const char *name, struct error *error)
{
    preparer->judges = strcmp(name, "none") != 0;
    preparer->by_kind = strcmp(name, "auto") == 0;
    if (!preparer->judges)
        return OK;
    if (!preparer->by_kind)
        return profile_open(&preparer->profiles[CHOICE_ONE], name, error);
    TRY(profile_open(&preparer->profiles[CHOICE_ONE], "plain", error));
    TRY(profile_open(&preparer->profiles[CHOICE_RU], "web-ru", error));
    return profile_open(&preparer->profiles[CHOICE_EN], "web-en", error);
}

/* Rules made for web pages reject good books, tables and verse. */
static const struct profile *profile_for(const struct preparer *preparer, const struct found *found,
                                         const char *language)
{
    bool page = view_is(found->kind, "html") || view_is(found->kind, "warc") ||
                (view_is(found->kind, "txt") && found->url.len);
    if (preparer->by_kind && page && strcmp(language, "ru") == 0)
        return &preparer->profiles[CHOICE_RU];
    if (preparer->by_kind && page && strcmp(language, "en") == 0)
        return &preparer->profiles[CHOICE_EN];
    return &preparer->profiles[CHOICE_ONE];
}

static void judge(const struct preparer *preparer, struct prepared *document)
{
    const char *language =
        document->signals.language
            ? language_label(preparer->model, (int)document->signals.language - 1)
            : "none";
    const struct profile *profile = profile_for(preparer, &document->found, language);
    int rule = profile_decide(profile, &document->signals, language);
    if (rule == PROFILE_KEPT)
        return;
    document->left = CORPUS_FILTERED;
    document->detail = (uint64_t)rule;
}

/* ---- a document ---- */

static status copy_text(struct prepared *document, struct view raw, struct arena *arena,
                        struct error *error)
{
    struct view *text = &document->found.text;
    if (text->data >= raw.data && text->data + text->len <= raw.data + raw.len)
        return OK;
    char *copy = arena_alloc(arena, text->len + 1, 1, error);
    if (!copy)
        return error->code;
    text->data = memcpy(copy, text->data, text->len);
    return OK;
}

static status prepare_one(const struct preparer *preparer, struct worker *worker,
                          struct prepared *document, struct error *error)
{
    struct view raw = document->found.text;
    for (int i = 0; i < 2; i++)
        buffer_clear(&worker->buffers[i]);
    TRY(clean_text(&document->found.text, &document->refused, worker->buffers, raw, error));
    if (document->refused)
        return OK;
    TRY(copy_text(document, raw, worker->arena, error));
    struct view text = document->found.text;
    document->read = sha256_of(text.data, text.len);
    if (text.len < (size_t)preparer->settings->minimum_bytes) {
        document->left = CORPUS_SHORT;
        return OK;
    }
    if (preparer->opt_out) {
        struct opt_out_match match =
            opt_out_match(preparer->opt_out, &document->read, document->found.url);
        if (match.reason != OPT_OUT_NO) {
            document->left = CORPUS_OPT_OUT;
            document->detail = match.line;
            return OK;
        }
    }
    TRY(signals_measure(&document->signals, worker->work, text, error));
    document->measured = true;
    if (preparer->judges)
        judge(preparer, document);
    return OK;
}

static void prepare_some(void *context, size_t begin, size_t end, int thread)
{
    struct preparer *preparer = context;
    struct worker *worker = &preparer->workers[thread];
    for (size_t i = begin; i < end && worker->error.code == OK && !interrupt_requested(); i++)
        (void)!prepare_one(preparer, worker, &preparer->list[i], &worker->error);
}

status prepare(struct preparer *preparer, struct prepared *list, size_t count, struct error *error)
{
    ASSERT(preparer && (list || !count) && error);
    int threads = thread_pool_count(preparer->pool);
    preparer->list = list;
    for (int i = 0; i < threads; i++)
        arena_reset(preparer->workers[i].arena);
    parallel_for(preparer->pool, count, 4, prepare_some, preparer);
    for (int i = 0; i < threads; i++)
        if (preparer->workers[i].error.code != OK)
            return fail(error, preparer->workers[i].error.code, "%s",
                        preparer->workers[i].error.text);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped while cleaning documents");
    return OK;
}

/* ---- beginning and end ---- */

static status create_workers(struct preparer *preparer, struct arena *arena, struct error *error)
{
    size_t threads = (size_t)thread_pool_count(preparer->pool);
    TRY_ALLOC(preparer->workers, arena, threads, error);
    for (size_t i = 0; i < threads; i++) {
        struct worker *worker = &preparer->workers[i];
        for (int b = 0; b < 2; b++)
            buffer_create(&worker->buffers[b], BUFFER_BYTES_MAX);
        TRY(arena_create(&worker->arena, 0, error));
        TRY(signals_work_create(&worker->work, preparer->model, arena, error));
    }
    return OK;
}

status preparer_create(struct preparer **out, const struct corpus_settings *settings,
                       struct thread_pool *pool, struct arena *arena, struct error *error)
{
    ASSERT(out && settings && settings->profile && pool && arena && error);
    struct preparer *preparer;
    TRY_ALLOC(preparer, arena, 1, error);
    preparer->settings = settings;
    preparer->pool = pool;
    TRY(open_profiles(preparer, settings->profile, error));
    TRY(language_open_own(&preparer->model, arena, error));
    if (settings->opt_out)
        TRY(opt_out_read(&preparer->opt_out, settings->opt_out, arena, error));
    status result = create_workers(preparer, arena, error);
    if (result == OK)
        *out = preparer;
    else
        preparer_destroy(preparer);
    return result;
}

void preparer_destroy(struct preparer *preparer)
{
    if (!preparer || !preparer->workers)
        return;
    for (int i = 0; i < thread_pool_count(preparer->pool); i++) {
        struct worker *worker = &preparer->workers[i];
        for (int b = 0; b < 2; b++)
            buffer_destroy(&worker->buffers[b]);
        arena_destroy(worker->arena);
        signals_work_destroy(worker->work);
    }
}

const struct language_model *preparer_model(const struct preparer *preparer)
{
    return preparer->model;
}

status preparer_identify(const struct preparer *preparer, struct sha256_state *state,
                         struct error *error)
{
    struct buffer text;
    buffer_create(&text, 1 << 20);
    status result = OK;
    for (int i = 0; i < CHOICES && preparer->judges && result == OK; i++)
        if (i == CHOICE_ONE || preparer->by_kind)
            result = profile_write(&text, &preparer->profiles[i], error);
    if (result == OK && text.len)
        sha256_add(state, text.data, text.len);
    buffer_destroy(&text);
    if (result == OK && preparer->opt_out) {
        struct sha256 list;
        TRY(sha256_of_file(&list, preparer->settings->opt_out, error));
        sha256_add(state, &list, sizeof list);
    }
    return result;
}
