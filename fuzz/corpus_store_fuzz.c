/* modules: base text proof corpus */
#include <stdlib.h>
#include <string.h>

#include "corpus/manifest.h"
#include "corpus/membership_proof.h"
#include "corpus/store_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* What was read is written and read again: the same. */
static void lines(struct view input, struct arena *arena)
{
    struct error error = {0};
    struct document document = {0}, again = {0};
    struct decision decision = {0};
    struct tombstone tombstone = {0};
    uint64_t offset, same;
    struct buffer line;
    buffer_create(&line, STORE_LINE_BYTES_MAX);
    if (document_line_parse(&document, &offset, input, arena)) {
        must(document_line_write(&line, &document, offset, &error) == OK);
        must(document_line_parse(&again, &same, (struct view){line.data, line.len}, arena));
        must(same == offset && again.text.len == document.text.len);
        must(strcmp(again.id, document.id) == 0 && again.cluster == document.cluster);
        must(sha256_equal(&again.read, &document.read) && again.held_out == document.held_out);
        buffer_clear(&line);
    }
    if (decision_parse(&decision, input, arena)) {
        must(decision_write(&line, &decision, &error) == OK);
        must(decision_parse(&decision, (struct view){line.data, line.len}, arena));
        buffer_clear(&line);
    }
    if (tombstone_parse(&tombstone, input, arena)) {
        must(tombstone_write(&line, &tombstone, &error) == OK);
        must(tombstone_parse(&tombstone, (struct view){line.data, line.len}, arena));
    }
    buffer_destroy(&line);
}

/* A proof that holds of a made-up root would need a broken SHA-256: only its form varies. */
static void proof(struct view input, struct arena *arena)
{
    struct error error = {0};
    struct corpus_proof read, again;
    struct buffer line;
    bool checked;
    if (corpus_proof_parse(&read, input, "fuzz", arena, &error) != OK)
        return;
    status held = corpus_proof_check(&checked, &read, input, &error);
    must(held == OK || held == ERR_CONFLICT);
    read.roots.root = corpus_root_of(&read.roots); /* so that the trees are climbed */
    error = (struct error){0};
    held = corpus_proof_check(&checked, &read, input, &error);
    must(held == OK || held == ERR_CONFLICT);
    error = (struct error){0};
    buffer_create(&line, 4 * PROOF_BYTES_MAX);
    must(corpus_proof_write(&line, &read, &error) == OK);
    if (line.len <= PROOF_BYTES_MAX) {
        must(corpus_proof_parse(&again, (struct view){line.data, line.len}, "fuzz", arena,
                                &error) == OK);
        must(corpus_proof_check(&checked, &again, input, &error) == held);
    }
    buffer_destroy(&line);
}

/* A manifest as it is, and with its hash made right: the text before, the mark, the hash. */
static void manifest(struct view input, struct arena *arena)
{
    struct error error = {0};
    cJSON *json;
    char hex[SHA256_HEX_BYTES], *sealed = arena_alloc(arena, input.len + 128, 1, &error);
    must(sealed != NULL);
    struct sha256 hash = sha256_of(input.data, input.len);
    sha256_hex(hex, &hash);
    size_t len = input.len;
    memcpy(sealed, input.data, len);
    len += (size_t)sprintf(sealed + len, ",\"check\":\"%s\"\n}\n", hex);
    const struct view both[] = {input, {sealed, len}};
    for (size_t i = 0; i < 2; i++) {
        struct corpus_roots roots;
        struct manifest_file file;
        error = (struct error){0};
        if (manifest_parse(&json, both[i], "fuzz", &error) != OK)
            continue;
        manifest_roots(&roots, json);
        (void)manifest_file_of(&file, json, "texts.bin");
        cJSON_Delete(json);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct arena *arena;
    struct view input = {(const char *)data, size};
    if (arena_create(&arena, 0, &error) != OK)
        return 0;
    lines(input, arena);
    proof(input, arena);
    manifest(input, arena);
    arena_destroy(arena);
    return 0;
}
