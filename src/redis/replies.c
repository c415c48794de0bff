/* Replies to structs, with every bound checked. */
#include "redis/replies.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_TEXT = 4096, MOST_ELEMENTS = 100000 };

static bool malformed(struct error *reterr, const char *script)
{
    return error_set(
        reterr, ERROR_INTERNAL, "redis", 0,
        "Redis answered the script %s in a form it never has: is another version of this program, "
        "or another program, using this ledger?",
        script);
}

/* ---- elements ---- */

static const redisReply *element(const redisReply *array, size_t i)
{
    return i < array->elements ? array->element[i] : NULL;
}

/* A text of ours: short, without NUL. */
static bool read_text(const redisReply *reply, const char **ret)
{
    if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) || !reply->str ||
        reply->len > LONGEST_TEXT || strlen(reply->str) != reply->len)
        return false;
    *ret = reply->str;
    return true;
}

static bool read_int(const redisReply *reply, int64_t *ret)
{
    if (!reply || reply->type != REDIS_REPLY_INTEGER)
        return false;
    *ret = reply->integer;
    return true;
}

static bool read_count(const redisReply *reply, int64_t *ret)
{
    return reply && reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0 && read_int(reply, ret);
}

static bool is_array(const redisReply *reply, size_t at_least)
{
    return reply && reply->type == REDIS_REPLY_ARRAY && reply->elements >= at_least &&
           reply->elements <= MOST_ELEMENTS;
}

static bool is_text_array(const redisReply *reply)
{
    const char *text;
    if (!is_array(reply, 0))
        return false;
    for (size_t i = 0; i < reply->elements; i++)
        if (!read_text(reply->element[i], &text))
            return false;
    return true;
}

/* ---- pulse ---- */

bool replies_pulse(const redisReply *reply, struct pulse_answer *ret, struct error *reterr)
{
    struct pulse_answer answer = {0};
    const char *state;
    int64_t lapsed;
    if (!is_array(reply, 5) || !read_text(element(reply, 0), &state) ||
        !read_text(element(reply, 1), &answer.epoch) || !read_count(element(reply, 2), &lapsed) ||
        !is_text_array(element(reply, 3)) || !is_text_array(element(reply, 4)))
        return malformed(reterr, "pulse");
    answer.is_ready = strcmp(state, "ready") == 0;
    answer.is_in_doubt = strcmp(state, "doubt") == 0;
    if (!answer.is_ready && !answer.is_in_doubt && strcmp(state, "rebuilding") != 0)
        return malformed(reterr, "pulse");
    answer.has_lapsed = lapsed != 0;
    answer.not_mine = element(reply, 3);
    answer.cancelled = element(reply, 4);
    *ret = answer;
    return true;
}

const char *replies_text(const redisReply *array, size_t i)
{
    return i < array->elements ? array->element[i]->str : NULL;
}

/* ---- acquire ---- */

static bool read_granted(const redisReply *reply, struct ledger_acquired *ret)
{
    return read_text(element(reply, 1), &ret->permit) && read_count(element(reply, 2), &ret->attempt) &&
           read_count(element(reply, 3), &ret->crashes) && read_count(element(reply, 4), &ret->wait_ms);
}

static bool read_denied(const redisReply *reply, struct ledger_acquired *ret)
{
    return read_text(element(reply, 1), &ret->limit) && read_count(element(reply, 2), &ret->used) &&
           read_int(element(reply, 3), &ret->max) && read_count(element(reply, 4), &ret->retry_ms);
}

static bool read_not_ready(const redisReply *reply, struct ledger_acquired *ret)
{
    return read_text(element(reply, 1), &ret->why);
}

static bool read_elsewhere(const redisReply *reply, struct ledger_acquired *ret)
{
    return read_text(element(reply, 1), &ret->owner);
}

static bool read_adopt(const redisReply *reply, struct ledger_acquired *ret)
{
    return read_text(element(reply, 1), &ret->permit) && read_text(element(reply, 2), &ret->sandbox) &&
           read_text(element(reply, 3), &ret->mode) && read_text(element(reply, 4), &ret->plan) &&
           read_count(element(reply, 5), &ret->attempt) && read_count(element(reply, 6), &ret->crashes) &&
           read_count(element(reply, 7), &ret->run_until_ms);
}

static bool read_sealed(const redisReply *reply, struct ledger_acquired *ret)
{
    const redisReply *record = element(reply, 1);
    if (!record || record->type != REDIS_REPLY_STRING)
        return false;
    ret->record = (struct bytes){.data = record->str, .length = record->len};
    return read_text(element(reply, 2), &ret->permit) && read_text(element(reply, 3), &ret->sandbox);
}

static bool read_done(const redisReply *reply, struct ledger_acquired *ret)
{
    return read_text(element(reply, 1), &ret->status) && read_text(element(reply, 2), &ret->origin) &&
           read_int(element(reply, 3), &ret->partition) && read_int(element(reply, 4), &ret->offset);
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
                                     .origin = "",
                                     .partition = -1,
                                     .offset = -1};
    const char *word;
    if (!is_array(reply, 1) || !read_text(element(reply, 0), &word))
        return malformed(reterr, "acquire");
    for (size_t i = 0; i < ARRAY_LENGTH(verdict_forms); i++)
        if (strcmp(word, verdict_forms[i].word) == 0) {
            answer.verdict = verdict_forms[i].verdict;
            if (!verdict_forms[i].read(reply, &answer))
                break;
            *ret = answer;
            return true;
        }
    return malformed(reterr, "acquire");
}

/* ---- one word ---- */

struct word_form {
    const char *word;
    enum ledger_answer answer;
};

static bool read_word(const redisReply *reply, const struct word_form *forms, size_t count,
                      const char *script, enum ledger_answer *ret, struct error *reterr)
{
    const char *word;
    if (!read_text(reply, &word))
        return malformed(reterr, script);
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, forms[i].word) == 0) {
            *ret = forms[i].answer;
            return true;
        }
    return malformed(reterr, script);
}

bool replies_bind(const redisReply *reply, enum ledger_answer *ret, struct error *reterr)
{
    static const struct word_form forms[] = {{"ok", LEDGER_OK},
                                             {"superseded", LEDGER_SUPERSEDED},
                                             {"superseded_permit", LEDGER_SUPERSEDED_PERMIT}};
    const char *word;
    if (read_text(reply, &word) && strcmp(word, "not_ready") == 0)
        return error_set(reterr, ERROR_TRANSIENT, "redis", 0,
                         "the ledger is being rebuilt: nothing can be bound before it is ready");
    return read_word(reply, forms, ARRAY_LENGTH(forms), "bind", ret, reterr);
}

bool replies_seal(const redisReply *reply, enum ledger_answer *ret, struct error *reterr)
{
    static const struct word_form forms[] = {{"ok", LEDGER_OK},
                                             {"superseded", LEDGER_SUPERSEDED},
                                             {"superseded_permit", LEDGER_SUPERSEDED_PERMIT},
                                             {"elsewhere", LEDGER_SEAL_ELSEWHERE},
                                             {"done", LEDGER_SEAL_DONE},
                                             {"conflict", LEDGER_SEAL_CONFLICT},
                                             {"not_ready", LEDGER_SEAL_NOT_READY}};
    return read_word(reply, forms, ARRAY_LENGTH(forms), "seal", ret, reterr);
}

bool replies_ready(const redisReply *reply, enum ledger_answer *ret, struct error *reterr)
{
    static const struct word_form forms[] = {{"ok", LEDGER_OK}, {"later", LEDGER_SUPERSEDED}};
    return read_word(reply, forms, ARRAY_LENGTH(forms), "ready", ret, reterr);
}

/* ---- snapshot ---- */

static bool read_usage(const redisReply *reply, struct ledger_usage *ret)
{
    return is_array(reply, 5) && read_text(element(reply, 0), &ret->limit) &&
           read_count(element(reply, 1), &ret->used) && read_int(element(reply, 2), &ret->max) &&
           read_count(element(reply, 3), &ret->waiters) && read_count(element(reply, 4), &ret->oldest_ms);
}

bool replies_snapshot(const redisReply *reply, struct ledger_usage **ret, size_t *ret_count,
                      struct error *reterr)
{
    if (!is_array(reply, 0))
        return malformed(reterr, "snapshot");
    struct ledger_usage *usage = reply->elements > 0 ? base_alloc(reply->elements * sizeof *usage) : NULL;
    for (size_t i = 0; i < reply->elements; i++)
        if (!read_usage(element(reply, i), &usage[i])) {
            free(usage);
            return malformed(reterr, "snapshot");
        }
    *ret = usage;
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
