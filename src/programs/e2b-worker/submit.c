/* e2b-worker submit: jobs from a file into Kafka. */
#include "submit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_submit = {
    .name = "submit",
    .arguments = "[FILE|-] [OPTIONS]",
    .summary = "sends jobs, and waits for their results if asked to",
    .help =
        "FILE (default: standard input) holds a job as a JSON object, an array of jobs, or several one after "
        "the\n"
        "other (JSON lines). Each is looked at first as a worker with this configuration would: a bad one is "
        "told\n"
        "and nothing is sent. A job without job_id gets one. The topic is <topics.jobs_prefix><task_type>, "
        "or the\n"
        "plain topic of topics.jobs.\n\n"
        "  --wait             shows progress on standard error, then the result: what the job printed goes "
        "to\n"
        "                     standard output and standard error\n"
        "  --timeout SECONDS  how long to wait for results; default: 3600\n" COMMAND_CONNECT_HELP
        "  --dry-run          shows the plan (template and why, steps, clocks, limits, cost), sends nothing\n"
        "  --json             plan, result, or where the record is, as one line of JSON each\n"
        "  --topic TOPIC      instead of the chosen one\n"
        "  --key KEY          of the record; default: the job's id\n"
        "  --count N          sends each job N times, every time under another id\n"
        "  --force            sends what is bad, too\n" COMMAND_CONFIG_HELP
        "\nExit codes: 0 sent, or with --wait succeeded; 1 a job is bad or did not succeed (with --wait and "
        "a single\n"
        "job: the exit code of its program where that is between 1 and 63); 2 usage; 66 the file cannot be "
        "read;\n"
        "69 Kafka cannot be used; 75 no result in time; 78 configuration; 130 interrupted.\n",
    .run = run,
};

enum { TIMEOUT_S = 3600, INPUT_MAX_BYTES = 64 * 1024 * 1024 };

static bool read_input(const char *path, struct buffer *out)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "e2b-worker submit: cannot read %s: %s\n", path, strerror(errno));
        return false;
    }
    char chunk[65536];
    size_t length;
    while (out->length <= INPUT_MAX_BYTES && (length = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_append(out, chunk, length);
    bool is_read = !ferror(file) && out->length <= INPUT_MAX_BYTES;
    if (!is_read)
        fprintf(stderr, "e2b-worker submit: cannot read %s: %s\n", path,
                out->length > INPUT_MAX_BYTES ? "it is larger than 64 MiB" : strerror(errno));
    if (file != stdin)
        (void)fclose(file);
    return is_read;
}

/* Returns: how many a worker would not run. */
static size_t tell_bad_ones(const struct submissions *submissions)
{
    size_t bad = 0;
    for (size_t i = 0; i < submissions->count; i++) {
        const struct submission *submission = &submissions->items[i];
        if (submission->code == CODE_NONE)
            continue;
        fprintf(stderr, "e2b-worker submit: job %s: %s: %s\n", submission->job_id,
                code_name(submission->code), submission->message);
        bad++;
    }
    return bad;
}

/* What a worker would pass over; of several copies of a job the first speaks for all. */
static void tell_warnings(const struct submissions *submissions, size_t copies)
{
    for (size_t i = 0; i < submissions->count; i += copies) {
        const struct submission *submission = &submissions->items[i];
        for (size_t k = 0; k < submission->job.warnings.count; k++)
            fprintf(stderr, "e2b-worker submit: job %s: warning: %s\n", submission->job_id,
                    submission->job.warnings.items[k]);
    }
}

static int work(const struct config *config, const struct submit_options *options, struct bytes text,
                struct arena *arena)
{
    struct submissions submissions = {0};
    struct error error;
    if (!submit_prepare(config, options, text, arena, &submissions, &error)) {
        fprintf(stderr, "e2b-worker submit: %s: %s\n", options->file, error.text);
        return EXIT_FAILED;
    }
    size_t bad = tell_bad_ones(&submissions);
    if (options->dry_run) {
        for (size_t i = 0; i < submissions.count; i++)
            if (submissions.items[i].code == CODE_NONE)
                submit_print_plan(&submissions.items[i], config, options->json != NULL);
        return bad > 0 ? EXIT_FAILED : EXIT_OK;
    }
    tell_warnings(&submissions, (size_t)options->count);
    if (bad > 0 && !options->force) {
        fprintf(stderr, "e2b-worker submit: nothing was sent; --force sends it anyway\n");
        return EXIT_FAILED;
    }
    return submit_deliver(config, options, &submissions);
}

static int with_config(const struct command_options *common, const struct submit_options *options)
{
    struct arena arena;
    struct config config;
    CLEANUP(buffer_release) struct buffer text = {0};
    arena_init(&arena, 65536);
    int status = command_load(common, &arena, &config);
    if (status == EXIT_OK)
        status = read_input(options->file, &text) ? work(&config, options, buffer_bytes(&text), &arena)
                                                  : EXIT_NO_INPUT;
    arena_release(&arena);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options common;
    struct submit_options options = {.file = "-", .count = 1};
    const char *timeout = NULL, *connect_timeout = NULL, *count = NULL;
    int64_t timeout_s = TIMEOUT_S, connect_s = COMMAND_CONNECT_S;
    const struct command_option own[] = {{"--wait", false, &options.wait},
                                         {"--timeout", true, &timeout},
                                         {"--connect-timeout", true, &connect_timeout},
                                         {"--dry-run", false, &options.dry_run},
                                         {"--json", false, &options.json},
                                         {"--topic", true, &options.topic},
                                         {"--key", true, &options.key},
                                         {"--count", true, &count},
                                         {"--force", false, &options.force}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &common);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (common.rest_count > 1)
        return command_usage(command, "one file a call, found '%s' as well", common.rest[1]);
    if (common.rest_count == 1)
        options.file = common.rest[0];
    if (!command_number(command, "--timeout", timeout, 1, 7 * 86400, &timeout_s) ||
        !command_number(command, "--connect-timeout", connect_timeout, 1, COMMAND_CONNECT_MAX_S,
                        &connect_s) ||
        !command_number(command, "--count", count, 1, 1000000, &options.count))
        return EXIT_USAGE;
    options.timeout_ms = timeout_s * 1000;
    options.connect_timeout_ms = connect_s * 1000;
    (void)signal(SIGPIPE, SIG_IGN);
    return with_config(&common, &options);
}
