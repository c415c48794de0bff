/* Starts, stops and asks a redis-server. */
#include "contract/redis_server.h"

#include "base/clock.h"
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_server {
    char folder[64], socket[96], snapshot[96], url[112];
    pid_t pid;
    redisContext *context;
};

static void connect_to(struct redis_server *server)
{
    int64_t give_up_ms = clock_monotonic_ms() + 10000;
    for (;;) {
        server->context = redisConnectUnix(server->socket);
        if (server->context && server->context->err == 0)
            return;
        redisFree(server->context);
        server->context = NULL;
        if (clock_monotonic_ms() > give_up_ms)
            base_die("redis-server did not start: is it installed?");
        usleep(5000);
    }
}

void redis_server_start(struct redis_server *server)
{
    (void)unlink(server->socket);
    server->pid = fork();
    if (server->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that dies leaves no server behind */
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--save", "",
               "--appendonly", "no", "--dir", server->folder, "--logfile", "/dev/null", "--maxmemory-policy",
               "noeviction", NULL);
        _exit(127);
    }
    connect_to(server);
}

struct redis_server *redis_server_new(void)
{
    struct redis_server *server = base_alloc(sizeof *server);
    snprintf(server->folder, sizeof server->folder, "/tmp/ledger-test-XXXXXX");
    if (!mkdtemp(server->folder))
        base_die("cannot make a folder under /tmp");
    snprintf(server->socket, sizeof server->socket, "%s/redis.sock", server->folder);
    snprintf(server->snapshot, sizeof server->snapshot, "%s/dump.rdb", server->folder);
    snprintf(server->url, sizeof server->url, "unix:%s", server->socket);
    redis_server_start(server);
    return server;
}

void redis_server_stop(struct redis_server *server)
{
    redisFree(TAKE(server->context));
    if (server->pid <= 0)
        return;
    (void)kill(server->pid, SIGKILL);
    (void)waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

void redis_server_free(struct redis_server *server)
{
    redis_server_stop(server);
    (void)unlink(server->socket);
    (void)unlink(server->snapshot);
    (void)rmdir(server->folder);
    free(server);
}

void redis_server_save(struct redis_server *server)
{
    redis_server_tell(server, "SAVE");
}

void redis_server_freeze(struct redis_server *server)
{
    (void)kill(server->pid, SIGSTOP);
}

void redis_server_thaw(struct redis_server *server)
{
    (void)kill(server->pid, SIGCONT);
}

const char *redis_server_url(const struct redis_server *server)
{
    return server->url;
}

static redisReply *ask(struct redis_server *server, const char *format, va_list arguments)
{
    redisReply *reply = redisvCommand(server->context, format, arguments);
    if (!reply)
        base_die("redis-server: %s", server->context->errstr);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    return reply;
}

redisReply *redis_server_ask(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = ask(server, format, arguments);
    va_end(arguments);
    return reply;
}

void redis_server_tell(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    freeReplyObject(ask(server, format, arguments));
    va_end(arguments);
}

int64_t redis_server_ask_int(struct redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = ask(server, format, arguments);
    va_end(arguments);
    int64_t value = reply->type == REDIS_REPLY_INTEGER ? reply->integer
                    : reply->str                       ? strtoll(reply->str, NULL, 10)
                                                       : 0;
    freeReplyObject(reply);
    return value;
}
