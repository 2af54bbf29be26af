/* rodnik guard: scan, mask. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/progress.h"
#include "base/thread.h"
#include "text/personal.h"
#include "text/utf8.h"

enum { DOCUMENT_BYTES_MAX = 1 << 30, FOLDER_DEPTH_MAX = 64 };

struct guard {
    bool mask, json;
    const char *out; /* folder of masked files, or NULL */
    struct personal_policy policy;
    struct personal_findings findings;
    struct buffer masked, input;
    struct arena *arena; /* for names in folders */
    struct personal_counts total;
    size_t documents, dropped, refused;
    double bytes;
    struct progress progress;
};

/* ---- results ---- */

static void print_finding(const struct guard *guard, const char *path,
                          const struct personal_finding *finding)
{
    if (guard->json) {
        printf("{\"path\": ");
        cli_print_json_string(path);
        printf(", \"type\": \"%s\", \"start\": %zu, \"end\": %zu, \"confidence\": %.2f, "
               "\"reason\": \"%s\"}\n",
               personal_type_name(finding->type), finding->start, finding->end,
               finding->confidence * 0.01, finding->reason);
        return;
    }
    printf("%s:%zu-%zu %s %d%% %s\n", path, finding->start, finding->end,
           personal_type_name(finding->type), finding->confidence, finding->reason);
}

/* {"phone": 2, "email": 1} */
static void print_found_json(const struct personal_counts *counts)
{
    const char *comma = "";
    printf("{");
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        if (!counts->found[i])
            continue;
        printf("%s\"%s\": %llu", comma, personal_type_name((enum personal_type)i),
               (unsigned long long)counts->found[i]);
        comma = ", ";
    }
    printf("}");
}

static void print_document_json(const char *path, const struct personal_counts *counts)
{
    printf("{\"path\": ");
    cli_print_json_string(path);
    printf(", \"dropped\": %s, \"replaced\": %llu, \"found\": ", counts->drop ? "true" : "false",
           (unsigned long long)counts->replaced);
    print_found_json(counts);
    printf("}\n");
}

static void print_total(const struct guard *guard)
{
    fprintf(stderr, "%zu documents, %.2f MB", guard->documents, guard->bytes * 1e-6);
    if (guard->mask)
        fprintf(stderr, ", %llu replaced, %zu dropped", (unsigned long long)guard->total.replaced,
                guard->dropped);
    if (guard->refused)
        fprintf(stderr, ", %zu refused", guard->refused);
    const char *sign = ": ";
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        if (!guard->total.found[i])
            continue;
        fprintf(stderr, "%s%llu %s", sign, (unsigned long long)guard->total.found[i],
                personal_type_name((enum personal_type)i));
        sign = ", ";
    }
    fprintf(stderr, "\n");
}

/* ---- one document ---- */

/* Writes the masked text under the out folder, in place of nothing. */
static status write_masked(struct guard *guard, const char *name, struct error *error)
{
    char path[PATH_BYTES];
    TRY(path_join(path, sizeof path, guard->out, name, error));
    if (path_exists(path))
        return fail(error, ERR_CONFLICT, "%s is there already; choose another --out", path);
    char *slash = strrchr(path, '/');
    if (slash) {
        *slash = 0;
        TRY(folder_make(path, error));
        *slash = '/';
    }
    return file_write_atomic(path, guard->masked.data ? guard->masked.data : "", guard->masked.len,
                             error);
}

static status give_masked(struct guard *guard, const char *path, const char *name,
                          const struct personal_counts *counts, struct error *error)
{
    if (counts->drop) {
        guard->dropped++;
        fprintf(stderr,
                "rodnik guard mask: %s is left out, since the policy drops documents with %s\n",
                path, personal_type_name(counts->drop_for));
    } else if (guard->out)
        TRY(write_masked(guard, name, error));
    else if (guard->masked.len &&
             fwrite(guard->masked.data, 1, guard->masked.len, stdout) != guard->masked.len)
        return fail_errno(error, "can't write to standard output");
    if (guard->json)
        print_document_json(path, counts);
    return OK;
}

/* name: the path below the out folder */
static status guard_document(struct guard *guard, const char *path, const char *name,
                             struct view text, struct error *error)
{
    struct personal_counts counts;
    buffer_clear(&guard->masked);
    TRY(personal_apply(&guard->masked, &counts, &guard->findings, text, &guard->policy, error));
    guard->documents++;
    guard->bytes += (double)text.len;
    guard->total.replaced += counts.replaced;
    for (int i = 0; i < PERSONAL_TYPES; i++)
        guard->total.found[i] += counts.found[i];
    if (guard->mask)
        TRY(give_masked(guard, path, name, &counts, error));
    for (size_t i = 0; !guard->mask && i < guard->findings.count; i++)
        print_finding(guard, path, personal_finding_at(&guard->findings, i));
    progress_update(&guard->progress, guard->bytes, NULL);
    return interrupt_requested() ? fail(error, ERR_INTERRUPTED, "stopped") : OK;
}

/* ---- inputs ---- */

/* Names what can't be read and goes on; the exit status tells. */
static status refuse(struct guard *guard, const char *path, const char *what)
{
    guard->refused++;
    fprintf(stderr, "rodnik guard: %s: %s\n", path, what);
    return OK;
}

static status guard_file(struct guard *guard, const char *path, const char *name,
                         struct error *error)
{
    struct file_bytes bytes;
    struct error own = {0};
    if (file_map(&bytes, path, &own) != OK)
        return refuse(guard, path, own.text);
    struct view text = {bytes.data ? (const char *)bytes.data : "", bytes.len};
    status result = OK;
    if (text.len > DOCUMENT_BYTES_MAX)
        result = refuse(guard, path, "larger than 1 GiB, which is allowed");
    else if (!utf8_valid(text))
        result = refuse(guard, path, "no UTF-8 text; only that is read");
    else
        result = guard_document(guard, path, name, text, error);
    file_unmap(&bytes);
    return result;
}

static status guard_folder(struct guard *guard, const char *path, const char *name, int depth,
                           struct error *error)
{
    char **names;
    size_t count;
    if (depth > FOLDER_DEPTH_MAX)
        return fail(error, ERR_LIMIT, "%s lies more than %d folders deep, which is allowed", path,
                    FOLDER_DEPTH_MAX);
    TRY(folder_list(&names, &count, path, guard->arena, error));
    for (size_t i = 0; i < count; i++) {
        char *below = arena_format(guard->arena, error, "%s/%s", path, names[i]);
        char *out = arena_format(guard->arena, error, "%s%s%s", name, *name ? "/" : "", names[i]);
        if (!below || !out)
            return error->code;
        if (names[i][0] == '.' || folder_is_link(below))
            continue;
        struct arena_mark mark = arena_mark(guard->arena);
        if (folder_exists(below))
            TRY(guard_folder(guard, below, out, depth + 1, error));
        else if (file_exists(below))
            TRY(guard_file(guard, below, out, error));
        arena_rewind(guard->arena, mark);
    }
    return OK;
}

static status guard_pipe(struct guard *guard, struct error *error)
{
    enum { PIECE_BYTES = 1 << 16 };
    char piece[PIECE_BYTES];
    buffer_clear(&guard->input);
    for (;;) {
        ssize_t len = read(STDIN_FILENO, piece, sizeof piece);
        if (len < 0 && errno == EINTR && !interrupt_requested())
            continue;
        if (len < 0)
            return fail_errno(error, "can't read standard input");
        if (len == 0)
            break;
        TRY(buffer_append(&guard->input, piece, (size_t)len, error));
    }
    struct view text = {guard->input.data ? guard->input.data : "", guard->input.len};
    if (!utf8_valid(text))
        return fail(error, ERR_FORMAT, "standard input is no UTF-8 text; only that is read");
    return guard_document(guard, "-", "standard-input.txt", text, error);
}

static status guard_inputs(struct guard *guard, char *const *inputs, size_t count,
                           struct error *error)
{
    if (count == 0)
        return guard_pipe(guard, error);
    for (size_t i = 0; i < count; i++) {
        const char *slash = strrchr(inputs[i], '/');
        if (strcmp(inputs[i], "-") == 0)
            TRY(guard_pipe(guard, error));
        else if (folder_exists(inputs[i]))
            TRY(guard_folder(guard, inputs[i], "", 0, error));
        else if (path_exists(inputs[i]))
            TRY(guard_file(guard, inputs[i], slash ? slash + 1 : inputs[i], error));
        else
            return fail(error, ERR_IO, "there is no file or folder %s", inputs[i]);
    }
    return OK;
}

/* ---- options ---- */

/* Leaves only the types of a list such as "phone,email" to be looked for; without a policy that
 * says otherwise they are replaced. */
static status keep_types(struct personal_policy *policy, struct view list, bool replace,
                         struct error *error)
{
    uint32_t wanted = 0;
    while (list.len > 0) {
        const char *comma = memchr(list.data, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.data) : list.len;
        struct view name = view_trim((struct view){list.data, len});
        enum personal_type type = personal_type_named(name);
        if (type == PERSONAL_TYPES)
            return fail(error, ERR_USAGE,
                        "--types has '%.*s', allowed are names of types as --help shows them",
                        name.len < 64 ? (int)name.len : 64, name.data);
        wanted |= 1u << type;
        list.data += len + (comma != NULL);
        list.len -= len + (comma != NULL);
    }
    for (int i = 0; i < PERSONAL_TYPES; i++) {
        if (!(wanted >> i & 1))
            policy->actions[i] = PERSONAL_IGNORE;
        else if (replace || policy->actions[i] == PERSONAL_IGNORE)
            policy->actions[i] = PERSONAL_REPLACE;
    }
    return OK;
}

static status run(struct guard *guard, const struct options_result *options, struct error *error)
{
    TRY(arena_create(&guard->arena, 0, error));
    personal_findings_create(&guard->findings);
    /* a placeholder may be longer than what it stands for */
    buffer_create(&guard->masked, (size_t)DOCUMENT_BYTES_MAX * 2);
    buffer_create(&guard->input, DOCUMENT_BYTES_MAX);
    interrupt_install();
    progress_begin(&guard->progress, guard->mask ? "masking" : "scanning", "bytes", 0,
                   isatty(STDOUT_FILENO));
    status result = guard_inputs(guard, options->positional, options->positional_count, error);
    progress_end(&guard->progress, guard->bytes);
    buffer_destroy(&guard->input);
    buffer_destroy(&guard->masked);
    personal_findings_destroy(&guard->findings);
    arena_destroy(guard->arena);
    if (result == OK && fflush(stdout) != 0)
        result = fail_errno(error, "can't write to standard output");
    return result;
}

static const char type_help[] =
    "types: person birth_date address phone email card iban account bik inn inn_org snils ogrn\n"
    "       ogrnip passport oms driver_licence plate medical_record diagnosis ssn ip url\n"
    "Files are UTF-8 text; start and end count bytes.  Values are never printed.";

static const struct command_help scan_help = {
    "rodnik guard scan [options] [INPUT...]",
    "Lists personal data in files, folders or standard input: where, what, how sure and why.",
    "  rodnik guard scan --json letters/ | sort | uniq -c\n"
    "  rodnik guard scan --types phone,email notes.txt",
    type_help};
static const struct command_help mask_help = {
    "rodnik guard mask [options] [INPUT...]",
    "Writes texts with personal data replaced by placeholders such as [PHONE], to standard output "
    "or to --out.",
    "  rodnik guard mask < letter.txt > masked.txt\n"
    "  rodnik guard mask --policy person=keep,card=drop --out masked letters/",
    type_help};

/* What is wrong with the options together, or what they change. */
static status settle(struct guard *guard, const char *policy, const char *types, int64_t confidence,
                     struct error *error)
{
    guard->policy = personal_policy_guard();
    guard->policy.confidence_min = (int)confidence;
    if (policy)
        TRY(personal_policy_change(&guard->policy, view_of(policy), error));
    if (types)
        TRY(keep_types(&guard->policy, view_of(types), !policy, error));
    guard->policy.confidence_min = (int)confidence;
    for (int i = 0; !guard->mask && i < PERSONAL_TYPES; i++) {
        if (guard->policy.actions[i] != PERSONAL_IGNORE)
            guard->policy.actions[i] = PERSONAL_KEEP;
    }
    if (guard->mask && guard->json && !guard->out)
        return fail(error, ERR_USAGE,
                    "--json needs --out DIR, since the text goes to standard output without it");
    return OK;
}

static int guard_command(bool mask, int argc, char **argv)
{
    struct guard guard = {.mask = mask};
    const char *policy = NULL, *types = NULL;
    int64_t confidence = PERSONAL_CONFIDENCE_MIN;
    const struct option table[] = {
        {"types", OPTION_STRING, &types, 0, 0, "LIST", "only these types (default all)"},
        {"confidence", OPTION_INT, &confidence, 1, 100, "PERCENT",
         "leave out what is less sure (default 50)"},
        {"json", OPTION_FLAG, &guard.json, 0, 0, NULL,
         mask ? "print a line of counts for each document" : "print one finding a line as JSON"},
        {"policy", OPTION_STRING, &policy, 0, 0, "LIST",
         "guard (default), corpus, or TYPE=ignore|keep|replace|drop,..."},
        {"out", OPTION_STRING, &guard.out, 0, 0, "DIR", "folder for the masked files"},
    };
    size_t count = sizeof table / sizeof *table - (mask ? 0 : 2);
    struct options_result options;
    int exit_status;
    if (!cli_options(&options, &exit_status, mask ? &mask_help : &scan_help, table, count, argc,
                     argv))
        return exit_status;
    struct error error = {0};
    if (settle(&guard, policy, types, confidence, &error) != OK ||
        run(&guard, &options, &error) != OK)
        return cli_fail(argv[0], &error);
    if (!guard.json)
        print_total(&guard);
    return guard.refused ? 1 : 0;
}

int command_guard(int argc, char **argv)
{
    char scan_name[] = "guard scan", mask_name[] = "guard mask"; /* for messages */
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "scan") == 0 || strcmp(verb, "mask") == 0) {
        bool mask = verb[0] == 'm';
        argv[1] = mask ? mask_name : scan_name;
        return guard_command(mask, argc - 1, argv + 1);
    }
    bool help = strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0;
    fprintf(help ? stdout : stderr,
            "usage: rodnik guard scan [options] [INPUT...]\n"
            "       rodnik guard mask [options] [INPUT...]\n\nrodnik guard scan --help tells "
            "more.\nexample:\n  rodnik guard mask < letter.txt > masked.txt\n");
    return help ? 0 : 2;
}
