/* Children that crash, hang, take memory or reach out cost their item; results stay in order. */
#include "support.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/sandbox.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* ---- a task whose input is a script: one letter an item ---- */

static const char *reach_out(void)
{
    int file = open("/etc/hostname", O_RDONLY), made = open("/tmp/rodnik-escape", O_CREAT, 0600);
    int net = socket(AF_INET, SOCK_STREAM, 0);
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool forked = fork() >= 0;
    execl("/bin/true", "/bin/true", NULL);
    return file >= 0 || made >= 0 || net >= 0 || code != MAP_FAILED || forked ? "escaped" : "held";
}

static const char *take_memory(void)
{
    struct buffer buffer;
    struct error error = {0};
    buffer_create(&buffer, (size_t)8 << 30);
    status result = buffer_reserve(&buffer, (size_t)4 << 30, &error);
    buffer_destroy(&buffer);
    return result == ERR_MEMORY ? "no memory" : "much memory";
}

static const char *act(char letter)
{
    volatile int *nowhere = NULL;
    for (volatile int spin = 1; letter == 'l' && spin;)
        ;
    if (letter == 'c')
        *nowhere = 1;
    if (letter == 'a')
        abort();
    if (letter == 'n') {
        static const char nonsense[100] = "nonsense";
        assert_int_equal(write(3, nonsense, sizeof nonsense), sizeof nonsense);
        for (volatile int spin = 1; spin;)
            ;
    }
    return letter == 'o' ? reach_out() : letter == 'm' ? take_memory() : "fine";
}

static status play(void *context, const struct sandbox_input *input,
                   struct sandbox_channel *channel, struct error *error)
{
    (void)context;
    for (size_t i = 0; i < input->bytes.len; i++) {
        char letter = input->bytes.data[i];
        enum sandbox_turn turn = sandbox_item_begin(channel);
        const char *result = turn == SANDBOX_WORK ? act(letter) : sandbox_reason(channel);
        struct view pieces[] = {{&letter, 1}, view_of(" "), view_of(result), view_of("; ")};
        if (turn != SANDBOX_SKIP)
            TRY(sandbox_frame(channel, pieces, 4, error));
        TRY(sandbox_item_end(channel, error));
        if (letter == 'f')
            return fail(error, ERR_FORMAT, "ends badly");
    }
    return OK;
}

/* ---- the parent ---- */

struct stage {
    const char *const *scripts;
    size_t count, next;
    char text[1 << 16];
};

static int file_with(const char *text)
{
    int file = memfd_create("input", MFD_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(write(file, text, strlen(text)), strlen(text));
    return file;
}

static bool next(void *context, struct sandbox_request *out)
{
    struct stage *stage = context;
    if (stage->next == stage->count)
        return false;
    const char *script = stage->scripts[stage->next++];
    *out = (struct sandbox_request){"a script", script ? file_with(script) : -1, "is missing"};
    return true;
}

static status on_frame(void *context, size_t input, struct view frame, struct error *error)
{
    (void)input, (void)error;
    struct stage *stage = context;
    strncat(stage->text, frame.data, frame.len);
    return OK;
}

static status on_end(void *context, size_t input, const char *reason, struct error *error)
{
    (void)error;
    struct stage *stage = context;
    char line[300];
    snprintf(line, sizeof line, "end %zu%s%s\n", input, reason ? ": " : "", reason ? reason : "");
    strcat(stage->text, line);
    return OK;
}

static void run(struct stage *stage, const char *const *scripts, size_t count, int children)
{
    struct error error = {0};
    *stage = (struct stage){.scripts = scripts, .count = count};
    struct sandbox_settings settings = {.task = play,
                                        .children = children,
                                        .memory_bytes = 256 << 20,
                                        .item_s = 0.3,
                                        .silence_s = 20,
                                        .item_bytes = 1 << 20};
    struct sandbox_feed feed = {stage, next, on_frame, on_end};
    assert_ok(sandbox_run(&settings, &feed, &error), error);
}

static void what_ends_a_child_costs_one_item(void **state)
{
    (void)state;
    static struct stage stage;
    static const char *const scripts[] = {"xay", "", NULL, "lx", "xfx", "aa"};
    for (int children = 1; children <= 3; children++) {
        run(&stage, scripts, 6, children);
        assert_string_equal(
            stage.text,
            "x fine; a makes its reader crash (signal 6); y fine; end 0\n"
            "end 1\n"
            "end 2: is missing\n"
            "l takes its reader more than 0.3 s of processor time; x fine; end 3\n"
            "x fine; f fine; end 4: ends badly\n"
            "a makes its reader crash (signal 6); a makes its reader crash (signal 6); end 5\n");
    }
}

static void a_child_that_answers_nonsense_ends(void **state)
{
    (void)state;
    static struct stage stage;
    static const char *const scripts[] = {"xnx", "x"};
    run(&stage, scripts, 2, 2);
    assert_string_equal(stage.text, "x fine; n makes its reader answer nonsense; x fine; end 0\n"
                                    "x fine; end 1\n");
}

static void an_input_that_ends_every_child_is_given_up(void **state)
{
    (void)state;
    static struct stage stage;
    static const char *const scripts[] = {"aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x"};
    run(&stage, scripts, 2, 2);
    assert_non_null(
        strstr(stage.text, "end 0: makes its reader crash (signal 6)\nx fine; end 1\n"));
}

static void a_child_reaches_nothing(void **state)
{
    (void)state;
    static struct stage stage;
    static const char *const scripts[] = {"o"};
    if (confinement_possible() == CONFINED_NOT)
        skip_because("the kernel has no filter of system calls");
    run(&stage, scripts, 1, 1);
    assert_string_equal(stage.text, "o held; end 0\n");
    assert_int_not_equal(access("/tmp/rodnik-escape", F_OK), 0);
}

static void a_child_has_only_the_memory_allowed(void **state)
{
    (void)state;
    static struct stage stage;
    static const char *const scripts[] = {"mx"};
    if (SANITIZED)
        skip_because("sanitizers end the process that asks for too much");
    run(&stage, scripts, 1, 1);
    assert_string_equal(stage.text, "m no memory; x fine; end 0\n");
}

static void results_come_in_the_order_of_inputs(void **state)
{
    (void)state;
    static struct stage one, more;
    static const char *scripts[200];
    for (int i = 0; i < 200; i++)
        scripts[i] = i % 3 ? "xyz" : i % 2 ? "abcxyz" : "yyyx";
    run(&one, scripts, 60, 1);
    run(&more, scripts, 60, 4);
    assert_string_equal(one.text, more.text);
}

/* ---- programs ---- */

static void a_program_turns_its_input_into_output(void **state)
{
    (void)state;
    static const char *const cat[] = {"/bin/cat", NULL},
                             *const loop[] = {"/bin/sh", "-c", "while :; do :; done", NULL},
                             *const leave[] = {"/bin/sh", "-c", "echo x > /tmp/rodnik-escape",
                                               NULL};
    struct buffer out;
    struct error error = {0};
    const char *reason = NULL;
    struct sandbox_program program = {cat, file_with("some bytes"), 256 << 20, 1};
    buffer_create(&out, 1000);
    assert_ok(sandbox_program_run(&out, &reason, &program, &error), error);
    assert_null(reason);
    assert_string_equal(out.data, "some bytes");
    program.arguments = loop;
    assert_ok(sandbox_program_run(&out, &reason, &program, &error), error);
    assert_non_null(reason);
    program.arguments = leave;
    assert_ok(sandbox_program_run(&out, &reason, &program, &error), error);
    if (confinement_possible() == CONFINED_FULLY) {
        assert_non_null(reason);
        assert_int_not_equal(access("/tmp/rodnik-escape", F_OK), 0);
    }
    buffer_destroy(&out);
    close(program.input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ends_a_child_costs_one_item),
        cmocka_unit_test(an_input_that_ends_every_child_is_given_up),
        cmocka_unit_test(a_child_that_answers_nonsense_ends),
        cmocka_unit_test(a_child_reaches_nothing),
        cmocka_unit_test(a_child_has_only_the_memory_allowed),
        cmocka_unit_test(results_come_in_the_order_of_inputs),
        cmocka_unit_test(a_program_turns_its_input_into_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
