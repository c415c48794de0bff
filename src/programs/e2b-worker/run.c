/* e2b-worker run: the worker itself. */
#include "command.h"
#include "descriptors.h"

#include "loop/on_uv.h"
#include "worker/health.h"
#include "worker/worker.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static int run(const struct command *command, int argc, char **argv);

const struct command command_run = {
    .name = "run",
    .arguments = "[--config FILE] [--env-file FILE] [--set KEY=VALUE]...",
    .summary = "takes jobs until it is told to stop",
    .help =
        "Without E2B_API_KEY and E2B_API_URL it works in simulation, against e2b-local on 127.0.0.1:3010.\n"
        "SIGTERM or SIGINT drains: running jobs go on for worker.drain_ms; a second one gives them back at "
        "once.\n"
        "Exit codes: 0 drained, 2 usage, 69 an address of ours cannot be used, 78 "
        "configuration.\n\n" COMMAND_CONFIG_HELP,
    .run = run,
};

struct running {
    struct loop *loop;
    struct worker *worker;
    struct log log;
};

static void on_signal(void *arg)
{
    struct running *running = arg;
    worker_stop(running->worker);
}

static void on_stopped(void *arg)
{
    struct running *running = arg;
    loop_stop(running->loop);
}

/* Returns: false after saying what to raise. */
static bool raise_descriptors(const struct config *config, struct descriptors *ret)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)descriptors_needed(config);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    *ret = descriptors_share(config, limit.rlim_max);
    if (limit.rlim_max >= needed)
        return true;
    fprintf(stderr,
            "e2b-worker: worker.max_in_flight=%lld needs %lu open files, the system allows %lu: raise the "
            "hard limit "
            "(ulimit -Hn, LimitNOFILE=) or lower worker.max_in_flight\n",
            (long long)config->max_in_flight, (unsigned long)needed, (unsigned long)limit.rlim_max);
    return false;
}

static void log_start(const struct running *running, const struct config *config)
{
    struct arena arena;
    struct text_list warnings = {0};
    arena_init(&arena, 0);
    log_info(&running->log, "worker.starting", LOG_TEXT("version", E2BW_VERSION),
             LOG_TEXT("mode", worker_mode(running->worker)), LOG_TEXT("deployment", config->deployment),
             LOG_TEXT("ledger", config->ledger), LOG_TEXT("group", config->kafka_group_id),
             LOG_INT("limit", config->limit_global), LOG_INT("max_in_flight", config->max_in_flight));
    config_warnings(config, &arena, &warnings);
    for (size_t i = 0; i < warnings.count; i++)
        log_warn(&running->log, "config.warning", LOG_TEXT("text", warnings.items[i]));
    arena_release(&arena);
}

/* It does not begin: what did begin already is ended in order. */
static void end_early(struct running *running)
{
    if (running->worker)
        worker_stop(running->worker);
    loop_run(running->loop);
    worker_free(running->worker);
    loop_free(running->loop, NULL, NULL);
}

static int run_worker(const struct config *config, const struct descriptors *descriptors)
{
    struct error error;
    struct random random;
    struct running running = {.loop = loop_new(), .log = command_log(config)};
    random_init(&random);
    const struct worker_options options = {.loop = running.loop,
                                           .config = config,
                                           .log = &running.log,
                                           .random = &random,
                                           .uv = loop_uv(running.loop),
                                           .max_active = descriptors->max_active,
                                           .idle_connections = descriptors->idle_connections,
                                           .stopped = on_stopped,
                                           .arg = &running};
    running.worker = worker_new(&options, &error);
    if (!running.worker) {
        fprintf(stderr, "e2b-worker: %s\n", error.text);
        end_early(&running);
        return EXIT_CONFIG;
    }
    struct health *health = health_new(running.loop, running.worker, config->http_listen, &error);
    if (!health) {
        fprintf(stderr, "e2b-worker: http.listen=%s: %s\n", config->http_listen, error.text);
        end_early(&running);
        return EXIT_UNAVAILABLE;
    }
    log_start(&running, config);
    log_info(&running.log, "http.listening", LOG_INT("port", health_port(health)));
    struct signal_watch *term = loop_signal_new(running.loop, SIGTERM, on_signal, &running);
    struct signal_watch *interrupt = loop_signal_new(running.loop, SIGINT, on_signal, &running);
    loop_run(running.loop);
    health_free(health);
    signal_watch_close(term);
    signal_watch_close(interrupt);
    worker_free(running.worker);
    log_info(&running.log, "worker.stopped");
    loop_free(running.loop, NULL, NULL);
    return EXIT_OK;
}

static int run(const struct command *command, int argc, char **argv)
{
    struct command_options options;
    struct arena arena;
    struct config config;
    struct descriptors descriptors = {0};
    int status = command_parse(command, argc, argv, NULL, 0, &options);
    if (status != EXIT_OK)
        return status < 0 ? EXIT_OK : status;
    if (options.rest_count > 0)
        return command_usage(command, "unexpected argument '%s'", options.rest[0]);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mallopt(M_ARENA_MAX, 2); /* the loop's, and one for all of librdkafka's threads */
    arena_init(&arena, 16384);
    status = command_load(&options, &arena, &config);
    if (status == EXIT_OK)
        status = raise_descriptors(&config, &descriptors) ? run_worker(&config, &descriptors) : EXIT_CONFIG;
    arena_release(&arena);
    return status;
}
