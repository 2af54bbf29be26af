/* rodnik tokenizer: train, encode, decode, show; report is in cmd_tokenizer_report.c. */
#include "cli/cmd_tokenizer.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "corpus/corpus.h"
#include "text/unicode.h"
#include "tokenizer/tokenizer.h"

/* ---- train ---- */

enum { MEGABYTE = 1000000, HELD_OUT_BYTES = 8 * MEGABYTE };

/* The documents of a corpus, either those to learn from or those held out. */
struct documents {
    const struct corpus *corpus;
    size_t index;
    bool held_out;
    uint64_t bytes; /* given so far */
};

static status next_document(void *context, struct view *text, struct error *error)
{
    (void)error;
    struct documents *documents = context;
    while (documents->index < corpus_count(documents->corpus)) {
        const struct document *document = corpus_document(documents->corpus, documents->index++);
        if (document->held_out != documents->held_out)
            continue;
        *text = document->text;
        documents->bytes += document->text.len;
        return OK;
    }
    *text = (struct view){0};
    documents->index = 0;
    return OK;
}

struct training_job {
    const char *corpus, *out;
    int64_t vocabulary, sample_megabytes, upper_case_every, threads;
};

/* How well a tokenizer packs text it has not seen. */
struct packing {
    uint64_t bytes, characters, tokens;
    double train_s, encode_s;
};

static status measure(struct packing *out, const struct tokenizer *tokenizer,
                      const struct corpus *corpus, struct arena *arena, struct error *error)
{
    struct documents documents = {.corpus = corpus, .held_out = true};
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    TRY(tokenizer_encoder_create(&encoder, tokenizer, arena, error));
    tokens_create(&tokens, TOKENIZER_TEXT_BYTES_MAX);
    double start = time_monotonic_s();
    status result = OK;
    while (documents.bytes < HELD_OUT_BYTES) {
        struct view text;
        TRY_DONE(next_document(&documents, &text, error));
        if (!text.data)
            break;
        tokens_clear(&tokens);
        TRY_DONE(tokenizer_encode(&tokens, encoder, text, false, error));
        out->tokens += tokens.count;
        out->characters += utf8_count(text);
    }
    out->bytes = documents.bytes;
    out->encode_s = time_monotonic_s() - start;
done:
    tokens_destroy(&tokens);
    tokenizer_encoder_destroy(encoder);
    return result;
}

/* Ratios are null where nothing was held out. */
static void print_training_json(const struct training_job *job, const struct tokenizer *tokenizer,
                                const struct packing *packing, double bytes_per_token,
                                double characters_per_token)
{
    printf("{\"tokenizer\": ");
    cli_print_json_string(job->out);
    printf(", \"vocabulary\": %u, \"merges\": %u, \"train_seconds\": %.3f, "
           "\"held_out_bytes\": %llu, ",
           tokenizer_vocabulary(tokenizer), tokenizer_merge_count(tokenizer), packing->train_s,
           (unsigned long long)packing->bytes);
    if (packing->tokens)
        printf("\"bytes_per_token\": %.4f, \"characters_per_token\": %.4f}\n", bytes_per_token,
               characters_per_token);
    else
        printf("\"bytes_per_token\": null, \"characters_per_token\": null}\n");
}

static void print_training(const struct training_job *job, const struct tokenizer *tokenizer,
                           const struct packing *packing, bool json)
{
    double tokens = packing->tokens ? (double)packing->tokens : 1;
    double bytes_per_token = (double)packing->bytes / tokens;
    double characters_per_token = (double)packing->characters / tokens;
    if (json)
        print_training_json(job, tokenizer, packing, bytes_per_token, characters_per_token);
    else
        printf("%s: %u tokens, trained in %.1f s; on %.2f MB held out %.2f bytes or %.2f "
               "characters a token\n",
               job->out, tokenizer_vocabulary(tokenizer), packing->train_s,
               (double)packing->bytes * 1e-6, bytes_per_token, characters_per_token);
}

static status train_from_corpus(struct tokenizer **out, struct packing *packing,
                                const struct training_job *job, struct arena *arena,
                                struct error *error)
{
    struct corpus *corpus;
    struct thread_pool *pool;
    TRY(corpus_open(&corpus, job->corpus, arena, error));
    status result = thread_pool_create(&pool, cli_threads(job->threads), error);
    if (result != OK) {
        corpus_close(corpus);
        return result;
    }
    interrupt_install();
    struct documents documents = {.corpus = corpus};
    double start = time_monotonic_s();
    TRY_DONE(tokenizer_train(
        out,
        &(struct tokenizer_training){.vocabulary = (uint32_t)job->vocabulary,
                                     .sample_max_bytes = (size_t)job->sample_megabytes * MEGABYTE,
                                     .upper_case_every = job->upper_case_every
                                                             ? (uint32_t)job->upper_case_every
                                                             : TOKENIZER_NEVER,
                                     .pool = pool,
                                     .next = next_document,
                                     .context = &documents},
        arena, error));
    packing->train_s = time_monotonic_s() - start;
    TRY_DONE(measure(packing, *out, corpus, arena, error));
    TRY_DONE(tokenizer_save(*out, job->out, error));
done:
    thread_pool_destroy(pool);
    corpus_close(corpus);
    return result;
}

static int train(int argc, char **argv, struct arena *arena)
{
    struct training_job job = {
        .vocabulary = 16384, .sample_megabytes = 500, .upper_case_every = 24};
    bool json = false;
    const struct option table[] = {
        {"corpus", OPTION_STRING, &job.corpus, 0, 0, "DIR", "corpus to learn from (needed)"},
        {"out", OPTION_STRING, &job.out, 0, 0, "FILE", "tokenizer.json to write (needed)"},
        {"vocab", OPTION_INT, &job.vocabulary, TOKENIZER_VOCABULARY_MIN, TOKENIZER_VOCABULARY_MAX,
         "N", "tokens in all, special tokens included (default 16384)"},
        {"sample", OPTION_INT, &job.sample_megabytes, 1, 16000, "MB",
         "learn from at most MB megabytes of documents, chosen by hash (default 500)"},
        {"upper-case-every", OPTION_INT, &job.upper_case_every, 0, 1000000, "N",
         "words count in upper case, too, once for N times that they stand there (default 24; 0: "
         "never)"},
        {"threads", OPTION_INT, &job.threads, 1, THREAD_COUNT_MAX, "N", "threads (default all)"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "print the result as JSON"},
    };
    const struct command_help help = {
        "rodnik tokenizer train --corpus DIR --out FILE [options]",
        "Learns a byte-level BPE vocabulary from the documents of a corpus that are not held out, "
        "and measures\nit on those that are.  The file depends on the documents alone, not on "
        "threads.",
        "  rodnik tokenizer train --corpus out/corpus --vocab 16384 --out tokenizer.json", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct tokenizer *tokenizer;
    struct packing packing = {0};
    if (!job.corpus || !job.out)
        (void)!fail(&error, ERR_USAGE, "--corpus DIR and --out FILE are needed");
    else if (options.positional_count > 0)
        (void)!fail(&error, ERR_USAGE, "'%s' is no option", options.positional[0]);
    else if (train_from_corpus(&tokenizer, &packing, &job, arena, &error) == OK) {
        print_training(&job, tokenizer, &packing, json);
        return 0;
    }
    return cli_fail("tokenizer train", &error);
}

/* ---- encode ---- */

/* The named file, or standard input up to its end. */
static status read_input(struct buffer *out, const struct options_result *options,
                         struct error *error)
{
    const char *path = options->positional_count > 0 ? options->positional[0] : "-";
    if (options->positional_count > 1)
        return fail(error, ERR_USAGE, "%zu files were named, allowed is one",
                    options->positional_count);
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file)
        return fail_errno(error, "%s cannot be opened", path);
    char block[65536];
    status result = OK;
    for (size_t got; result == OK && (got = fread(block, 1, sizeof block, file)) > 0;)
        result = buffer_append(out, block, got, error);
    if (result == OK && ferror(file))
        result = fail_errno(error, "%s cannot be read", path);
    if (file != stdin)
        (void)fclose(file);
    return result;
}

struct encode_job {
    const char *tokenizer;
    bool specials, strings, json;
};

static void print_ids(const struct tokens *tokens, bool json)
{
    if (json)
        printf("[");
    for (size_t i = 0; i < tokens->count; i++)
        printf("%s%u", i == 0 ? "" : json ? "," : " ", tokens->ids[i]);
    printf(json ? "]\n" : "\n");
}

/* A line is a JSON string; its ids are a line of output. */
static status encode_string(struct tokens *tokens, struct tokenizer_encoder *encoder,
                            struct view line, bool specials, struct error *error)
{
    cJSON *string = cJSON_ParseWithLength(line.data, line.len);
    status result =
        cJSON_IsString(string)
            ? tokenizer_encode(tokens, encoder, view_of(string->valuestring), specials, error)
            : fail(error, ERR_FORMAT, "'%.*s' is no JSON string",
                   (int)(line.len < 60 ? line.len : 60), line.data);
    cJSON_Delete(string);
    return result;
}

static status encode_text(const struct encode_job *job, struct view text, struct arena *arena,
                          struct error *error)
{
    struct tokenizer *tokenizer;
    struct tokenizer_encoder *encoder;
    struct tokens tokens;
    TRY(tokenizer_load(&tokenizer, job->tokenizer, arena, error));
    TRY(tokenizer_encoder_create(&encoder, tokenizer, arena, error));
    tokens_create(&tokens, TOKENIZER_TEXT_BYTES_MAX);
    status result = OK;
    struct view line;
    if (!job->strings) {
        TRY_DONE(tokenizer_encode(&tokens, encoder, text, job->specials, error));
        print_ids(&tokens, job->json);
    }
    while (job->strings && view_line(&line, &text)) {
        tokens_clear(&tokens);
        TRY_DONE(encode_string(&tokens, encoder, line, job->specials, error));
        print_ids(&tokens, job->json);
    }
done:
    tokens_destroy(&tokens);
    tokenizer_encoder_destroy(encoder);
    return result;
}

static int encode(int argc, char **argv, struct arena *arena)
{
    struct encode_job job = {0};
    const struct option table[] = {
        {"tokenizer", OPTION_STRING, &job.tokenizer, 0, 0, "FILE", "tokenizer.json (needed)"},
        {"specials", OPTION_FLAG, &job.specials, 0, 0, NULL,
         "text of special tokens becomes them (default: it is text)"},
        {"strings", OPTION_FLAG, &job.strings, 0, 0, NULL,
         "each line of the input is a JSON string, encoded on its own"},
        {"json", OPTION_FLAG, &job.json, 0, 0, NULL, "print ids as JSON arrays"},
    };
    const struct command_help help = {
        "rodnik tokenizer encode --tokenizer FILE [options] [TEXT-FILE]",
        "Prints the token ids of a file, or of standard input.",
        "  printf 'Привет' | rodnik tokenizer encode --tokenizer tokenizer.json", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, TOKENIZER_TEXT_BYTES_MAX);
    status result = job.tokenizer ? read_input(&text, &options, &error)
                                  : fail(&error, ERR_USAGE, "--tokenizer FILE is needed");
    if (result == OK)
        result =
            encode_text(&job, (struct view){text.data ? text.data : "", text.len}, arena, &error);
    buffer_destroy(&text);
    return result == OK ? 0 : cli_fail("tokenizer encode", &error);
}

/* ---- decode ---- */

/* Numbers between white space, commas and brackets. */
static status parse_ids(struct tokens *out, struct view text, struct error *error)
{
    static const char between[] = " \t\r\n,[]";
    for (size_t at = 0; at < text.len;) {
        size_t len = strcspn(text.data + at, between);
        uint64_t id;
        if (len > 0) {
            if (!parse_u64(&id, (struct view){text.data + at, len}) || id >= TOKEN_NONE)
                return fail(error, ERR_FORMAT, "'%.*s' is no token id", (int)(len < 40 ? len : 40),
                            text.data + at);
            TRY(tokens_append(out, &(uint32_t){(uint32_t)id}, 1, error));
        }
        at += len + 1;
    }
    return OK;
}

static status decode_text(const char *path, struct view text, struct arena *arena,
                          struct error *error)
{
    struct tokenizer *tokenizer;
    struct tokens tokens;
    struct buffer bytes;
    TRY(tokenizer_load(&tokenizer, path, arena, error));
    tokens_create(&tokens, TOKENIZER_TEXT_BYTES_MAX);
    buffer_create(&bytes, (size_t)TOKENIZER_TEXT_BYTES_MAX * 4);
    status result;
    TRY_DONE(parse_ids(&tokens, text, error));
    TRY_DONE(tokenizer_decode(&bytes, tokenizer, tokens.ids, tokens.count, error));
    if (fwrite(bytes.data ? bytes.data : "", 1, bytes.len, stdout) != bytes.len)
        result = fail_errno(error, "standard output cannot be written");
done:
    buffer_destroy(&bytes);
    tokens_destroy(&tokens);
    return result;
}

static int decode(int argc, char **argv, struct arena *arena)
{
    const char *path = NULL;
    const struct option table[] = {
        {"tokenizer", OPTION_STRING, &path, 0, 0, "FILE", "tokenizer.json (needed)"}};
    const struct command_help help = {
        "rodnik tokenizer decode --tokenizer FILE [IDS-FILE]",
        "Prints the text of token ids, read from a file or from standard input.",
        "  echo 4012 438 339 | rodnik tokenizer decode --tokenizer tokenizer.json", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, 1, argc, argv))
        return exit_status;
    struct error error = {0};
    struct buffer text;
    buffer_create(&text, TOKENIZER_TEXT_BYTES_MAX);
    status result = path ? read_input(&text, &options, &error)
                         : fail(&error, ERR_USAGE, "--tokenizer FILE is needed");
    if (result == OK)
        result =
            decode_text(path, (struct view){text.data ? text.data : "", text.len}, arena, &error);
    buffer_destroy(&text);
    return result == OK ? 0 : cli_fail("tokenizer decode", &error);
}

/* ---- show ---- */

/* Tokens by the script of their letters; those with none, or with a part of a character, apart. */
struct token_kinds {
    uint32_t cyrillic, latin, other, without_letters, parts;
};

static void count_token(struct token_kinds *kinds, struct view bytes)
{
    uint32_t seen[4] = {0};
    for (size_t at = 0; at < bytes.len;) {
        uint32_t code_point;
        at += utf8_decode(&code_point, bytes.data + at, bytes.len - at);
        if (code_point == UTF8_BAD) {
            kinds->parts++;
            return;
        }
        seen[unicode_script(code_point)]++;
    }
    kinds->cyrillic += seen[SCRIPT_CYRILLIC] > 0;
    kinds->latin += seen[SCRIPT_CYRILLIC] == 0 && seen[SCRIPT_LATIN] > 0;
    kinds->other += seen[SCRIPT_CYRILLIC] == 0 && seen[SCRIPT_LATIN] == 0 && seen[SCRIPT_OTHER] > 0;
    kinds->without_letters += seen[SCRIPT_NONE] > 0 && seen[SCRIPT_CYRILLIC] == 0 &&
                              seen[SCRIPT_LATIN] == 0 && seen[SCRIPT_OTHER] == 0;
}

static void print_summary(const char *path, const struct tokenizer *tokenizer, bool json)
{
    struct token_kinds kinds = {0};
    uint32_t vocabulary = tokenizer_vocabulary(tokenizer), specials = 0;
    size_t longest = 0;
    for (uint32_t id = 0; id < vocabulary; id++) {
        struct view bytes = tokenizer_bytes(tokenizer, id);
        if (tokenizer_is_special(tokenizer, id)) {
            specials++;
            continue;
        }
        longest = bytes.len > longest ? bytes.len : longest;
        count_token(&kinds, bytes);
    }
    if (json) {
        printf("{\"tokenizer\": ");
        cli_print_json_string(path);
    } else
        printf("%s", path);
    printf(json ? ", \"vocabulary\": %u, \"merges\": %u, \"special\": %u, "
                  "\"cyrillic\": %u, \"latin\": %u, \"other_scripts\": %u, \"without_letters\": "
                  "%u, \"parts_of_characters\": %u, \"longest_bytes\": %zu}\n"
                : ": %u tokens, %u merges, %u special tokens\ncyrillic %u, latin %u, other "
                  "scripts %u, without letters %u, parts of characters %u\nlongest token %zu "
                  "bytes\n",
           vocabulary, tokenizer_merge_count(tokenizer), specials, kinds.cyrillic, kinds.latin,
           kinds.other, kinds.without_letters, kinds.parts, longest);
}

static status print_tokens(const struct tokenizer *tokenizer, bool all, struct error *error)
{
    struct buffer text;
    buffer_create(&text, 4 * TOKENIZER_TOKEN_BYTES_MAX);
    status result = OK;
    for (uint32_t id = 0; result == OK && id < tokenizer_vocabulary(tokenizer); id++) {
        if (!all && !tokenizer_is_special(tokenizer, id))
            continue;
        buffer_clear(&text);
        result = tokenizer_printable(&text, tokenizer, id, error);
        if (result == OK)
            printf("%7u %s\n", id, text.data);
    }
    buffer_destroy(&text);
    return result;
}

static int show(int argc, char **argv, struct arena *arena)
{
    const char *path = NULL;
    bool all = false, json = false;
    const struct option table[] = {
        {"tokenizer", OPTION_STRING, &path, 0, 0, "FILE", "tokenizer.json (needed)"},
        {"tokens", OPTION_FLAG, &all, 0, 0, NULL, "list every token with its id"},
        {"json", OPTION_FLAG, &json, 0, 0, NULL, "print the summary as JSON"},
    };
    const struct command_help help = {
        "rodnik tokenizer show --tokenizer FILE [options]",
        "Shows what is in a vocabulary: tokens by script, special tokens; tokens in the printable "
        "alphabet.",
        "  rodnik tokenizer show --tokenizer tokenizer.json --tokens | less", NULL};
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, &help, table, sizeof table / sizeof *table, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    struct tokenizer *tokenizer;
    if (!path)
        (void)!fail(&error, ERR_USAGE, "--tokenizer FILE is needed");
    else if (tokenizer_load(&tokenizer, path, arena, &error) == OK) {
        print_summary(path, tokenizer, json);
        if (json || print_tokens(tokenizer, all, &error) == OK)
            return 0;
    }
    return cli_fail("tokenizer show", &error);
}

/* ---- the command ---- */

static const struct {
    const char *name;
    int (*run)(int argc, char **argv, struct arena *arena);
} verbs[] = {{"train", train},
             {"encode", encode},
             {"decode", decode},
             {"show", show},
             {"report", tokenizer_report}};

int command_tokenizer(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (strcmp(verb, verbs[i].name) != 0)
            continue;
        struct error error = {0};
        struct arena *arena;
        if (arena_create(&arena, 0, &error) != OK)
            return cli_fail("tokenizer", &error);
        char name[32]; /* what messages call the command */
        (void)snprintf(name, sizeof name, "tokenizer %s", verb);
        argv[1] = name;
        int exit_status = verbs[i].run(argc - 1, argv + 1, arena);
        arena_destroy(arena);
        return exit_status;
    }
    bool help = strcmp(verb, "--help") == 0;
    fprintf(help ? stdout : stderr,
            "usage: rodnik tokenizer train --corpus DIR --vocab N --out FILE\n"
            "       rodnik tokenizer encode --tokenizer FILE [TEXT-FILE]\n"
            "       rodnik tokenizer decode --tokenizer FILE [IDS-FILE]\n"
            "       rodnik tokenizer show --tokenizer FILE\n"
            "       rodnik tokenizer report --tokenizer FILE [--compare FILE]... [--corpus DIR] "
            "[TEXT-FILE...]\n\n"
            "rodnik tokenizer VERB --help tells more.\nexample:\n"
            "  rodnik tokenizer train --corpus out/corpus --vocab 16384 --out tokenizer.json\n");
    return help ? 0 : 2;
}
