/* Signals of every candidate, and what a profile says of them. */
#include "corpus/corpus_internal.h"
#include "corpus/profile.h"

struct judging {
    struct gathering *gathering;
    struct profile profile;
    const struct language_model *model;
    struct signals *signals;    /* [candidates] */
    struct signals_work **work; /* [threads] */
    struct error *errors;       /* [threads] */
};

static void judge_one(struct judging *judging, size_t index, int thread)
{
    struct candidate *candidate = &judging->gathering->list[index];
    struct signals *signals = &judging->signals[index];
    if (candidate->dropped || signals_measure(signals, judging->work[thread], candidate->text,
                                              &judging->errors[thread]) != OK)
        return;
    const char *language =
        signals->language ? language_label(judging->model, (int)signals->language - 1) : "none";
    int rule = profile_decide(&judging->profile, signals, language);
    candidate->signals = signals;
    candidate->filtered = rule != PROFILE_KEPT;
    candidate->dropped = candidate->filtered ? profile_rule_name(rule) : NULL;
}

static void judge_some(void *context, size_t begin, size_t end, int thread)
{
    struct judging *judging = context;
    for (size_t i = begin; i < end; i++)
        if (judging->errors[thread].code == OK && !interrupt_requested())
            judge_one(judging, i, thread);
}

static status judge_all(struct judging *judging, struct thread_pool *pool, struct error *error)
{
    parallel_for(pool, judging->gathering->count, 8, judge_some, judging);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped while measuring documents");
    for (int i = 0; i < thread_pool_count(pool); i++)
        if (judging->errors[i].code != OK)
            return fail(error, judging->errors[i].code, "%s", judging->errors[i].text);
    return OK;
}

status judge(struct gathering *gathering, struct thread_pool *pool, struct error *error)
{
    if (!gathering->settings->profile)
        return OK;
    size_t threads = (size_t)thread_pool_count(pool);
    struct judging judging = {.gathering = gathering};
    struct language_model *model;
    struct arena *arena = gathering->arena;
    TRY(profile_open(&judging.profile, gathering->settings->profile, error));
    TRY(language_open_own(&model, arena, error));
    TRY_ALLOC(judging.signals, arena, gathering->count + 1, error);
    TRY_ALLOC(judging.errors, arena, threads, error);
    TRY_ALLOC(judging.work, arena, threads, error);
    judging.model = gathering->model = model;
    status result = OK;
    for (size_t i = 0; i < threads && result == OK; i++)
        result = signals_work_create(&judging.work[i], model, arena, error);
    if (result == OK)
        result = judge_all(&judging, pool, error);
    for (size_t i = 0; i < threads; i++)
        signals_work_destroy(judging.work[i]);
    return result;
}

static status write_records(struct signals_writer *writer, const struct gathering *gathering,
                            struct error *error)
{
    for (size_t i = 0; i < gathering->count; i++) {
        const struct candidate *candidate = &gathering->list[i];
        if (candidate->signals)
            TRY(signals_writer_add(writer, &candidate->hash, candidate->signals, error));
    }
    return OK;
}

status judge_write(const struct gathering *gathering, const char *folder, struct error *error)
{
    char path[PATH_BYTES];
    struct signals_writer writer;
    if (!gathering->settings->profile)
        return OK;
    TRY(path_join(path, sizeof path, folder, "signals.bin", error));
    TRY(signals_writer_open(&writer, path, gathering->model, error));
    status result = write_records(&writer, gathering, error);
    if (result == OK)
        return signals_writer_commit(&writer, error);
    signals_writer_abort(&writer);
    return result;
}
