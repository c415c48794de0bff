/* INFO and TIME over a connection that lives for one call. */
#include "redis/inspect.h"

#include "base/clock.h"
#include "redis/connection.h"
#include "redis/ledger.h"
#include "redis/replies.h"
#include "redis/url.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct timeval time_of(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

/* Returns: the reply, NULL when there is none or it is an error. Owns: freeReplyObject. */
static redisReply *judge(redisContext *context, redisReply *reply, struct error *reterr)
{
    if (!reply) {
        error_set(reterr, ERROR_TRANSIENT, "redis", context->err, "Redis does not answer: %s",
                  context->errstr);
    } else if (reply->type == REDIS_REPLY_ERROR) {
        connection_read_error(reply->str, reterr);
        freeReplyObject(reply);
        reply = NULL;
    }
    return reply;
}

static bool obeys(redisContext *context, redisReply *reply, struct error *reterr)
{
    reply = judge(context, reply, reterr);
    if (reply)
        freeReplyObject(reply);
    return reply != NULL;
}

static bool log_in(redisContext *context, const struct url *url, struct error *reterr)
{
    if (url->password[0] != '\0') {
        bool has_user = url->user[0] != '\0';
        redisReply *reply = has_user ? redisCommand(context, "AUTH %s %s", url->user, url->password)
                                     : redisCommand(context, "AUTH %s", url->password);
        if (!obeys(context, reply, reterr))
            return false;
    }
    return obeys(context, redisCommand(context, "SELECT %d", url->database), reterr);
}

static int64_t find_number(const redisReply *info, const char *name, int64_t missing)
{
    char text[32];
    return replies_info(info, name, text, sizeof text) ? strtoll(text, NULL, 10) : missing;
}

static void read_info(const redisReply *info, struct redis_facts *facts)
{
    (void)!replies_info(info, "redis_version", facts->version, sizeof facts->version);
    (void)!replies_info(info, "redis_mode", facts->mode, sizeof facts->mode);
    (void)!replies_info(info, "role", facts->role, sizeof facts->role);
    (void)!replies_info(info, "maxmemory_policy", facts->memory_policy, sizeof facts->memory_policy);
    facts->used_bytes = find_number(info, "used_memory", 0);
    facts->max_bytes = find_number(info, "maxmemory", 0);
    facts->replicas = find_number(info, "connected_slaves", 0);
    facts->has_append_file = find_number(info, "aof_enabled", 0) == 1;
    int64_t saved_s = find_number(info, "rdb_last_save_time", -1);
    facts->last_save_age_ms = saved_s < 0 ? -1 : clock_unix_ms() - saved_s * 1000;
}

static bool ask_info(redisContext *context, struct redis_facts *facts, struct error *reterr)
{
    redisReply *reply = judge(context, redisCommand(context, "INFO"), reterr);
    if (!reply)
        return false;
    bool is_text = reply->type == REDIS_REPLY_STRING;
    if (is_text)
        read_info(reply, facts);
    else
        error_set(reterr, ERROR_REJECTED, "redis", 0, "what answers to INFO is no Redis");
    freeReplyObject(reply);
    return is_text;
}

static bool ask_time(redisContext *context, struct redis_facts *facts, struct error *reterr)
{
    int64_t sent_ms = clock_unix_ms(), start_ms = clock_monotonic_ms();
    redisReply *reply = judge(context, redisCommand(context, "TIME"), reterr);
    if (!reply)
        return false;
    facts->round_trip_ms = clock_monotonic_ms() - start_ms;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->str &&
        reply->element[1]->str)
        facts->clock_ahead_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
                                strtoll(reply->element[1]->str, NULL, 10) / 1000 -
                                (sent_ms + facts->round_trip_ms / 2);
    freeReplyObject(reply);
    return true;
}

static redisContext *open_context(const struct url *url, int64_t timeout_ms, struct error *reterr)
{
    bool is_local = url->path[0] != '\0';
    redisContext *context = is_local ? redisConnectUnixWithTimeout(url->path, time_of(timeout_ms))
                                     : redisConnectWithTimeout(url->host, url->port, time_of(timeout_ms));
    if (!context)
        base_die("out of memory");
    if (context->err == 0 && redisSetTimeout(context, time_of(timeout_ms)) == REDIS_OK)
        return context;
    error_set(reterr, ERROR_TRANSIENT, "redis", context->err, "cannot connect to %s: %.100s",
              is_local ? url->path : url->host, context->errstr);
    redisFree(context);
    return NULL;
}

bool redis_inspect(const char *url, int64_t timeout_ms, struct redis_facts *ret, struct error *reterr)
{
    struct url place;
    struct redis_facts facts = {0};
    if (!url_parse(url, &place, reterr))
        return false;
    redisContext *context = open_context(&place, timeout_ms, reterr);
    bool is_answered = context && log_in(context, &place, reterr) && ask_info(context, &facts, reterr) &&
                       ask_time(context, &facts, reterr);
    if (context)
        redisFree(context);
    url_release(&place);
    if (is_answered)
        *ret = facts;
    return is_answered;
}
