/* Redis's replies, as they come on the wire: hiredis parses them, we decode what it gives. */
#include "redis/replies.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const redisReply *reply)
{
    struct error error;
    struct pulse_answer pulse;
    struct ledger_acquired acquired;
    struct ledger_usage *usage = NULL;
    enum ledger_answer answer;
    size_t count = 0;
    char text[32];
    if (replies_pulse(reply, &pulse, &error))
        for (size_t i = 0; replies_text(pulse.cancelled, i); i++)
            continue;
    (void)!replies_acquire(reply, &acquired, &error);
    (void)!replies_bind(reply, &answer, &error);
    (void)!replies_seal(reply, &answer, &error);
    (void)!replies_ready(reply, &answer, &error);
    (void)!replies_info(reply, "role", text, sizeof text);
    if (replies_snapshot(reply, &usage, &count, &error))
        free(usage);
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
