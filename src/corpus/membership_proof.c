#include "corpus/membership_proof.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "corpus/corpus_internal.h"

/* ---- making ---- */

struct corpus_prover {
    const struct corpus *corpus;
    struct sha256 *leaves;            /* of the documents */
    struct sha256 *keys, *key_leaves; /* ascending */
    size_t key_count;
};

status corpus_prover_create(struct corpus_prover **out, const struct corpus *corpus,
                            struct arena *arena, struct error *error)
{
    ASSERT(out && corpus && arena && error);
    struct corpus_prover *prover;
    size_t count = corpus_count(corpus);
    TRY_ALLOC(prover, arena, 1, error);
    TRY_ALLOC(prover->leaves, arena, count + 1, error);
    TRY_ALLOC(prover->key_leaves, arena, count + 1, error);
    prover->corpus = corpus;
    for (size_t i = 0; i < count; i++)
        prover->leaves[i] = corpus_document(corpus, i)->leaf;
    TRY(corpus_keys(&prover->keys, &prover->key_count, corpus, arena, error));
    for (size_t i = 0; i < prover->key_count; i++)
        TRY(corpus_key_leaf(&prover->key_leaves[i], &prover->keys[i], error));
    *out = prover;
    return OK;
}

/* The first key that is not below `key`. */
static size_t place_of(const struct corpus_prover *prover, const struct sha256 *key)
{
    size_t low = 0, high = prover->key_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sha256_compare(&prover->keys[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static status prove_key(struct key_place *out, const struct corpus_prover *prover, size_t index,
                        struct error *error)
{
    out->key = prover->keys[index];
    return merkle_prove(&out->path, prover->key_leaves, prover->key_count, index, error);
}

static status prove_document(struct proof_document *out, const struct corpus_prover *prover,
                             const struct sha256 *read, struct error *error)
{
    size_t index = 0, count = corpus_count(prover->corpus);
    while (index < count && !sha256_equal(&corpus_document(prover->corpus, index)->read, read))
        index++;
    ASSERT(index < count); /* its key is there */
    const struct document *document = corpus_document(prover->corpus, index);
    out->id = document->id;
    out->source = document->source;
    out->license = document->license;
    out->text = document->hash;
    out->leaf = document->leaf;
    return merkle_prove(&out->path, prover->leaves, count, index, error);
}

status corpus_prove(struct corpus_proof *out, const struct corpus_prover *prover,
                    const struct sha256 *read, struct error *error)
{
    ASSERT(out && prover && read && error);
    struct corpus_proof proof = {.roots = *corpus_all_roots(prover->corpus), .read = *read};
    struct sha256 key = corpus_key(&proof.roots.salt, read);
    size_t at = place_of(prover, &key);
    proof.member = at < prover->key_count && sha256_equal(&prover->keys[at], &key);
    if (proof.member) {
        proof.has_before = true;
        TRY(prove_key(&proof.before, prover, at, error));
        TRY(prove_document(&proof.document, prover, read, error));
        *out = proof;
        return OK;
    }
    proof.has_before = at > 0;
    proof.has_after = at < prover->key_count;
    if (proof.has_before)
        TRY(prove_key(&proof.before, prover, at - 1, error));
    if (proof.has_after)
        TRY(prove_key(&proof.after, prover, at, error));
    *out = proof;
    return OK;
}

/* ---- checking ---- */

static status check_key(const struct key_place *place, const struct corpus_roots *roots,
                        struct error *error)
{
    struct sha256 leaf;
    TRY(corpus_key_leaf(&leaf, &place->key, error));
    if (place->path.leaves != roots->key_count || !merkle_check(&place->path, &leaf, &roots->keys))
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: key %zu of %zu does not stand under the root of keys",
                    place->path.index + 1, place->path.leaves);
    return OK;
}

/* Two neighbours with the key between them.  Paths through the tree can be told left from right
 * whatever number of leaves is claimed, so neighbours by index are neighbours. */
static status check_absence(const struct corpus_proof *proof, const struct sha256 *key,
                            struct error *error)
{
    const struct key_place *before = &proof->before, *after = &proof->after;
    struct sha256 empty = sha256_of(NULL, 0);
    if (proof->has_before)
        TRY(check_key(before, &proof->roots, error));
    if (proof->has_after)
        TRY(check_key(after, &proof->roots, error));
    bool above = !proof->has_before || sha256_compare(&before->key, key) < 0;
    bool below = !proof->has_after || sha256_compare(key, &after->key) < 0;
    bool neighbours = proof->has_before && proof->has_after
                          ? before->path.index + 1 == after->path.index
                      : proof->has_before ? before->path.index + 1 == before->path.leaves
                      : proof->has_after  ? after->path.index == 0
                                          : sha256_equal(&proof->roots.keys, &empty);
    if (!above || !below)
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: the text's key does not lie between the keys given");
    if (!neighbours)
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: the keys given are not neighbours");
    return OK;
}

static status check_document(bool *checked, const struct corpus_proof *proof, struct view stored,
                             struct error *error)
{
    const struct proof_document *said = &proof->document;
    if (said->path.leaves != proof->roots.document_count ||
        !merkle_check(&said->path, &said->leaf, &proof->roots.documents))
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: the document's leaf does not stand under the root of "
                    "documents");
    struct sha256 hash = sha256_of(stored.data, stored.len), leaf;
    if (!stored.data || !sha256_equal(&hash, &said->text))
        return OK;
    const struct document document = {.text = stored,
                                      .id = said->id,
                                      .source = said->source,
                                      .license = said->license,
                                      .hash = hash};
    TRY(document_leaf(&leaf, &document, error));
    if (!sha256_equal(&leaf, &said->leaf))
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: id, source or licence are not those of the document");
    *checked = true;
    return OK;
}

status corpus_proof_check(bool *document_checked, const struct corpus_proof *proof,
                          struct view stored, struct error *error)
{
    ASSERT(document_checked && proof && error);
    const struct corpus_roots *roots = &proof->roots;
    struct sha256 root = corpus_root_of(roots);
    struct sha256 key = corpus_key(&roots->salt, &proof->read);
    *document_checked = false;
    if (!sha256_equal(&root, &roots->root))
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: its root is not that of its parts");
    if (!proof->member)
        return check_absence(proof, &key, error);
    if (!proof->has_before || !sha256_equal(&proof->before.key, &key))
        return fail(error, ERR_CONFLICT,
                    "the proof does not hold: the key is not that of the text");
    TRY(check_key(&proof->before, roots, error));
    return check_document(document_checked, proof, stored, error);
}

/* ---- writing ---- */

static void put_hash(cJSON *json, const char *name, const struct sha256 *hash)
{
    char hex[SHA256_HEX_BYTES];
    sha256_hex(hex, hash);
    cJSON_AddStringToObject(json, name, hex);
}

static void put_path(cJSON *json, const struct merkle_proof *path)
{
    char hex[SHA256_HEX_BYTES];
    cJSON_AddNumberToObject(json, "index", (double)path->index);
    cJSON *list = cJSON_AddArrayToObject(json, "path");
    for (size_t i = 0; i < path->count; i++) {
        sha256_hex(hex, &path->siblings[i]);
        cJSON_AddItemToArray(list, cJSON_CreateString(hex));
    }
}

static void put_key(cJSON *json, const char *name, const struct key_place *place)
{
    cJSON *object = cJSON_AddObjectToObject(json, name);
    put_hash(object, "key", &place->key);
    put_path(object, &place->path);
}

static void put_document(cJSON *json, const struct proof_document *document)
{
    cJSON *object = cJSON_AddObjectToObject(json, "document");
    cJSON_AddStringToObject(object, "id", document->id);
    cJSON_AddStringToObject(object, "source", document->source);
    cJSON_AddStringToObject(object, "license", document->license);
    put_hash(object, "sha256", &document->text);
    put_hash(object, "leaf", &document->leaf);
    put_path(object, &document->path);
}

enum { PROOF_FORMAT = 1 };

status corpus_proof_write(struct buffer *out, const struct corpus_proof *proof, struct error *error)
{
    ASSERT(out && proof && error);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "proof", PROOF_FORMAT);
    cJSON_AddStringToObject(json, "claim", proof->member ? "member" : "not a member");
    put_hash(json, "read", &proof->read);
    put_hash(json, "root", &proof->roots.root);
    put_hash(json, "documents_root", &proof->roots.documents);
    put_hash(json, "keys_root", &proof->roots.keys);
    put_hash(json, "salt", &proof->roots.salt);
    cJSON_AddNumberToObject(json, "documents", (double)proof->roots.document_count);
    cJSON_AddNumberToObject(json, "keys", (double)proof->roots.key_count);
    if (proof->has_before)
        put_key(json, proof->member ? "own" : "before", &proof->before);
    if (proof->has_after)
        put_key(json, "after", &proof->after);
    if (proof->member)
        put_document(json, &proof->document);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return fail(error, ERR_MEMORY, "no memory for a proof");
    status result = buffer_string(out, text, error);
    cJSON_free(text);
    return result == OK ? buffer_string(out, "\n", error) : result;
}

/* ---- reading ---- */

static const cJSON *member(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static bool take_hash(struct sha256 *out, const cJSON *item)
{
    return cJSON_IsString(item) && sha256_parse(out, item->valuestring);
}

static bool take_count(uint64_t *out, const cJSON *item)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < 0x1p53))
        return false;
    *out = (uint64_t)item->valuedouble;
    return (double)*out == item->valuedouble;
}

static bool take_text(const char **out, const cJSON *item, struct arena *arena)
{
    struct error error = {0};
    *out = cJSON_IsString(item) ? arena_string(arena, item->valuestring, &error) : NULL;
    return *out != NULL;
}

static bool take_path(struct merkle_proof *out, const cJSON *json, uint64_t leaves)
{
    const cJSON *item, *list = member(json, "path");
    uint64_t index;
    if (!take_count(&index, member(json, "index")) || !cJSON_IsArray(list))
        return false;
    *out = (struct merkle_proof){.index = index, .leaves = leaves};
    cJSON_ArrayForEach(item, list)
    {
        if (out->count == MERKLE_LEVELS_MAX || !take_hash(&out->siblings[out->count], item))
            return false;
        out->count++;
    }
    return true;
}

static bool take_key(struct key_place *out, bool *has, const cJSON *json, uint64_t leaves)
{
    *has = json != NULL;
    return !json ||
           (take_hash(&out->key, member(json, "key")) && take_path(&out->path, json, leaves));
}

static bool take_document(struct proof_document *out, const cJSON *json, uint64_t leaves,
                          struct arena *arena)
{
    return take_text(&out->id, member(json, "id"), arena) &&
           take_text(&out->source, member(json, "source"), arena) &&
           take_text(&out->license, member(json, "license"), arena) &&
           take_hash(&out->text, member(json, "sha256")) &&
           take_hash(&out->leaf, member(json, "leaf")) && take_path(&out->path, json, leaves);
}

static bool take_proof(struct corpus_proof *out, const cJSON *json, struct arena *arena)
{
    struct corpus_roots *roots = &out->roots;
    const cJSON *claim = member(json, "claim");
    if (!cJSON_IsString(claim) || !take_hash(&out->read, member(json, "read")) ||
        !take_hash(&roots->root, member(json, "root")) ||
        !take_hash(&roots->documents, member(json, "documents_root")) ||
        !take_hash(&roots->keys, member(json, "keys_root")) ||
        !take_hash(&roots->salt, member(json, "salt")) ||
        !take_count(&roots->document_count, member(json, "documents")) ||
        !take_count(&roots->key_count, member(json, "keys")))
        return false;
    out->member = strcmp(claim->valuestring, "member") == 0;
    if (!out->member && strcmp(claim->valuestring, "not a member") != 0)
        return false;
    if (out->member)
        return take_key(&out->before, &out->has_before, member(json, "own"), roots->key_count) &&
               take_document(&out->document, member(json, "document"), roots->document_count,
                             arena);
    return take_key(&out->before, &out->has_before, member(json, "before"), roots->key_count) &&
           take_key(&out->after, &out->has_after, member(json, "after"), roots->key_count);
}

status corpus_proof_parse(struct corpus_proof *out, struct view line, const char *name,
                          struct arena *arena, struct error *error)
{
    ASSERT(out && name && arena && error);
    struct corpus_proof proof = {0};
    uint64_t format = 0;
    if (line.len > PROOF_BYTES_MAX)
        return fail(error, ERR_LIMIT, "%s: a proof has %zu bytes, allowed are %d", name, line.len,
                    PROOF_BYTES_MAX);
    cJSON *json = cJSON_ParseWithLength(line.data, line.len);
    bool known = take_count(&format, member(json, "proof")) && format == PROOF_FORMAT;
    bool good = known && take_proof(&proof, json, arena);
    cJSON_Delete(json);
    if (!known)
        return fail(error, ERR_FORMAT, "%s: is no proof of `rodnik corpus prove` (format %d)", name,
                    PROOF_FORMAT);
    if (!good)
        return fail(error, ERR_FORMAT, "%s: a member of the proof is missing or has another form",
                    name);
    *out = proof;
    return OK;
}
