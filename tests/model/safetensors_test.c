/* The safetensors reader: what it must accept, and every way a file can lie. */
#include "support.h"

#include <endian.h>

#include "model/model.h"

struct file {
    uint8_t bytes[4096];
    size_t len;
};

static struct file make_file(const char *header, size_t data_len)
{
    struct file file = {.len = 8 + strlen(header) + data_len};
    uint64_t length = htole64(strlen(header));
    memcpy(file.bytes, &length, 8);
    memcpy(file.bytes + 8, header, strlen(header));
    return file;
}

static status parse(const struct file *file, struct safetensors *out, struct error *error)
{
    struct arena *arena;
    assert_ok(arena_create(&arena, 0, error), *error);
    struct safetensors read = {0};
    status result = safetensors_parse(&read, file->bytes, file->len, "test", arena, error);
    if (out) {
        *out = read;
        out->tensors = NULL;
    }
    arena_destroy(arena);
    return result;
}

static void a_well_formed_file_is_read(void **state)
{
    (void)state;
    struct error error = {0};
    struct safetensors read;
    struct file file =
        make_file("{\"__metadata__\":{\"format\":\"pt\"},"
                  "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
                  "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[24,26]}}",
                  26);
    assert_ok(parse(&file, &read, &error), error);
    assert_int_equal(read.count, 2);
}

static void files_that_lie_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
    } cases[] = {
        {"[]", 0},
        {"{", 0},
        {"{\"a\":1}", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1e300]}}", 4},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         8},
        {"{\"__metadata__\":7}", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error error = {0};
        struct file file = make_file(cases[i].header, cases[i].data);
        if (parse(&file, NULL, &error) == OK)
            fail_msg("accepted: %s", cases[i].header);
        assert_non_null(strstr(error.text, "test"));
    }
}

static void truncated_files_are_refused_at_every_length(void **state)
{
    (void)state;
    struct file file =
        make_file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24);
    for (size_t len = 0; len < file.len; len++) {
        struct file part = file;
        struct error error = {0};
        part.len = len;
        assert_int_equal(parse(&part, NULL, &error), ERR_FORMAT);
    }
}

static void a_header_length_beyond_the_file_is_refused(void **state)
{
    (void)state;
    for (int shift = 5; shift < 64; shift++) {
        struct file file = make_file("{}", 0);
        struct error error = {0};
        uint64_t length = htole64((uint64_t)1 << shift);
        memcpy(file.bytes, &length, 8);
        assert_int_equal(parse(&file, NULL, &error), ERR_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_well_formed_file_is_read),
        cmocka_unit_test(files_that_lie_are_refused),
        cmocka_unit_test(truncated_files_are_refused_at_every_length),
        cmocka_unit_test(a_header_length_beyond_the_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
