#include "cli/corpus_config.h"

#include <stddef.h>
#include <string.h>

#define KEY(name, type, least, most, choices, initial, help)                                       \
    {                                                                                              \
        "corpus", #name, type, offsetof(struct corpus_config, name), least, most, choices,         \
            initial, "", help                                                                      \
    }
#define TEXT(name, initial, help) KEY(name, CONFIG_STRING, 0, 0, NULL, initial, help)

static const struct config_key keys[] = {
    TEXT(field, "text", "field of JSON lines, and column of tables, that holds the text"),
    TEXT(source, "unknown", "source of documents that don't say"),
    TEXT(license, "unknown", "licence of documents that don't say"),
    KEY(held_out, CONFIG_DOUBLE, 0, 0.5, NULL, "0.02", "share kept for evaluation"),
    KEY(minimum, CONFIG_INT, 1, 1e9, NULL, "64", "shorter documents are left out, bytes"),
    KEY(whole_pages, CONFIG_BOOL, 0, 0, NULL, "false", "of HTML all text"),
    TEXT(profile, "auto", "auto, none, a profile's name or file"),
    KEY(duplicates, CONFIG_CHOICE, 0, 0, "near|exact|none", "near", "which go"),
    KEY(repeated_lines, CONFIG_INT, 0, 1e6, NULL, "10",
        "lines in more documents stay in the first only; 0: all stay"),
    TEXT(personal, "corpus", "policy of personal data, or none"),
    TEXT(opt_out, "", "list of what to leave out"),
    TEXT(evaluations, "", "folder of evaluation items"),
    KEY(report_overlaps, CONFIG_BOOL, 0, 0, NULL, "false", "overlaps are only reported"),
};
static const struct config_table table = {keys, sizeof keys / sizeof *keys};

static const char *path_of(int argc, char **argv)
{
    static const char option[] = "--config";
    size_t len = sizeof option - 1;
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], option) == 0 && i + 1 < argc)
            return argv[i + 1];
        if (strncmp(argv[i], option, len) == 0 && argv[i][len] == '=')
            return argv[i] + len + 1;
    }
    return NULL;
}

status corpus_config_read(struct corpus_settings *out, struct corpus_config *config, int argc,
                          char **argv, struct error *error)
{
    ASSERT(out && config && argv && error);
    static const char *const duplicates[] = {"near", "exact", "none"};
    const char *path = path_of(argc, argv);
    *out = corpus_settings_default();
    if (!path)
        return OK;
    config_defaults(config, table);
    TRY(config_read(config, table, path, error));
    *out =
        (struct corpus_settings){.text_field = config->field,
                                 .source = config->source,
                                 .license = config->license,
                                 .held_out = config->held_out,
                                 .minimum_bytes = config->minimum,
                                 .whole_pages = config->whole_pages,
                                 .profile = config->profile,
                                 .opt_out = *config->opt_out ? config->opt_out : NULL,
                                 .evaluations = *config->evaluations ? config->evaluations : NULL,
                                 .report_overlaps = config->report_overlaps,
                                 .personal = config->personal,
                                 .duplicates = duplicates[config->duplicates],
                                 .line_documents = config->repeated_lines};
    return OK;
}
