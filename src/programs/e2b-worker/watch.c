/* e2b-worker watch: results and lifecycle events as they come. */
#include "command.h"

#include "base/clock.h"
#include "loop/on_uv.h"
#include "message_event.h"
#include "show.h"
#include "topic_list.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_watch = {
    .name = "watch",
    .arguments = "[OPTIONS]",
    .summary = "shows results and lifecycle events as they come",
    .help = "Reads the results topic without a group, commits nothing, and connects again by itself, until "
            "SIGINT or\n"
            "SIGTERM.\n"
            "Exit codes: 0 ended by a signal or by whoever reads its output, 2 usage, 69 Kafka could not be "
            "used\n"
            "from the start, 78 configuration.\n\n"
            "  --since SECONDS    begins with what was written so long ago; default: with what comes now\n"
            "  --type A,B         only these: submitted, started, waiting, retrying, finished, duplicate, "
            "stats\n"
            "  --tenant TENANT    only jobs of this tenant\n"
            "  --stats            the workers' statistics, too\n"
            "  --json             events as JSON lines: type, time, partition, offset, "
            "data\n" COMMAND_CONNECT_HELP COMMAND_CONFIG_HELP,
    .run = run,
};

struct watching {
    struct loop *loop;
    const struct config *config;
    struct log log;
    struct arena arena; /* of the call */
    const char *tenant, *json;
    unsigned kinds; /* bits 1 << enum event_kind */
    int64_t from_unix_ms, connect_timeout_ms;
    struct kafka_reader *readers[2]; /* results, and statistics where they have a topic of their own */
    size_t open;
    struct signal_watch *interrupt, *terminate;
    struct timer connecting; /* until Kafka has answered once: whoever began to read goes on */
    char why[500];
    bool is_closing, has_header;
    int status;
};

/* ---- the end ---- */

static void on_closed(void *arg)
{
    struct watching *watching = arg;
    if (--watching->open > 0)
        return;
    signal_watch_close(watching->interrupt);
    signal_watch_close(watching->terminate);
    loop_stop(watching->loop);
}

static void finish(struct watching *watching, int status)
{
    if (watching->is_closing)
        return;
    watching->is_closing = true;
    watching->status = status;
    loop_timer_stop(watching->loop, &watching->connecting);
    watching->open = ARRAY_LENGTH(watching->readers);
    for (size_t i = 0; i < ARRAY_LENGTH(watching->readers); i++)
        kafka_reader_close(TAKE(watching->readers[i]), on_closed, watching);
}

static void on_signal(void *arg)
{
    finish(arg, EXIT_OK);
}

/* ---- events ---- */

static void print_json(const struct event_view *view, const struct kafka_message *message)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    struct writer writer = {.out = &out};
    message_event_encode(view, message_event_unix_ms(message, view), message->partition, message->offset,
                         &writer);
    printf("%s\n", out.data);
}

static void print_row(struct watching *watching, const struct event_view *view,
                      const struct kafka_message *message)
{
    CLEANUP(buffer_release) struct buffer detail = {0};
    char time[CLOCK_TEXT_SIZE];
    clock_format(message_event_unix_ms(message, view), time);
    show_event(view, &detail);
    if (!watching->has_header)
        printf("%-10s %-10s %-36s %s\n", "TIME (UTC)", "EVENT", "JOB", "DETAIL");
    watching->has_header = true;
    printf("%-10.8s %-10s %-36s %s\n", time + strlen("2026-11-21T"), event_kind_name(view->kind),
           view->job_id ? view->job_id : "-", detail.data ? detail.data : "");
}

static bool is_wanted(const struct watching *watching, const struct event_view *view)
{
    if (!(watching->kinds & (1U << view->kind)))
        return false;
    return !watching->tenant || (view->tenant_id && strcmp(view->tenant_id, watching->tenant) == 0);
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct watching *watching = arg;
    struct arena arena = {0};
    struct event_view view;
    if (message_event_read(message, &arena, &view) && is_wanted(watching, &view)) {
        if (watching->json)
            print_json(&view, message);
        else
            print_row(watching, &view, message);
        if (fflush(stdout) != 0)
            finish(watching, EXIT_OK); /* nobody reads any more */
    }
    arena_release(&arena);
}

static void on_state(void *arg, bool is_usable, const char *why)
{
    struct watching *watching = arg;
    bool is_connecting = timer_is_active(&watching->connecting);
    base_copy_text(watching->why, sizeof watching->why, why);
    if (is_usable) {
        loop_timer_stop(watching->loop, &watching->connecting);
        fprintf(stderr, "e2b-worker watch: reading at %s\n", watching->config->kafka_bootstrap_servers);
    } else if (!is_connecting) {
        fprintf(stderr, "e2b-worker watch: Kafka at %s: %s; trying again\n",
                watching->config->kafka_bootstrap_servers, why);
    }
}

static void on_unreachable(void *arg)
{
    struct watching *watching = arg;
    fprintf(stderr, "e2b-worker watch: Kafka at %s cannot be used: %s\n",
            watching->config->kafka_bootstrap_servers,
            watching->why[0] ? watching->why
                             : "it does not answer; check KAFKA_BOOTSTRAP_SERVERS and the network");
    finish(watching, EXIT_UNAVAILABLE);
}

/* ---- the beginning ---- */

static struct kafka_reader *open_reader(struct watching *watching, const char *topic, struct error *reterr)
{
    const struct kafka_reader_options options = {
        .loop = watching->loop,
        .log = &watching->log,
        .cluster = cluster_of(watching->config, &watching->arena),
        .client_id = "e2b-worker-watch",
        .topic = topic,
        .from_unix_ms = watching->from_unix_ms,
        .events = {.arg = watching, .on_message = on_message, .on_state = on_state}};
    return kafka_reader_new(&options, reterr);
}

static void begin(struct watching *watching)
{
    struct error error;
    const struct config_topics *topics = &watching->config->topics;
    bool needs_stats = (watching->kinds & (1U << EVENT_KIND_STATS)) && topics->stats &&
                       strcmp(topics->stats, topics->results) != 0;
    watching->interrupt = loop_signal_new(watching->loop, SIGINT, on_signal, watching);
    watching->terminate = loop_signal_new(watching->loop, SIGTERM, on_signal, watching);
    watching->readers[0] = open_reader(watching, topics->results, &error);
    if (watching->readers[0] && needs_stats)
        watching->readers[1] = open_reader(watching, topics->stats, &error);
    if (watching->readers[0] && (!needs_stats || watching->readers[1])) {
        loop_timer_start(watching->loop, &watching->connecting, watching->connect_timeout_ms, on_unreachable,
                         watching);
        return;
    }
    fprintf(stderr, "e2b-worker watch: %s\n", error.text);
    finish(watching, EXIT_CONFIG);
}

static int watch_on(struct watching *watching)
{
    watching->loop = loop_new();
    begin(watching);
    loop_run(watching->loop);
    loop_free(watching->loop, NULL, NULL);
    arena_release(&watching->arena);
    return watching->status;
}

/* ---- words ---- */

/* Returns: false after saying which word is no type. */
static bool read_kinds(const struct command *command, const char *types, bool with_stats, unsigned *ret)
{
    struct arena arena = {0};
    struct text_list names = split_list(types, &arena);
    enum event_kind kind;
    unsigned kinds = names.count > 0 ? 0 : ~(1U << EVENT_KIND_STATS);
    bool is_good = true;
    for (size_t i = 0; i < names.count && is_good; i++) {
        is_good = event_kind_parse(names.items[i], &kind);
        if (is_good)
            kinds |= 1U << kind;
        else
            (void)command_usage(command, "--type: there is no event '%s'", names.items[i]);
    }
    arena_release(&arena);
    *ret = kinds | (with_stats ? 1U << EVENT_KIND_STATS : 0);
    return is_good;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    struct watching watching = {.log = {.level = LOG_LEVEL_ERROR, .component = "watch"},
                                .from_unix_ms = KAFKA_READER_FROM_END};
    const char *types = NULL, *since = NULL, *stats = NULL, *connect_timeout = NULL;
    int64_t since_s = -1, connect_s = COMMAND_CONNECT_S;
    const struct command_option own[] = {
        {"--json", false, &watching.json}, {"--tenant", true, &watching.tenant},
        {"--type", true, &types},          {"--since", true, &since},
        {"--stats", false, &stats},        {"--connect-timeout", true, &connect_timeout}};
    int status = command_parse(command, argc, argv, own, ARRAY_LENGTH(own), &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (options.rest_count > 0)
        return command_usage(command, "unexpected argument '%s'", options.rest[0]);
    if (!command_number(command, "--since", since, 0, INT32_MAX, &since_s) ||
        !command_number(command, "--connect-timeout", connect_timeout, 1, COMMAND_CONNECT_MAX_S,
                        &connect_s) ||
        !read_kinds(command, types, stats != NULL, &watching.kinds))
        return EXIT_USAGE;
    if (since_s >= 0)
        watching.from_unix_ms = clock_unix_ms() - since_s * 1000;
    watching.connect_timeout_ms = connect_s * 1000;
    (void)signal(SIGPIPE, SIG_IGN);
    struct arena arena;
    struct config config;
    arena_init(&arena, 16384);
    status = command_load(&options, &arena, &config);
    watching.config = &config;
    if (status == EXIT_OK)
        status = watch_on(&watching);
    arena_release(&arena);
    return status;
}
