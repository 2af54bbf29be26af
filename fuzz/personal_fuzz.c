/* modules: base text */
#include <stdlib.h>
#include <string.h>

#include "text/personal.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* Findings are in order, apart, inside the text, and never inside a character; asking for more
 * certainty gives no more of them; masked text is what the list says, byte for byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = {0};
    struct view text = {(const char *)data, size};
    struct personal_findings findings;
    struct buffer out;
    personal_findings_create(&findings);
    buffer_create(&out, 1 << 26);
    bool valid = utf8_valid(text);
    must(personal_scan(&findings, text, PERSONAL_ALL, 1, &error) == OK);
    size_t end = 0;
    for (size_t i = 0; i < findings.count; i++) {
        const struct personal_finding *finding = personal_finding_at(&findings, i);
        must(finding->start >= end && finding->start < finding->end && finding->end <= size);
        must(finding->type < PERSONAL_TYPES && finding->reason);
        must(finding->confidence >= 1 && finding->confidence <= 99);
        must(!valid || (utf8_floor(text, finding->start) == finding->start &&
                        utf8_floor(text, finding->end) == finding->end));
        end = finding->end;
    }
    struct personal_policy policy = personal_policy_guard();
    struct personal_counts counts;
    must(personal_policy_change(&policy, view_of("all=replace"), &error) == OK);
    must(personal_apply(&out, &counts, &findings, text, &policy, &error) == OK);
    must(counts.replaced == findings.count);
    size_t len = size;
    for (size_t i = 0; i < findings.count; i++) {
        const struct personal_finding *finding = personal_finding_at(&findings, i);
        len = len + strlen(personal_placeholder(finding->type)) - (finding->end - finding->start);
        must(finding->confidence >= PERSONAL_CONFIDENCE_MIN);
    }
    must(out.len == len);
    must(!valid || utf8_valid((struct view){out.data ? out.data : "", out.len}));
    (void)!personal_policy_change(&policy, text, &error);
    buffer_destroy(&out);
    personal_findings_destroy(&findings);
    return 0;
}
