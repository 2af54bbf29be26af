/* modules: base text proof tensor tokenizer corpus model train */
#include "train/train.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A recipe that is read must be written and read back to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    static struct recipe recipe, back;
    struct buffer text;
    config_defaults(&recipe, recipe_table);
    if (config_parse(&recipe, recipe_table, (struct view){(const char *)data, size}, "fuzz",
                     &error) != OK)
        return 0;
    buffer_create(&text, 1 << 20);
    (void)!recipe_check(&recipe, &(struct error){0});
    config_defaults(&back, recipe_table);
    if (config_write(&text, &recipe, recipe_table, &error) == OK)
        (void)!config_parse(&back, recipe_table, (struct view){text.data, text.len}, "back",
                            &error);
    buffer_destroy(&text);
    return 0;
}
