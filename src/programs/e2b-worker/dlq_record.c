/* The dead-letter topic's records. */
#include "dlq_record.h"

#include "codec/event_view.h"
#include "codec/hop.h"
#include "topic_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAUSE           "__connect.errors."
#define CAUSE_TOPIC     CAUSE "topic"
#define CAUSE_PARTITION CAUSE "partition"
#define CAUSE_OFFSET    CAUSE "offset"
#define CAUSE_CODE      CAUSE "exception.class.name"
#define CAUSE_MESSAGE   CAUSE "exception.message"

enum { SHOWN_BYTES = 500, TOPIC_BYTES_MAX = 249 };

static bool is_cause(const char *name)
{
    return strncmp(name, CAUSE, strlen(CAUSE)) == 0;
}

/* Bytes of anybody's as a text that moves no cursor. */
static const char *printable(struct bytes bytes, struct arena *arena)
{
    size_t length = MIN(bytes.length, SHOWN_BYTES);
    char *text = arena_strndup(arena, length > 0 ? bytes.data : "", length);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            text[i] = ' ';
    return text;
}

/* The last of this name: a record may have come with such headers itself, and ours stand behind them. */
static const char *find(const struct header *headers, size_t count, const char *name, struct arena *arena)
{
    for (size_t i = count; i > 0; i--)
        if (strcmp(headers[i - 1].name, name) == 0)
            return printable(headers[i - 1].value, arena);
    return NULL;
}

static int64_t number(const char *text, int64_t max)
{
    char *end = NULL;
    if (!text)
        return -1;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && value >= 0 && value <= max ? value : -1;
}

/* Of the job in it, in whatever envelope. */
static const char *job_id_of(const struct header *headers, size_t count, struct bytes value,
                             struct arena *arena)
{
    struct event_view view;
    struct envelope envelope;
    struct arena own = {0}; /* the value may be copied on the way */
    const char *id = NULL;
    if (event_view_read(headers, count, value, &own, &view, NULL))
        id = view.job_id;
    if (!id && envelope_read(headers, count, value, &own, &envelope, NULL))
        id = envelope.id;
    id = id && job_is_name(id) ? arena_strdup(arena, id) : NULL;
    arena_release(&own);
    return id;
}

void dlq_record_read(const struct header *headers, size_t count, struct bytes key, struct bytes value,
                     struct arena *arena, struct dlq_record *ret)
{
    *ret = (struct dlq_record){
        .unix_ms = -1,
        .partition = -1,
        .offset = -1,
        .from_topic = find(headers, count, CAUSE_TOPIC, arena),
        .from_partition = (int32_t)number(find(headers, count, CAUSE_PARTITION, arena), INT32_MAX),
        .from_offset = number(find(headers, count, CAUSE_OFFSET, arena), INT64_MAX),
        .code = find(headers, count, CAUSE_CODE, arena),
        .message = find(headers, count, CAUSE_MESSAGE, arena),
        .key_text = key.length > 0 ? printable(key, arena) : NULL,
        .key = key,
        .value = value,
        .headers = ARENA_ARRAY(arena, struct header, count + 1),
    };
    for (size_t i = 0; i < count; i++)
        if (!is_cause(headers[i].name))
            ret->headers[ret->header_count++] = headers[i];
    ret->job_id = job_id_of(ret->headers, ret->header_count, value, arena);
}

static bool is_open_or(const char *wanted, const char *found)
{
    return !wanted || (found && strcmp(wanted, found) == 0);
}

bool dlq_selection_has(const struct dlq_selection *selection, const struct dlq_record *record)
{
    const char *identity = record->job_id ? record->job_id : record->key_text;
    return is_open_or(selection->topic, record->from_topic) && is_open_or(selection->code, record->code) &&
           is_open_or(selection->job_id, identity) &&
           (selection->partition < 0 || selection->partition == record->from_partition) &&
           (selection->offset < 0 || selection->offset == record->from_offset);
}

/* ---- back ---- */

static bool is_read_by_workers(const struct config *config, const char *topic)
{
    if (strcmp(topic, config->topics.control) == 0)
        return true;
    for (size_t i = 0; i < config->topics.jobs.count; i++)
        if (topic_matches(config->topics.jobs.items[i], topic))
            return true;
    return false;
}

bool dlq_way_back(const struct dlq_record *record, const struct config *config, struct arena *arena,
                  struct dlq_way *ret, const char **ret_why)
{
    const char *topic = record->from_topic;
    struct header *headers = record->headers;
    size_t count = record->header_count;
    if (record->value.length == 0) {
        *ret_why = "it has no value: nothing was in it, or it was too large for the dead-letter topic";
        return false;
    }
    if (!topic || strlen(topic) > TOPIC_BYTES_MAX) {
        *ret_why = "no header says which topic it came from";
        return false;
    }
    if (strncmp(topic, config->topics.retry, strlen(config->topics.retry)) == 0) {
        struct hop hop;
        hop_read(headers, count, &hop);
        topic = arena_strdup(arena, hop.topic);
        const struct hop none = {
            .number = -1, .not_before_unix_ms = -1, .wake_unix_ms = -1, .first_seen_unix_ms = -1};
        count = hop_write(&none, headers, count, arena, &headers);
    }
    if (!is_read_by_workers(config, topic)) {
        *ret_why = arena_printf(arena, "it came from \"%s\", which topics.jobs does not name", topic);
        return false;
    }
    struct header *all = ARENA_ARRAY(arena, struct header, count + 1);
    *ret = (struct dlq_way){.topic = topic, .headers = all};
    for (size_t i = 0; i < count; i++)
        if (strcmp(headers[i].name, DLQ_REQUEUED) != 0)
            all[ret->header_count++] = headers[i];
    const char *from = arena_printf(arena, "%s/%d/%lld", config->topics.dlq, (int)record->partition,
                                    (long long)record->offset);
    all[ret->header_count++] = (struct header){DLQ_REQUEUED, {from, strlen(from)}};
    return true;
}
