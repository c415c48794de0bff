/* How the ledger's operations go out and come back: one command each, or with others of their turn. */
#include "redis/ledger_inside.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

/* Some fifty dones: a script keeps everybody else waiting for as long as it runs. */
enum { BATCH_BYTES = 16 * 1024 };

/* ---- requests ---- */

struct ledger_request *ledger_request_new(struct ledger *ledger, struct ledger_call *call,
                                          enum script_name script, ledger_settle_fn settle,
                                          struct command *command)
{
    assert(!call->request && !ledger->is_closing);
    struct ledger_request *request = base_alloc(sizeof *request);
    request->ledger = ledger;
    request->call = call;
    request->script = script;
    request->settle = settle;
    request->epoch = ledger_epoch(ledger);
    call->request = request;
    list_push_back(&ledger->requests, &request->link);
    if (command)
        command_script(command, script, ledger->prefix);
    return request;
}

struct ledger_call *ledger_request_leave(struct ledger_request *request)
{
    struct ledger_call *call = TAKE(request->call);
    if (call)
        call->request = NULL;
    link_remove(&request->link);
    return call;
}

static void request_end(struct ledger_request *request, const struct error *error,
                        const struct redisReply *reply)
{
    struct ledger_call *call = ledger_request_leave(request);
    request->settle(request, call, error, reply);
    free(request->permit);
    free(request);
}

static void on_fail_task(void *arg)
{
    struct ledger_request *request = arg;
    request_end(request, &request->error, NULL);
}

void ledger_request_fail(struct ledger_request *request)
{
    struct ledger *ledger = request->ledger;
    (void)error_set(&request->error, ERROR_TRANSIENT, "redis", 0, "%s",
                    ledger->why[0] != '\0' ? ledger->why : "the connection to Redis broke");
    loop_defer(ledger->options.loop, &request->task, on_fail_task, request);
}

static void on_refuse_task(void *arg)
{
    struct ledger_request *request = arg;
    struct ledger_call *call = ledger_request_leave(request);
    if (call)
        request->done.answer(call, NULL, LEDGER_NOT_NOW);
    free(request->permit);
    free(request);
}

void ledger_request_refuse(struct ledger_request *request)
{
    loop_defer(request->ledger->options.loop, &request->task, on_refuse_task, request);
}

static void on_reply(void *arg, const struct error *error, const struct redisReply *reply)
{
    request_end(arg, error, reply);
}

/* Whoever asks finds done what was said before. */
void ledger_request_send(struct ledger_request *request, struct command *command)
{
    struct ledger *ledger = request->ledger;
    ledger_flush(ledger);
    struct bytes wire = command_format(command);
    if (!ledger->is_serving || !connection_send(ledger->connection, wire, on_reply, request))
        ledger_request_fail(request);
    free((void *)wire.data);
}

void ledger_requests_silence(struct ledger *ledger)
{
    LIST_EACH(&ledger->requests, link)
    {
        struct ledger_request *request = LIST_OBJECT(link, struct ledger_request, link);
        (void)ledger_request_leave(request);
    }
}

void ledger_command_begin(struct ledger *ledger, struct command *command, enum script_name script)
{
    assert(!ledger->is_closing);
    *command = (struct command){0};
    command_script(command, script, ledger->prefix);
}

/* ---- several of a turn ---- */

/* A group under way, in the order of the array of answers. */
struct asked_together {
    size_t count;
    struct ledger_request *members[];
};

static void on_group_reply(void *arg, const struct error *error, const struct redisReply *reply)
{
    struct asked_together *asked = arg;
    struct error malformed;
    if (!error && !replies_group(reply, asked->members[0]->script, asked->count, &malformed))
        error = &malformed;
    for (size_t i = 0; i < asked->count; i++) {
        const redisReply *answer = error ? NULL : reply->element[i];
        if (!answer || answer->type != REDIS_REPLY_ERROR) {
            request_end(asked->members[i], error, answer);
            continue;
        }
        struct error own;
        connection_read_error(answer->str, &own);
        if (own.kind == ERROR_TRANSIENT) /* as for a whole command: this server cannot serve now */
            connection_fail(asked->members[i]->ledger->connection, own.text);
        request_end(asked->members[i], &own, NULL);
    }
    free(asked);
}

static void group_flush(struct ledger *ledger, struct group *group)
{
    size_t count = group->batch.count, size = count * sizeof(struct ledger_request *);
    if (count == 0)
        return;
    group->batch.count = 0;
    struct asked_together *asked = base_alloc(sizeof *asked + size);
    asked->count = count;
    memcpy(asked->members, group->members, size);
    struct bytes wire = command_format(&group->batch.command);
    if (!ledger->is_serving || !connection_send(ledger->connection, wire, on_group_reply, asked)) {
        for (size_t i = 0; i < count; i++)
            ledger_request_fail(asked->members[i]);
        free(asked);
    }
    free((void *)wire.data);
}

static void flush(struct ledger *ledger, struct batch *batch, const char *what)
{
    if (batch->count > 0)
        background_add(ledger->background, what, command_format(&batch->command), batch->count);
    batch->count = 0;
}

/* A place that was given back is there for who asks in the same turn. */
void ledger_flush(struct ledger *ledger)
{
    flush(ledger, &ledger->dones, "done");
    flush(ledger, &ledger->releases, "release");
    group_flush(ledger, &ledger->binds);
    group_flush(ledger, &ledger->seals);
    group_flush(ledger, &ledger->acquires);
    loop_defer_cancel(ledger->options.loop, &ledger->turn_task);
}

static void on_turn_end_task(void *arg)
{
    ledger_flush(arg);
}

static bool has_permit(const struct group *group, const char *permit)
{
    for (size_t i = 0; i < group->batch.count; i++)
        if (group->members[i]->permit && strcmp(group->members[i]->permit, permit) == 0)
            return true;
    return false;
}

bool ledger_is_asking(const struct ledger *ledger, const char *permit)
{
    return has_permit(&ledger->binds, permit) || has_permit(&ledger->seals, permit) ||
           has_permit(&ledger->acquires, permit);
}

bool ledger_batch_join(struct ledger *ledger, struct batch *batch, enum script_name script)
{
    if (batch->command.words.length > BATCH_BYTES)
        ledger_flush(ledger);
    loop_defer(ledger->options.loop, &ledger->turn_task, on_turn_end_task, ledger);
    if (batch->count++ > 0)
        return false;
    ledger_command_begin(ledger, &batch->command, script);
    return true;
}

struct command *ledger_group_join(struct group *group, struct ledger_request *request)
{
    struct ledger *ledger = request->ledger;
    struct batch *batch = &group->batch;
    if (!ledger->is_serving) {
        ledger_request_fail(request);
        return NULL;
    }
    if (batch->count == GROUP_MAX)
        ledger_flush(ledger);
    if (ledger_batch_join(ledger, batch, request->script))
        command_text(&batch->command, ledger->worker);
    group->members[batch->count - 1] = request;
    return &batch->command;
}
