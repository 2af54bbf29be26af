/* Signals of a whole corpus: batches of documents on all threads, written in their order. */
#include "corpus/corpus.h"
#include "corpus/signals.h"

enum { BATCH = 4096 };

struct batch {
    const struct signals_job *job;
    size_t first;               /* document of item 0 */
    struct signals *signals;    /* [BATCH] */
    struct signals_work **work; /* [threads] */
    struct error *errors;       /* [threads] */
};

static void measure_some(void *context, size_t begin, size_t end, int thread)
{
    struct batch *batch = context;
    struct error *error = &batch->errors[thread];
    for (size_t i = begin; i < end && error->code == OK && !interrupt_requested(); i++) {
        struct view text = corpus_document(batch->job->corpus, batch->first + i)->text;
        (void)!signals_measure(&batch->signals[i], batch->work[thread], text, error);
    }
}

static status measure_batch(struct batch *batch, size_t count, struct error *error)
{
    int threads = thread_pool_count(batch->job->pool);
    parallel_for(batch->job->pool, count, 8, measure_some, batch);
    if (interrupt_requested())
        return fail(error, ERR_INTERRUPTED, "stopped while measuring documents");
    for (int i = 0; i < threads; i++)
        if (batch->errors[i].code != OK)
            return fail(error, batch->errors[i].code, "%s", batch->errors[i].text);
    return OK;
}

static status measure_all(struct signals_writer *writer, struct batch *batch, struct error *error)
{
    const struct signals_job *job = batch->job;
    size_t total = corpus_count(job->corpus);
    double done = 0;
    for (batch->first = 0; batch->first < total; batch->first += BATCH) {
        size_t count = total - batch->first < BATCH ? total - batch->first : BATCH;
        TRY(measure_batch(batch, count, error));
        for (size_t i = 0; i < count; i++) {
            const struct document *document = corpus_document(job->corpus, batch->first + i);
            TRY(signals_writer_add(writer, &document->hash, &batch->signals[i], error));
            done += (double)document->text.len;
        }
        if (job->progress)
            job->progress(job->context, done);
    }
    return OK;
}

static status make_batch(struct batch *out, const struct signals_job *job, struct arena *arena,
                         struct error *error)
{
    size_t threads = (size_t)thread_pool_count(job->pool);
    *out = (struct batch){.job = job};
    TRY_ALLOC(out->signals, arena, BATCH, error);
    TRY_ALLOC(out->errors, arena, threads, error);
    TRY_ALLOC(out->work, arena, threads, error);
    for (size_t i = 0; i < threads; i++)
        TRY(signals_work_create(&out->work[i], job->model, arena, error));
    return OK;
}

status signals_of_corpus(const struct signals_job *job, struct error *error)
{
    ASSERT(job && job->corpus && job->pool && job->path && error);
    struct arena *arena = NULL;
    struct batch batch = {0};
    struct signals_writer writer;
    TRY(arena_create(&arena, 0, error));
    status result = make_batch(&batch, job, arena, error);
    if (result == OK &&
        (result = signals_writer_open(&writer, job->path, job->model, error)) == OK) {
        result = measure_all(&writer, &batch, error);
        if (result == OK)
            result = signals_writer_commit(&writer, error);
        else
            signals_writer_abort(&writer);
    }
    for (int i = 0; batch.work && i < thread_pool_count(job->pool); i++)
        signals_work_destroy(batch.work[i]);
    arena_destroy(arena);
    return result;
}
