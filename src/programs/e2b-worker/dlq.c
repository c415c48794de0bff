/* e2b-worker dlq: records that could not become jobs, shown and sent back. */
#include "dlq.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_dlq = {
    .name = "dlq",
    .arguments = "list|requeue [OPTIONS]",
    .summary = "shows the dead-letter topic, and sends records back to where they came from",
    .help = "  list      when a record came, from where, why, its size, its job or key\n"
            "  requeue   sends bytes and headers as they were, under the key they have here, to the topic "
            "that the\n"
            "            record came from, with a header " DLQ_REQUEUED " beside them; it stays here, too\n\n"
            "Which records: all that every option given is true of; requeue wants one of the first four.\n"
            "  --partition P, --offset O   where it came from, as list shows it\n"
            "  --job ID           of this job, or with this key\n"
            "  --code CODE        with this error code, e.g. INVALID_JOB\n"
            "  --all              whatever it is\n"
            "  --topic TOPIC      from this topic\n"
            "  --since SECONDS    that came so long ago at most\n\n"
            "A job that has a result already is a duplicate: requeued while the ledger remembers it (three "
            "hours)\n"
            "it brings job.duplicate.v1 and no second result; later it runs again. A record without job_id "
            "becomes a\n"
            "new job. What is still wrong with a record brings it here once more.\n\n"
            "  --max N            list: the newest so many; default: 100\n"
            "  --dry-run          requeue: says what would be done\n"
            "  --yes              requeue: does not ask, where it is more than one record\n"
            "  --timeout SECONDS  for reading the topic; default: 60\n" COMMAND_CONNECT_HELP
            "  --json             a line of JSON for each record\n" COMMAND_CONFIG_HELP
            "\nExit codes: 0 done; 1 no such record, or not every one could be requeued; 2 usage; 69 Kafka\n"
            "cannot be used; 75 the topic was not read in time; 78 configuration; 130 interrupted.\n",
    .run = run,
};

enum { LIST_MAX = 100, TIMEOUT_S = 60 };

/* As they were said. */
struct words {
    const char *topic, *partition, *offset, *job, *code, *all, *since, *max, *dry_run, *yes, *timeout,
        *connect_timeout, *json;
};

/* Returns: EXIT_OK, or EXIT_USAGE after saying what is wrong. */
static int check_words(const struct command *command, const struct words *words, bool is_requeue)
{
    bool has_choice = words->partition || words->offset || words->job || words->code;
    if (words->offset && !words->partition)
        return command_usage(command, "--offset needs --partition");
    if (!is_requeue && (words->dry_run || words->yes || words->all))
        return command_usage(command, "--dry-run, --yes and --all are for requeue");
    if (is_requeue && words->max)
        return command_usage(command, "--max is for list");
    if (is_requeue && !has_choice && !words->all)
        return command_usage(command, "say which: --partition and --offset, --job, --code, or --all");
    if (has_choice && words->all)
        return command_usage(command, "--all, or which: not both");
    return EXIT_OK;
}

static int read_wish(const struct command *command, const struct words *words, bool is_requeue,
                     struct dlq_wish *ret)
{
    int64_t since_s = -1, max = LIST_MAX, timeout_s = TIMEOUT_S, connect_s = COMMAND_CONNECT_S,
            partition = -1, offset = -1;
    int status = check_words(command, words, is_requeue);
    if (status != EXIT_OK)
        return status;
    if (!command_number(command, "--partition", words->partition, 0, INT32_MAX, &partition) ||
        !command_number(command, "--offset", words->offset, 0, INT64_MAX, &offset) ||
        !command_number(command, "--since", words->since, 0, INT32_MAX, &since_s) ||
        !command_number(command, "--max", words->max, 1, 1000000, &max) ||
        !command_number(command, "--timeout", words->timeout, 1, 86400, &timeout_s) ||
        !command_number(command, "--connect-timeout", words->connect_timeout, 1, COMMAND_CONNECT_MAX_S,
                        &connect_s))
        return EXIT_USAGE;
    *ret = (struct dlq_wish){.selection = {.topic = words->topic,
                                           .partition = partition,
                                           .offset = offset,
                                           .job_id = words->job,
                                           .code = words->code},
                             .since_ms = since_s < 0 ? -1 : since_s * 1000,
                             .timeout_ms = timeout_s * 1000,
                             .connect_timeout_ms = connect_s * 1000,
                             .max_count = is_requeue ? SIZE_MAX / 2 : (size_t)max};
    return EXIT_OK;
}

static int with_config(const struct command_options *common, const struct dlq_options *options,
                       bool is_requeue)
{
    struct arena arena;
    struct config config;
    arena_init(&arena, 16384);
    int status = command_load(common, &arena, &config);
    if (status == EXIT_OK)
        status = is_requeue ? dlq_requeue(&config, options) : dlq_show(&config, options);
    arena_release(&arena);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options common;
    struct words words = {0};
    const struct command_option own[] = {
        {"--topic", true, &words.topic},      {"--partition", true, &words.partition},
        {"--offset", true, &words.offset},    {"--job", true, &words.job},
        {"--code", true, &words.code},        {"--all", false, &words.all},
        {"--since", true, &words.since},      {"--max", true, &words.max},
        {"--dry-run", false, &words.dry_run}, {"--yes", false, &words.yes},
        {"--timeout", true, &words.timeout},  {"--connect-timeout", true, &words.connect_timeout},
        {"--json", false, &words.json},
    };
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &common);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (common.rest_count != 1)
        return command_usage(command, "say list or requeue");
    bool is_requeue = strcmp(common.rest[0], "requeue") == 0;
    if (!is_requeue && strcmp(common.rest[0], "list") != 0)
        return command_usage(command, "'%s' is neither list nor requeue", common.rest[0]);
    struct dlq_options options = {
        .is_json = words.json != NULL, .is_dry_run = words.dry_run != NULL, .is_sure = words.yes != NULL};
    status = read_wish(command, &words, is_requeue, &options.wish);
    if (status != EXIT_OK)
        return status;
    (void)signal(SIGPIPE, SIG_IGN);
    return with_config(&common, &options, is_requeue);
}
