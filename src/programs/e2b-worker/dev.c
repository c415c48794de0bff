/* e2b-worker dev: tools for trying things out on one host. */
#include "command.h"

#include "topic_list.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_dev = {
    .name = "dev",
    .arguments = "broker [TOPIC...] [OPTIONS]",
    .summary = "a Kafka broker for trying things out, in memory",
    .help =
        "Runs librdkafka's mock cluster on 127.0.0.1 with the topics of the configuration, and those "
        "named, until\n"
        "SIGTERM or SIGINT. It speaks Kafka's protocol to any client, forgets everything at its end, "
        "keeps at\n"
        "most 100,000 records a partition, and has no Admin API: no topics are made later. It answers a "
        "fetch that\n"
        "waits when its time is over, not when a record comes: with the usual 500 ms jobs lie that long.\n"
        "Exit codes: 0 ended by a signal, 2 usage, 66 the file cannot be written, 69 it does not start, "
        "78 configuration.\n\n"
        "  --port-file FILE   the bootstrap address is written there once it listens\n"
        "  --partitions N     of topics of jobs, retries and results; default: 4\n" COMMAND_CONFIG_HELP,
    .run = run,
};

enum { BROKER_PARTITIONS = 4 };

/* Written beside and renamed, so that whoever waits for the file never reads half of it. */
static bool write_port_file(const char *path, const char *bootstrap)
{
    CLEANUP(base_freep) char *beside = base_printf("%s.new", path);
    FILE *file = fopen(beside, "w");
    bool is_written = file && fprintf(file, "%s\n", bootstrap) > 0;
    if (file && fclose(file) != 0)
        is_written = false;
    if (is_written && rename(beside, path) == 0)
        return true;
    fprintf(stderr, "e2b-worker dev: cannot write %s: %s\n", path, strerror(errno));
    return false;
}

static void wait_for_end(const sigset_t *ends)
{
    int signal_number;
    while (sigwait(ends, &signal_number) != 0)
        continue;
}

static int run_broker(const struct topic_list *list, const char *port_file)
{
    struct error error;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL); /* before librdkafka's threads begin, which inherit it */
    struct kafka_mock *mock = kafka_mock_new(/* brokers= */ 1, list->items, list->count, &error);
    if (!mock) {
        fprintf(stderr, "e2b-worker dev: %s\n", error.text);
        return EXIT_UNAVAILABLE;
    }
    const char *bootstrap = kafka_mock_bootstrap(mock);
    int status = EXIT_NO_INPUT;
    if (!port_file || write_port_file(port_file, bootstrap)) {
        printf("%s\n", bootstrap);
        for (size_t i = 0; i < list->count; i++)
            printf("  topic %s, %d partitions\n", list->items[i].name, (int)list->items[i].partitions);
        printf("use it: export KAFKA_BOOTSTRAP_SERVERS=%s\n"
               "        e2b-worker run --set kafka.properties.fetch.wait.max.ms=20\n",
               bootstrap);
        (void)fflush(stdout);
        wait_for_end(&ends);
        status = EXIT_OK;
    }
    kafka_mock_free(mock);
    return status;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    struct topic_shape shape = {.partitions = BROKER_PARTITIONS, .replication = 1, .retention_ms = -1};
    const char *port_file = NULL, *partitions = NULL;
    const struct command_option own[] = {{"--port-file", true, &port_file},
                                         {"--partitions", true, &partitions}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (options.rest_count == 0 || strcmp(options.rest[0], "broker") != 0)
        return command_usage(command, "say broker");
    if (!command_number(command, "--partitions", partitions, 1, 1000, &shape.partitions))
        return EXIT_USAGE;
    struct arena arena;
    struct config config;
    arena_init(&arena, 16384);
    status = command_load(&options, &arena, &config);
    if (status == EXIT_OK) {
        struct topic_list list = topic_list_of(&config, &shape, &arena);
        for (size_t i = 1; i < options.rest_count; i++)
            topic_list_add(&list, options.rest[i], &shape, &arena);
        status = run_broker(&list, port_file);
    }
    arena_release(&arena);
    return status;
}
