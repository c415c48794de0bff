/* Replies to structs: what people, the reaper and the leader of a rebuild look at; and INFO. */
#include "redis/replies_inside.h"

#include <stdlib.h>
#include <string.h>

/* ---- one row ---- */

bool replies_lead(const redisReply *reply, struct ledger_lead *ret, struct error *reterr)
{
    struct ledger_lead lead;
    if (!replies_is_array(reply, 3) || !replies_read_flag(replies_element(reply, 0), &lead.is_leader) ||
        !replies_read_int(replies_element(reply, 1), &lead.behind_ms) ||
        !replies_read_count(replies_element(reply, 2), &lead.waiting_for))
        return replies_malformed(reterr, SCRIPT_LEAD);
    *ret = lead;
    return true;
}

bool replies_condition(const redisReply *reply, struct ledger_condition *ret, struct error *reterr)
{
    struct ledger_condition condition;
    if (!replies_is_array(reply, 4) || !replies_read_text(replies_element(reply, 0), &condition.why) ||
        !replies_read_count(replies_element(reply, 1), &condition.workers) ||
        !replies_read_int(replies_element(reply, 2), &condition.rebuilding_ms) ||
        !replies_read_count(replies_element(reply, 3), &condition.waiting_for))
        return replies_malformed(reterr, SCRIPT_CONDITION);
    *ret = condition;
    return true;
}

bool replies_claim(const redisReply *reply, struct ledger_claim *ret, struct error *reterr)
{
    struct ledger_claim claim;
    const char **const texts[] = {&claim.state, &claim.owner,  &claim.permit, &claim.sandbox,
                                  &claim.mode,  &claim.status, &claim.origin};
    bool *const flags[] = {&claim.is_owner_alive, &claim.is_cancelled};
    int64_t *const numbers[] = {&claim.hop,          &claim.attempt,   &claim.crashes, &claim.until_ms,
                                &claim.run_until_ms, &claim.partition, &claim.offset};
    size_t next = 0;
    bool is_good = replies_is_array(reply, 18);
    for (size_t i = 0; is_good && i < ARRAY_LENGTH(texts); i++)
        is_good = replies_read_text(replies_element(reply, next++), texts[i]);
    for (size_t i = 0; is_good && i < ARRAY_LENGTH(flags); i++)
        is_good = replies_read_flag(replies_element(reply, next++), flags[i]);
    for (size_t i = 0; is_good && i < ARRAY_LENGTH(numbers); i++)
        is_good = replies_read_int(replies_element(reply, next++), numbers[i]);
    if (!is_good || !replies_read_text(replies_element(reply, next), &claim.waits_at) ||
        !replies_read_count(replies_element(reply, next + 1), &claim.waits_ms))
        return replies_malformed(reterr, SCRIPT_LOOK);
    *ret = claim;
    return true;
}

/* ---- tables ---- */

static bool read_usage(const redisReply *reply, struct ledger_usage *ret)
{
    return replies_is_array(reply, 7) && replies_read_text(replies_element(reply, 0), &ret->limit) &&
           replies_read_count(replies_element(reply, 1), &ret->used) &&
           replies_read_int(replies_element(reply, 2), &ret->max) &&
           replies_read_count(replies_element(reply, 3), &ret->waiters) &&
           replies_read_count(replies_element(reply, 4), &ret->oldest_ms) &&
           replies_read_int(replies_element(reply, 5), &ret->set) &&
           replies_read_int(replies_element(reply, 6), &ret->cut_left_ms);
}

bool replies_snapshot(const redisReply *reply, struct ledger_usage **ret, size_t *ret_count,
                      struct error *reterr)
{
    if (!replies_is_array(reply, 0))
        return replies_malformed(reterr, SCRIPT_SNAPSHOT);
    struct ledger_usage *usage = reply->elements > 0 ? base_alloc(reply->elements * sizeof *usage) : NULL;
    for (size_t i = 0; i < reply->elements; i++)
        if (!read_usage(replies_element(reply, i), &usage[i])) {
            free(usage);
            return replies_malformed(reterr, SCRIPT_SNAPSHOT);
        }
    *ret = usage;
    *ret_count = reply->elements;
    return true;
}

static bool read_permit(const redisReply *reply, struct ledger_permit *ret)
{
    return replies_is_array(reply, 7) && replies_read_text(replies_element(reply, 0), &ret->permit) &&
           replies_read_text(replies_element(reply, 1), &ret->worker) &&
           replies_read_text(replies_element(reply, 2), &ret->job) &&
           replies_read_text(replies_element(reply, 3), &ret->sandbox) &&
           replies_read_flag(replies_element(reply, 4), &ret->is_owner_alive) &&
           replies_read_count(replies_element(reply, 5), &ret->age_ms) &&
           replies_read_count(replies_element(reply, 6), &ret->horizon_ms);
}

bool replies_census(const redisReply *reply, struct ledger_permit **ret, size_t *ret_count,
                    struct error *reterr)
{
    if (!replies_is_array(reply, 0))
        return replies_malformed(reterr, SCRIPT_CENSUS);
    struct ledger_permit *permits =
        reply->elements > 0 ? base_alloc(reply->elements * sizeof *permits) : NULL;
    for (size_t i = 0; i < reply->elements; i++)
        if (!read_permit(replies_element(reply, i), &permits[i])) {
            free(permits);
            return replies_malformed(reterr, SCRIPT_CENSUS);
        }
    *ret = permits;
    *ret_count = reply->elements;
    return true;
}

/* ---- INFO ---- */

bool replies_info(const redisReply *reply, const char *name, char *text, size_t size)
{
    if (reply->type != REDIS_REPLY_STRING || !reply->str)
        return false;
    size_t name_length = strlen(name);
    for (const char *line = reply->str; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_length) != 0 || line[name_length] != ':')
            continue;
        const char *value = line + name_length + 1;
        size_t length = strcspn(value, "\r\n");
        if (length >= size)
            return false;
        memcpy(text, value, length);
        text[length] = '\0';
        return true;
    }
    return false;
}
