/* Records of the results topic, read. */
#include "message_event.h"

#include "base/clock.h"

#include <string.h>

bool message_event_read(const struct kafka_message *message, struct arena *arena, struct event_view *ret)
{
    struct header *headers = ARENA_ARRAY(arena, struct header, message->header_count + 1);
    for (size_t i = 0; i < message->header_count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    return event_view_read(headers, message->header_count, message->value, arena, ret, NULL);
}

static bool is(const char *text, const char *expected)
{
    return text && strcmp(text, expected) == 0;
}

bool message_event_read_of(const struct kafka_message *message, const char *tenant_id, const char *job_id,
                           struct arena *arena, struct event_view *ret)
{
    struct event_view view;
    /* The key tells most others without reading them. */
    if (message->key.length != strlen(job_id) ||
        memcmp(message->key.data, job_id, message->key.length) != 0 ||
        !message_event_read(message, arena, &view) || view.kind == EVENT_KIND_OTHER ||
        !is(view.job_id, job_id) || !is(view.tenant_id, tenant_id))
        return false;
    *ret = view;
    return true;
}

int64_t message_event_unix_ms(const struct kafka_message *message, const struct event_view *view)
{
    return view->time_unix_ms >= 0 ? view->time_unix_ms : MAX(message->timestamp_unix_ms, 0);
}

void message_event_encode(const struct event_view *view, int64_t unix_ms, int32_t partition, int64_t offset,
                          struct writer *writer)
{
    char time[CLOCK_TEXT_SIZE];
    clock_format(unix_ms, time);
    writer_begin_object(writer);
    writer_field_text(writer, "type", view->type);
    writer_field_text(writer, "time", time);
    writer_field_int(writer, "partition", partition);
    writer_field_int(writer, "offset", offset);
    writer_key(writer, "data");
    size_t from = writer->out->length;
    writer_raw(writer, view->data);
    for (size_t i = from; i < writer->out->length; i++) /* line ends in JSON are mere space */
        if (writer->out->data[i] == '\n' || writer->out->data[i] == '\r')
            writer->out->data[i] = ' ';
    writer_end_object(writer);
}
