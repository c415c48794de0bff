/* Replies to structs, with every bound checked: elements, and what decides. */
#include "redis/replies_inside.h"

#include <string.h>

enum { LONGEST_TEXT = 4096, MOST_ELEMENTS = 100000 };

bool replies_malformed(struct error *reterr, enum script_name script)
{
    return error_set(
        reterr, ERROR_INTERNAL, "redis", 0,
        "Redis answered the script %s in a form it never has: is another version of this program, "
        "or another program, using this ledger?",
        scripts[script].name);
}

/* ---- elements ---- */

const redisReply *replies_element(const redisReply *array, size_t i)
{
    return i < array->elements ? array->element[i] : NULL;
}

bool replies_read_text(const redisReply *reply, const char **ret)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) || !reply->str ||
        reply->len > LONGEST_TEXT || strlen(reply->str) != reply->len)
        return false;
    *ret = reply->str;
    return true;
}

bool replies_read_int(const redisReply *reply, int64_t *ret)
{
    if (!reply || reply->type != REDIS_REPLY_INTEGER)
        return false;
    *ret = reply->integer;
    return true;
}

bool replies_read_count(const redisReply *reply, int64_t *ret)
{
    return reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 && replies_read_int(reply, ret);
}

bool replies_read_flag(const redisReply *reply, bool *ret)
{
    if (!reply || reply->type != REDIS_REPLY_INTEGER || reply->integer < 0 || reply->integer > 1)
        return false;
    *ret = reply->integer == 1;
    return true;
}

bool replies_is_array(const redisReply *reply, size_t at_least)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= at_least &&
           reply->elements <= MOST_ELEMENTS;
}

bool replies_group(const redisReply *reply, enum script_name script, size_t count, struct error *reterr)
{
    return (replies_is_array(reply, count) && reply->elements == count) || replies_malformed(reterr, script);
}

static bool is_text_array(const redisReply *reply)
{
    const char *text;
    if (!replies_is_array(reply, 0))
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (!replies_read_text(reply->element[i], &text))
            return false;
    return true;
}

/* ---- pulse ---- */

static bool is_crew(const redisReply *reply)
{
    const char *worker;
    int64_t left_ms;
    if (!replies_is_array(reply, 0) || reply->elements % 2 != 0)
        return false;
    for (size_t i = 0; i < reply->elements; i += 2)
        if (!replies_read_text(reply->element[i], &worker) ||
            !replies_read_int(reply->element[i + 1], &left_ms))
            return false;
    return true;
}

bool replies_pulse(const redisReply *reply, struct pulse_answer *ret, struct error *reterr)
{
    struct pulse_answer answer = {0};
    const char *state;
    if (!replies_is_array(reply, 8) || !replies_read_text(replies_element(reply, 0), &state) ||
        !replies_read_text(replies_element(reply, 1), &answer.epoch) ||
        !replies_read_flag(replies_element(reply, 2), &answer.has_lapsed) ||
        !is_text_array(replies_element(reply, 3)) || !is_text_array(replies_element(reply, 4)) ||
        !is_text_array(replies_element(reply, 5)) ||
        !replies_read_text(replies_element(reply, 6), &answer.crew_version) ||
        !is_crew(replies_element(reply, 7)))
        return replies_malformed(reterr, SCRIPT_PULSE);
    answer.is_ready = strcmp(state, "ready") == 0;
    answer.is_in_doubt = strcmp(state, "doubt") == 0;
    if (!answer.is_ready && !answer.is_in_doubt && strcmp(state, "rebuilding") != 0)
        return replies_malformed(reterr, SCRIPT_PULSE);
    answer.others = replies_element(reply, 3);
    answer.gone = replies_element(reply, 4);
    answer.cancelled = replies_element(reply, 5);
    answer.crew = replies_element(reply, 7);
    *ret = answer;
    return true;
}

const char *replies_text(const redisReply *array, size_t i)
{
    return i < array->elements ? array->element[i]->str : NULL;
}

size_t replies_crew_count(const redisReply *crew)
{
    return crew->elements / 2;
}

const char *replies_crew(const redisReply *crew, size_t i, int64_t *ret_left_ms)
{
    *ret_left_ms = crew->element[2 * i + 1]->integer;
    return crew->element[2 * i]->str;
}

/* ---- acquire ---- */

static bool read_granted(const redisReply *reply, struct ledger_acquired *ret)
{
    return replies_read_text(replies_element(reply, 1), &ret->permit) &&
           replies_read_count(replies_element(reply, 2), &ret->attempt) &&
           replies_read_count(replies_element(reply, 3), &ret->crashes) &&
           replies_read_count(replies_element(reply, 4), &ret->wait_ms) &&
           replies_read_flag(replies_element(reply, 5), &ret->has_begun);
}

static bool read_denied(const redisReply *reply, struct ledger_acquired *ret)
{
    return replies_read_text(replies_element(reply, 1), &ret->limit) &&
           replies_read_count(replies_element(reply, 2), &ret->used) &&
           replies_read_int(replies_element(reply, 3), &ret->max) &&
           replies_read_count(replies_element(reply, 4), &ret->retry_ms);
}

static bool read_not_ready(const redisReply *reply, struct ledger_acquired *ret)
{
    return replies_read_text(replies_element(reply, 1), &ret->why);
}

static bool read_elsewhere(const redisReply *reply, struct ledger_acquired *ret)
{
    return replies_read_text(replies_element(reply, 1), &ret->owner);
}

static bool read_adopt(const redisReply *reply, struct ledger_acquired *ret)
{
    return replies_read_text(replies_element(reply, 1), &ret->permit) &&
           replies_read_text(replies_element(reply, 2), &ret->sandbox) &&
           replies_read_text(replies_element(reply, 3), &ret->mode) &&
           replies_read_text(replies_element(reply, 4), &ret->plan) &&
           replies_read_count(replies_element(reply, 5), &ret->attempt) &&
           replies_read_count(replies_element(reply, 6), &ret->crashes) &&
           replies_read_count(replies_element(reply, 7), &ret->run_until_ms);
}

static bool read_sealed(const redisReply *reply, struct ledger_acquired *ret)
{
    const redisReply *record = replies_element(reply, 1);
    if (!record || record->type != REDIS_REPLY_STRING)
        return false;
    ret->record = (struct bytes){.data = record->str, .length = record->len};
    return replies_read_text(replies_element(reply, 2), &ret->permit) &&
           replies_read_text(replies_element(reply, 3), &ret->sandbox) &&
           replies_read_text(replies_element(reply, 4), &ret->place);
}

static bool read_done(const redisReply *reply, struct ledger_acquired *ret)
{
    return replies_read_text(replies_element(reply, 1), &ret->status) &&
           replies_read_text(replies_element(reply, 2), &ret->origin) &&
           replies_read_int(replies_element(reply, 3), &ret->partition) &&
           replies_read_int(replies_element(reply, 4), &ret->offset);
}

static bool read_nothing(const redisReply *reply, struct ledger_acquired *ret)
{
    (void)reply;
    (void)ret;
    return true;
}

static const struct verdict_form {
    const char *word;
    enum ledger_verdict verdict;
    bool (*read)(const redisReply *reply, struct ledger_acquired *ret);
} verdict_forms[] = {
    {"granted", LEDGER_GRANTED, read_granted},
    {"denied", LEDGER_DENIED, read_denied},
    {"not_ready", LEDGER_NOT_READY, read_not_ready},
    {"elsewhere", LEDGER_ELSEWHERE, read_elsewhere},
    {"adopt", LEDGER_ADOPT, read_adopt},
    {"sealed", LEDGER_SEALED, read_sealed},
    {"done", LEDGER_DONE, read_done},
    {"stale", LEDGER_STALE, read_nothing},
    {"cancelled", LEDGER_CANCELLED, read_nothing},
    {"conflict", LEDGER_CONFLICT, read_nothing},
};

bool replies_acquire(const redisReply *reply, struct ledger_acquired *ret, struct error *reterr)
{
    struct ledger_acquired answer = {.permit = "",
                                     .owner = "",
                                     .limit = "",
                                     .why = "",
                                     .sandbox = "",
                                     .mode = "",
                                     .plan = "",
                                     .record = {.data = ""},
                                     .status = "",
                                     .place = "",
                                     .origin = "",
                                     .partition = -1,
                                     .offset = -1};
    const char *word;
    if (!replies_is_array(reply, 1) || !replies_read_text(replies_element(reply, 0), &word))
        return replies_malformed(reterr, SCRIPT_ACQUIRE);
    for (size_t i = 0; i < ARRAY_LENGTH(verdict_forms); i++)
        if (strcmp(word, verdict_forms[i].word) == 0) {
            answer.verdict = verdict_forms[i].verdict;
            if (!verdict_forms[i].read(reply, &answer))
                break;
            *ret = answer;
            return true;
        }
    return replies_malformed(reterr, SCRIPT_ACQUIRE);
}

/* ---- one word ---- */

static const struct {
    const char *word;
    enum script_name script;
    enum ledger_answer answer;
} words[] = {
    {"ok", SCRIPT_BIND, LEDGER_OK},
    {"superseded", SCRIPT_BIND, LEDGER_SUPERSEDED},
    {"superseded_permit", SCRIPT_BIND, LEDGER_SUPERSEDED_PERMIT},
    {"not_ready", SCRIPT_BIND, LEDGER_NOT_NOW},
    {"ok", SCRIPT_SEAL, LEDGER_OK},
    {"superseded", SCRIPT_SEAL, LEDGER_SUPERSEDED},
    {"superseded_permit", SCRIPT_SEAL, LEDGER_SUPERSEDED_PERMIT},
    {"elsewhere", SCRIPT_SEAL, LEDGER_SEAL_ELSEWHERE},
    {"done", SCRIPT_SEAL, LEDGER_SEAL_DONE},
    {"conflict", SCRIPT_SEAL, LEDGER_SEAL_CONFLICT},
    {"not_ready", SCRIPT_SEAL, LEDGER_NOT_NOW},
    {"ok", SCRIPT_YIELD, LEDGER_OK},
    {"superseded", SCRIPT_YIELD, LEDGER_SUPERSEDED},
    {"superseded_permit", SCRIPT_YIELD, LEDGER_SUPERSEDED_PERMIT},
    {"not_ready", SCRIPT_YIELD, LEDGER_NOT_NOW},
    {"ok", SCRIPT_MOVED, LEDGER_OK},
    {"ok", SCRIPT_CANCEL, LEDGER_OK},
    {"late", SCRIPT_CANCEL, LEDGER_SEAL_DONE},
    {"kill", SCRIPT_CONDEMN, LEDGER_OK},
    {"keep", SCRIPT_CONDEMN, LEDGER_SUPERSEDED_PERMIT},
    {"not_ready", SCRIPT_CONDEMN, LEDGER_NOT_NOW},
    {"ok", SCRIPT_ASSERT, LEDGER_OK},
    {"superseded", SCRIPT_ASSERT, LEDGER_SUPERSEDED},
    {"superseded_permit", SCRIPT_ASSERT, LEDGER_SUPERSEDED_PERMIT},
    {"elsewhere", SCRIPT_ASSERT, LEDGER_SEAL_ELSEWHERE},
    {"done", SCRIPT_ASSERT, LEDGER_SEAL_DONE},
    {"closed", SCRIPT_ASSERT, LEDGER_NOT_NOW},
    {"ok", SCRIPT_ASSERTED, LEDGER_OK},
    {"closed", SCRIPT_ASSERTED, LEDGER_NOT_NOW},
    {"ok", SCRIPT_READY, LEDGER_OK},
    {"later", SCRIPT_READY, LEDGER_NOT_NOW},
    {"ok", SCRIPT_LIMIT_SET, LEDGER_OK},
    {"ok", SCRIPT_LOCK, LEDGER_OK},
    {"taken", SCRIPT_LOCK, LEDGER_NOT_NOW},
};

bool replies_word(const redisReply *reply, enum script_name script, enum ledger_answer *ret,
                  struct error *reterr)
{
    const char *word;
    if (!replies_read_text(reply, &word))
        return replies_malformed(reterr, script);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (words[i].script == script && strcmp(words[i].word, word) == 0) {
            *ret = words[i].answer;
            return true;
        }
    return replies_malformed(reterr, script);
}
