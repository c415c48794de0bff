/* Redis's replies, as they come on the wire: hiredis parses them, we decode what it gives. */
#include "redis/replies.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whoever decodes a text says that it ends, and within the reply. */
static void touch(const char *a, const char *b)
{
    if (strlen(a) > 4096 || strlen(b) > 4096)
        abort();
}

static void decode(const redisReply *reply)
{
    struct error error;
    struct pulse_answer pulse;
    struct ledger_acquired acquired;
    struct ledger_usage *usage = NULL;
    struct ledger_permit *permits = NULL;
    struct ledger_claim claim;
    struct ledger_lead lead;
    int64_t left_ms;
    struct ledger_condition condition;
    enum ledger_answer answer;
    size_t count = 0;
    char text[32];
    if (replies_pulse(reply, &pulse, &error)) {
        for (size_t i = 0; replies_text(pulse.cancelled, i); i++)
            touch(pulse.crew_version, replies_text(pulse.cancelled, i));
        for (size_t i = 0; i < replies_crew_count(pulse.crew); i++)
            touch(pulse.epoch, replies_crew(pulse.crew, i, &left_ms));
    }
    (void)!replies_acquire(reply, &acquired, &error);
    for (int script = 0; script < SCRIPT_COUNT; script++)
        (void)!replies_word(reply, (enum script_name)script, &answer, &error);
    (void)!replies_group(reply, SCRIPT_ACQUIRE, 2, &error);
    (void)!replies_lead(reply, &lead, &error);
    if (replies_claim(reply, &claim, &error))
        touch(claim.state, claim.waits_at);
    if (replies_condition(reply, &condition, &error))
        touch(condition.why, "");
    (void)!replies_info(reply, "role", text, sizeof text);
    if (replies_snapshot(reply, &usage, &count, &error))
        free(usage);
    if (replies_census(reply, &permits, &count, &error))
        free(permits);
}

/* hiredis 0.14 allocates what an array announces, unbounded: that would only find its out of memory. */
static bool announces_much(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i + 4 < size; i++)
        if (data[i] == '*' && !memchr(data + i, '\r', 5))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (announces_much(data, size))
        return -1; /* keep it out of the corpus */
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    if (redisReaderFeed(reader, (const char *)data, size) == REDIS_OK)
        while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
            decode(reply);
            freeReplyObject(reply);
        }
    redisReaderFree(reader);
    return 0;
}
