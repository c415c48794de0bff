/* e2b-local: starts the parts, runs until a signal, and leaves nothing behind. */
#include "base/clock.h"
#include "control.h"
#include "home.h"
#include "http/server.h"
#include "loop/loop.h"
#include "loop/on_uv.h"
#include "options.h"
#include "sandbox.h"
#include "service.h"
#include "zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MAX_BODY_BYTES = 64 << 20,
    MAX_STREAM_BYTES = 1 << 20,
    MAX_CONNECTIONS = 8192,
    STOP_POLL_MS = 5,
    STOP_MS = 15000
};
enum { EXIT_STOPPED = 0, EXIT_CANNOT_START = 1, EXIT_WRONG_USE = 2 };

struct program {
    struct options options;
    struct service service;
    struct home *home;
    struct signal_watch *signals[2];
    struct timer stop_timer;
    int64_t stop_until_ms;
    bool is_stopping;
};

/* ---- stopping ---- */

static void wait_for_end(void *arg)
{
    struct program *program = arg;
    struct service *service = &program->service;
    bool is_over = service->dying_count == 0 && service->child_count == 0;
    if (is_over || loop_now_ms(service->loop) >= program->stop_until_ms) {
        loop_stop(service->loop);
        return;
    }
    loop_timer_start(service->loop, &program->stop_timer, STOP_POLL_MS, wait_for_end, program);
}

static void on_signal(void *arg)
{
    struct program *program = arg;
    struct service *service = &program->service;
    if (program->is_stopping)
        return;
    program->is_stopping = true;
    service->max_sandboxes = 0;
    log_info(&service->log, "stopping", LOG_INT("sandboxes", service->sandbox_count));
    while (!list_is_empty(&service->sandboxes))
        sandbox_end(LIST_OBJECT(service->sandboxes.next, struct sandbox, link), SANDBOX_END_KILLED, NULL,
                    NULL);
    program->stop_until_ms = loop_now_ms(service->loop) + STOP_MS;
    wait_for_end(program);
}

/* ---- starting ---- */

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static bool write_port(const struct program *program, struct error *reterr)
{
    const char *path = program->options.port_file;
    if (!path)
        return true;
    CLEANUP(base_freep) char *part = base_printf("%s.part", path);
    FILE *file = fopen(part, "we");
    if (!file)
        return error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot write %s: %s", part,
                         strerror(errno));
    (void)fprintf(file, "%u\n", http_server_port(program->service.server));
    /* A reader that waits for the file must never see it empty. */
    if (fclose(file) != 0 || rename(part, path) != 0)
        return error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot write %s: %s", path,
                         strerror(errno));
    return true;
}

static bool open_journal(struct program *program, struct error *reterr)
{
    const char *path = program->options.journal;
    if (!path)
        return true;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot write %s: %s", path,
                         strerror(errno));
    program->service.journal = (struct log){.level = LOG_LEVEL_INFO, .fd = fd};
    return true;
}

static bool start(struct program *program, struct error *reterr)
{
    struct service *service = &program->service;
    const struct options *options = &program->options;
    struct zygote_options zygote = {.python = options->python, .node = options->node};
    if (options->port_file)
        (void)unlink(
            options->port_file); /* a predecessor's that was killed: whoever waits for it waits for ours */
    cgroups_sweep();
    if (!open_journal(program, reterr))
        return false;
    program->home = home_new(options->directory, &service->log, reterr);
    if (!program->home)
        return false;
    zygote.directory = home_path(program->home);
    service->zygote = zygote_new(service->loop, &service->log, &zygote, reterr);
    if (!service->zygote)
        return false;
    struct cells_options cells = {.directory = home_path(program->home),
                                  .isolation = options->isolation,
                                  .extra_folders = zygote_folders(service->zygote)};
    service->cells = cells_new(service->loop, &service->log, &cells, reterr);
    if (!service->cells)
        return false;
    struct http_server_options server = {.listen = options->listen,
                                         .max_body_bytes = MAX_BODY_BYTES,
                                         .max_buffered_bytes = MAX_STREAM_BYTES,
                                         .idle_timeout_s = 620,
                                         .max_connections = MAX_CONNECTIONS,
                                         .handler = router_handle,
                                         .arg = service};
    service->server = http_server_new(service->loop, &server, reterr);
    return service->server && write_port(program, reterr);
}

static void announce(const struct service *service)
{
    CLEANUP(base_freep) char *url = base_printf("http://127.0.0.1:%u", http_server_port(service->server));
    log_warn(&service->log, "for_development_only",
             LOG_TEXT("note", "code runs as local processes; do not offer this service to anybody else"));
    log_info(&service->log, "listening", LOG_TEXT("url", url),
             LOG_TEXT("isolation", cells_isolation_name(service->cells)),
             LOG_TEXT("cgroups", cells_cgroup_kind(service->cells)),
             LOG_INT("max_sandboxes", service->max_sandboxes));
}

static void release(struct program *program)
{
    struct service *service = &program->service;
    http_server_free(service->server);
    for (size_t i = 0; i < ARRAY_LENGTH(program->signals); i++)
        if (program->signals[i])
            signal_watch_close(program->signals[i]);
    control_forget(service);
    faults_release(&service->faults);
    cells_free(service->cells);
    zygote_free(service->zygote);
    loop_timer_stop(service->loop, &program->stop_timer);
    loop_free(service->loop, NULL, NULL);
    home_free(program->home);
    if (program->options.port_file)
        (void)unlink(program->options.port_file);
    if (service->journal.fd > 0)
        (void)close(service->journal.fd);
    options_release(&program->options);
}

static void init(struct program *program)
{
    struct service *service = &program->service;
    const struct options *options = &program->options;
    service->log = (struct log){.component = "e2b-local", .level = options->log_level};
    service->journal.level = LOG_LEVEL_NONE;
    service->loop = loop_new();
    random_init(&service->random);
    list_init(&service->sandboxes);
    list_init(&service->remembered);
    service->templates = options->templates;
    service->api_key = options->api_key;
    service->node = options->node;
    service->max_sandboxes = options->max_sandboxes;
    program->signals[0] = loop_signal_new(service->loop, SIGTERM, on_signal, program);
    program->signals[1] = loop_signal_new(service->loop, SIGINT, on_signal, program);
}

int main(int argc, char **argv)
{
    struct program program = {0};
    enum options_result parsed = options_parse(&program.options, argc, argv);
    if (parsed != OPTIONS_RUN) {
        options_release(&program.options);
        return parsed == OPTIONS_SHOWN ? EXIT_STOPPED : EXIT_WRONG_USE;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    init(&program);
    struct error error;
    if (!start(&program, &error)) {
        (void)fprintf(stderr, "e2b-local: %s\n", error.text);
        release(&program);
        return EXIT_CANNOT_START;
    }
    announce(&program.service);
    loop_run(program.service.loop);
    release(&program);
    return EXIT_STOPPED;
}
