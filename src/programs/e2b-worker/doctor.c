/* e2b-worker doctor: is everything there that a worker needs, and what to do where it is not. */
#include "doctor.h"

#include "command.h"

#include "codec/writer.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_doctor = {
    .name = "doctor",
    .arguments = "[--run] [--json] [OPTIONS]",
    .summary = "checks all that a worker depends on, and says what to do",
    .help = "Configuration, open files, Kafka and its topics, Redis, E2B. Nothing is changed.\n"
            "Exit codes: 0 no check failed (warnings may be there), 1 one failed, 2 usage, 78 "
            "configuration.\n\n"
            "  --run              runs one hello in a sandbox of the default template, and measures it\n"
            "  --json             the findings as JSON\n" COMMAND_CONFIG_HELP,
    .run = run,
};

static const char *const state_names[] = {"ok", "warn", "fail"};

void report_add(struct report *report, const char *check, enum finding_state state, const char *format, ...)
{
    char text[600];
    va_list args;
    if (report->count == FINDINGS_MAX)
        return; /* a configuration with so many oddities has other problems than the last of them */
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report->items[report->count++] = (struct finding){check, state, arena_strdup(report->arena, text)};
}

static size_t count_failures(const struct report *report)
{
    size_t failures = 0;
    for (size_t i = 0; i < report->count; i++)
        failures += report->items[i].state == FINDING_FAIL ? 1 : 0;
    return failures;
}

static void print_table(const struct report *report)
{
    printf("%-8s %-5s %s\n", "CHECK", "STATE", "FINDING");
    for (size_t i = 0; i < report->count; i++)
        printf("%-8s %-5s %s\n", report->items[i].check, state_names[report->items[i].state],
               report->items[i].text);
    size_t failures = count_failures(report);
    if (failures == 0)
        printf("nothing stands in the way of a worker\n");
    else
        printf("%zu check%s failed: a worker would wait, or not start\n", failures, failures == 1 ? "" : "s");
}

static void print_json(const struct report *report)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    writer_begin_object(&writer);
    writer_field_bool(&writer, "ok", count_failures(report) == 0);
    writer_key(&writer, "findings");
    writer_begin_array(&writer);
    for (size_t i = 0; i < report->count; i++) {
        writer_begin_object(&writer);
        writer_field_text(&writer, "check", report->items[i].check);
        writer_field_text(&writer, "state", state_names[report->items[i].state]);
        writer_field_text(&writer, "text", report->items[i].text);
        writer_end_object(&writer);
    }
    writer_end_array(&writer);
    writer_end_object(&writer);
    printf("%s\n", out.data);
}

static int examine(const struct config *config, bool is_run, bool is_json, struct arena *arena)
{
    struct report report = {.arena = arena};
    check_config(config, &report);
    check_system(config, &report);
    check_kafka(config, &report);
    check_redis(config, &report);
    check_e2b(config, is_run, &report);
    if (is_json)
        print_json(&report);
    else
        print_table(&report);
    return count_failures(&report) > 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    const char *with_run = NULL, *json = NULL;
    const struct command_option own[] = {{"--run", false, &with_run}, {"--json", false, &json}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (options.rest_count > 0)
        return command_usage(command, "unexpected argument '%s'", options.rest[0]);
    (void)signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    struct config config;
    arena_init(&arena, 16384);
    status = command_load(&options, &arena, &config);
    if (status == EXIT_OK)
        status = examine(&config, with_run != NULL, json != NULL, &arena);
    arena_release(&arena);
    return status;
}
