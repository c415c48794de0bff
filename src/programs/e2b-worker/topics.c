/* e2b-worker topics: the topics of the configuration, made or checked. */
#include "command.h"

#include "topic_list.h"

#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_topics = {
    .name = "topics",
    .arguments = "create|check [OPTIONS]",
    .summary = "makes or checks the Kafka topics",
    .help =
        "Topics of jobs are those that topics.jobs names; for a pattern, one for each task type of the\n"
        "catalogue. What exists is left as it is: too few partitions, or a results topic that is "
        "compacted,\n"
        "are told.\n"
        "Exit codes: 0 all is well, 1 something is missing or wrong, 2 usage, 69 Kafka cannot be used,\n"
        "78 configuration.\n\n"
        "  --partitions N       of topics of jobs, retries and results; default: 12 to create, any "
        "number to check\n"
        "  --replication N      copies of each; default: the cluster's own\n"
        "  --retention-hours N  how long records are kept; default: 120; below the broker's\n"
        "                       offsets.retention, or finished jobs may be read again\n"
        "  --task-types A,B,C   instead of those of the catalogue\n"
        "  --timeout SECONDS    for Kafka to answer; default: 5 to check, 15 to create\n" COMMAND_CONFIG_HELP,
    .run = run,
};

enum {
    PARTITIONS = 12,
    RETENTION_HOURS = 120,
    CHECK_TIMEOUT_S = 5,
    CREATE_TIMEOUT_S = 15,
    MS_PER_HOUR = 3600 * 1000,
};

static const char *state_text(enum kafka_topic_state state)
{
    switch (state) {
    case KAFKA_TOPIC_CREATED:
        return "created";
    case KAFKA_TOPIC_EXISTS:
        return "ok";
    case KAFKA_TOPIC_MISSING:
        return "MISSING";
    case KAFKA_TOPIC_DIFFERS:
        return "DIFFERS";
    case KAFKA_TOPIC_FAILED:
        break;
    }
    return "FAILED";
}

/* Returns: how many topics are not as they should be. */
static size_t print_table(const struct topic_list *list, const struct kafka_topic_report *reports)
{
    int width = (int)strlen("TOPIC");
    size_t wrong = 0;
    for (size_t i = 0; i < list->count; i++)
        width = MAX(width, (int)strlen(list->items[i].name));
    printf("%-*s  PARTITIONS  STATE\n", width, "TOPIC");
    for (size_t i = 0; i < list->count; i++) {
        const struct kafka_topic_report *report = &reports[i];
        bool is_well = report->state == KAFKA_TOPIC_CREATED || report->state == KAFKA_TOPIC_EXISTS;
        char partitions[16] = "-";
        if (report->partitions > 0)
            (void)snprintf(partitions, sizeof partitions, "%d", (int)report->partitions);
        printf("%-*s  %10s  %s%s%s\n", width, list->items[i].name, partitions, state_text(report->state),
               report->text[0] ? ": " : "", report->text);
        wrong += is_well ? 0 : 1;
    }
    return wrong;
}

/* Makes what the reports call missing. Returns: false when the cluster does not do such things. */
static bool create_missing(const struct kafka_cluster *cluster, const struct topic_list *list,
                           int64_t timeout_ms, struct kafka_topic_report *reports, struct arena *arena,
                           struct error *reterr)
{
    struct kafka_topic *missing = ARENA_ARRAY(arena, struct kafka_topic, list->count + 1);
    struct kafka_topic_report *made = ARENA_ARRAY(arena, struct kafka_topic_report, list->count + 1);
    size_t count = 0, taken = 0;
    for (size_t i = 0; i < list->count; i++)
        if (reports[i].state == KAFKA_TOPIC_MISSING)
            missing[count++] = list->items[i];
    if (count == 0)
        return true;
    if (!kafka_topics_create(cluster, missing, count, timeout_ms, made, reterr))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (reports[i].state == KAFKA_TOPIC_MISSING)
            reports[i] = made[taken++];
    return true;
}

static int tell_unusable(const struct kafka_cluster *cluster, const struct error *error)
{
    if (strcmp(error->origin, "config") == 0) {
        fprintf(stderr, "e2b-worker topics: %s\n", error->text);
        return EXIT_CONFIG;
    }
    fprintf(stderr, "e2b-worker topics: Kafka at %s cannot be used: %s\n", cluster->bootstrap_servers,
            error->text);
    return EXIT_UNAVAILABLE;
}

/* timeout_ms: 0 is the default of each question. */
static int work(const struct config *config, const struct topic_shape *shape, bool is_create,
                int64_t timeout_ms, struct arena *arena)
{
    struct error error;
    struct kafka_cluster cluster = cluster_of(config, arena);
    struct topic_list list = topic_list_of(config, shape, arena);
    struct kafka_topic_report *reports = ARENA_ARRAY(arena, struct kafka_topic_report, list.count + 1);
    for (size_t i = 0; i < list.unmatched.count; i++)
        fprintf(stderr,
                "e2b-worker topics: no topic's name is known for the pattern %s; name task types with "
                "--task-types\n",
                list.unmatched.items[i]);
    if (!kafka_topics_check(&cluster, list.items, list.count,
                            timeout_ms ? timeout_ms : CHECK_TIMEOUT_S * 1000, reports, &error))
        return tell_unusable(&cluster, &error);
    if (is_create && !create_missing(&cluster, &list, timeout_ms ? timeout_ms : CREATE_TIMEOUT_S * 1000,
                                     reports, arena, &error)) {
        fprintf(
            stderr,
            "e2b-worker topics: Kafka at %s answers, but makes no topics: %s. A broker of 'e2b-worker dev' "
            "has no\nAdmin API: name its topics when it is started.\n",
            cluster.bootstrap_servers, error.text);
        return EXIT_UNAVAILABLE;
    }
    size_t wrong = print_table(&list, reports) + list.unmatched.count;
    if (wrong > 0 && !is_create)
        fprintf(stderr,
                "e2b-worker topics: %zu of %zu are not as they should be; see: e2b-worker topics create\n",
                wrong, list.count);
    return wrong > 0 ? EXIT_FAILED : EXIT_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    const char *partitions = NULL, *replication = NULL, *retention = NULL, *types = NULL, *timeout = NULL;
    const struct command_option own[] = {{"--partitions", true, &partitions},
                                         {"--replication", true, &replication},
                                         {"--retention-hours", true, &retention},
                                         {"--task-types", true, &types},
                                         {"--timeout", true, &timeout}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (options.rest_count != 1)
        return command_usage(command, "say create or check");
    bool is_create = strcmp(options.rest[0], "create") == 0;
    if (!is_create && strcmp(options.rest[0], "check") != 0)
        return command_usage(command, "'%s' is neither create nor check", options.rest[0]);
    int64_t hours = RETENTION_HOURS, timeout_s = 0;
    struct topic_shape shape = {.partitions = is_create ? PARTITIONS : 1, .replication = -1};
    if (!command_number(command, "--partitions", partitions, 1, 10000, &shape.partitions) ||
        !command_number(command, "--replication", replication, 1, 100, &shape.replication) ||
        !command_number(command, "--retention-hours", retention, 1, 1000000, &hours) ||
        !command_number(command, "--timeout", timeout, 1, 300, &timeout_s))
        return EXIT_USAGE;
    shape.retention_ms = hours * MS_PER_HOUR;
    struct arena arena;
    struct config config;
    arena_init(&arena, 16384);
    shape.task_types = split_list(types, &arena);
    status = command_load(&options, &arena, &config);
    if (status == EXIT_OK)
        status = work(&config, &shape, is_create, timeout_s * 1000, &arena);
    arena_release(&arena);
    return status;
}
