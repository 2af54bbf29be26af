#include "train/train_internal.h"

#include <inttypes.h>
#include <string.h>

static const size_t KNOWN_BYTES_MAX = LEDGER_LINES_MAX * sizeof(struct ledger_entry);
static const char *const STATE_MARK = "\"state\":\"";

static status learn_line(void *context, size_t index, struct view json, struct error *error)
{
    struct run_ledger *chain = context;
    struct ledger_entry known = {.line = sha256_of(json.data, json.len)};
    char hex[SHA256_HEX_BYTES] = "";
    const char *mark = memmem(json.data, json.len, STATE_MARK, strlen(STATE_MARK));
    if (mark && (size_t)(json.data + json.len - mark) >= strlen(STATE_MARK) + SHA256_HEX_BYTES - 1)
        memcpy(hex, mark + strlen(STATE_MARK), SHA256_HEX_BYTES - 1);
    if (!sha256_parse(&known.state, hex))
        return fail(error, ERR_FORMAT, "%s: line %zu states no state", chain->path, index + 1);
    return buffer_append(&chain->known, &known, sizeof known, error);
}

status run_ledger_open(struct run_ledger *out, const char *run, struct error *error)
{
    ASSERT(out && run && error);
    *out = (struct run_ledger){0};
    TRY(path_join(out->path, sizeof out->path, run, "ledger.jsonl", error));
    buffer_create(&out->known, KNOWN_BYTES_MAX);
    status result = ledger_open(&out->ledger, out->path, learn_line, out, error);
    if (result == OK)
        result = ledger_mend(&out->ledger, error);
    if (result != OK)
        buffer_destroy(&out->known);
    return result;
}

void run_ledger_close(struct run_ledger *chain)
{
    ASSERT(chain);
    buffer_destroy(&chain->known);
}

static struct ledger_entry known_line(const struct run_ledger *chain, size_t index)
{
    struct ledger_entry line;
    ASSERT(index < chain->known.len / sizeof line);
    memcpy(&line, chain->known.data + index * sizeof line, sizeof line);
    return line;
}

/* ---- members of a line ---- */

static status add_hash(struct buffer *out, const char *name, const struct sha256 *hash,
                       struct error *error)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    return buffer_format(out, error, ",\"%s\":\"%s\"", name, hex);
}

static status add_identity(struct buffer *out, const struct identity *identity, struct error *error)
{
    TRY(add_hash(out, "recipe", &identity->recipe, error));
    TRY(add_hash(out, "corpus", &identity->corpus, error));
    TRY(add_hash(out, "tokenizer", &identity->tokenizer, error));
    return add_hash(out, "tokens", &identity->tokens, error);
}

/* Of a segment after a revision: SHA-256 over its steps' shares of the rate, as f64, since the
 * recipe's hash does not say how steps were changed. */
static status add_rates(struct buffer *out, const struct recipe *recipe, int64_t from, int64_t to,
                        struct error *error)
{
    struct revisions revisions;
    bool known = revisions_parse(&revisions, recipe);
    ASSERT(known);
    if (!revisions.count || revisions.items[0].step >= to)
        return OK;
    struct sha256_state state;
    TRY(sha256_begin(&state, error));
    for (int64_t step = from + 1; step <= to; step++) {
        double share = schedule_share(recipe, step);
        sha256_add(&state, &share, sizeof share);
    }
    const struct sha256 rates = sha256_end(&state);
    return add_hash(out, "rates", &rates, error);
}

static status add_segment(struct buffer *out, const struct recipe *recipe,
                          const struct checkpoint *checkpoint, struct error *error)
{
    const struct segment *segment = checkpoint->segment;
    int64_t step = checkpoint->position->step;
    uint32_t loss_bits;
    memcpy(&loss_bits, &segment->loss, sizeof loss_bits);
    TRY(buffer_format(out, error, "\"kind\":\"segment\",\"from\":%" PRId64 ",\"step\":%" PRId64,
                      segment->from, step));
    TRY(add_hash(out, "before", &segment->before, error));
    TRY(add_hash(out, "state", &checkpoint->hashes->state, error));
    TRY(buffer_format(out, error, ",\"rows\":[%" PRId64 ",%" PRId64 "],\"loss\":\"%08" PRIx32 "\"",
                      schedule_rows(recipe, segment->from), schedule_rows(recipe, step),
                      loss_bits));
    TRY(add_hash(out, "losses", &segment->losses, error));
    TRY(add_rates(out, recipe, segment->from, step, error));
    return add_identity(out, checkpoint->identity, error);
}

/* ---- writing, or finding that it stands there already ---- */

/* The line that ledger_append would write at `index`. */
static status hash_line(struct sha256 *out, const struct run_ledger *chain, size_t index,
                        const char *members, struct error *error)
{
    struct buffer text;
    struct sha256 previous = {0};
    char hex[SHA256_HEX_BYTES];
    if (index)
        previous = known_line(chain, index - 1).line;
    sha256_hex(hex, &previous);
    buffer_create(&text, LEDGER_LINE_BYTES_MAX);
    status result =
        buffer_format(&text, error, "{\"index\":%zu,\"previous\":\"%s\",%s}", index, hex, members);
    if (result == OK)
        *out = sha256_of(text.data, text.len);
    buffer_destroy(&text);
    return result;
}

static status put_line(struct run_ledger *chain, size_t index, const char *members,
                       const struct sha256 *state, struct error *error)
{
    struct ledger_entry line = {.state = *state};
    if (index > chain->ledger.lines)
        return fail(error, ERR_CONFLICT, "%s: has %zu lines, the run has come to line %zu",
                    chain->path, chain->ledger.lines, index + 1);
    TRY(hash_line(&line.line, chain, index, members, error));
    if (index == chain->ledger.lines) {
        TRY(ledger_append(&chain->ledger, members, error));
        ASSERT(sha256_equal(&chain->ledger.last, &line.line));
        return buffer_append(&chain->known, &line, sizeof line, error);
    }
    struct sha256 stands = known_line(chain, index).line;
    if (!sha256_equal(&stands, &line.line))
        return fail(error, ERR_CONFLICT,
                    "%s: line %zu was written by an earlier pass over these steps and doing them "
                    "again gave another result: the recipe's files, the program or the machine "
                    "have changed",
                    chain->path, index + 1);
    return OK;
}

status run_ledger_begin(struct run_ledger *chain, const struct identity *identity,
                        const struct sha256 *state, struct error *error)
{
    ASSERT(chain && identity && state && error);
    struct buffer members;
    buffer_create(&members, LEDGER_LINE_BYTES_MAX);
    status result = buffer_string(&members, "\"kind\":\"begin\",\"step\":0", error);
    if (result == OK)
        result = add_hash(&members, "state", state, error);
    if (result == OK)
        result = add_identity(&members, identity, error);
    if (result == OK)
        result = put_line(chain, 0, members.data, state, error);
    buffer_destroy(&members);
    return result;
}

/* Line 0 is the beginning; checkpoints on the grid follow, the last one at the last step. */
static size_t line_of(const struct recipe *recipe, int64_t step)
{
    return (size_t)((step + recipe->checkpoint_every - 1) / recipe->checkpoint_every);
}

status run_ledger_segment(struct run_ledger *chain, const struct recipe *recipe,
                          const struct checkpoint *checkpoint, struct error *error)
{
    ASSERT(chain && recipe && checkpoint && error);
    ASSERT(checkpoint->position->step > checkpoint->segment->from);
    struct buffer members;
    buffer_create(&members, LEDGER_LINE_BYTES_MAX);
    status result = add_segment(&members, recipe, checkpoint, error);
    if (result == OK)
        result = put_line(chain, line_of(recipe, checkpoint->position->step), members.data,
                          &checkpoint->hashes->state, error);
    buffer_destroy(&members);
    return result;
}

int64_t run_ledger_step(const struct run_ledger *chain, const struct recipe *recipe)
{
    ASSERT(chain && recipe);
    return chain->ledger.lines ? (int64_t)(chain->ledger.lines - 1) * recipe->checkpoint_every : 0;
}

status run_ledger_check(const struct run_ledger *chain, const struct recipe *recipe,
                        const struct segment *segment, struct error *error)
{
    ASSERT(chain && recipe && segment && error);
    size_t index = line_of(recipe, segment->from);
    if (index >= chain->ledger.lines)
        return fail(error, ERR_CONFLICT, "%s: has %zu lines, the newest checkpoint needs %zu",
                    chain->path, chain->ledger.lines, index + 1);
    struct sha256 state = known_line(chain, index).state;
    if (!sha256_equal(&state, &segment->before))
        return fail(error, ERR_CONFLICT,
                    "%s: line %zu states another state than the newest checkpoint", chain->path,
                    index + 1);
    return OK;
}
