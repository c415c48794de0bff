#ifndef E2B_WORKER_MESSAGE_EVENT_H
#define E2B_WORKER_MESSAGE_EVENT_H
#include "codec/event_view.h"
#include "codec/writer.h"
#include "kafka/reader.h"

/* A record of the results topic as an event: for all commands that follow it. */

/* Everything lies in the arena, or is borrowed from the record. Returns: false for what is none. */
bool message_event_read(const struct kafka_message *message, struct arena *arena,
                        struct event_view *ret) MUST_USE;

/* ... only where it is about this job. */
bool message_event_read_of(const struct kafka_message *message, const char *tenant_id, const char *job_id,
                           struct arena *arena, struct event_view *ret) MUST_USE;

/* When it happened, else when it was written. */
int64_t message_event_unix_ms(const struct kafka_message *message, const struct event_view *view);

/* An event, where it is, and when it happened: an object of one line. */
void message_event_encode(const struct event_view *view, int64_t unix_ms, int32_t partition, int64_t offset,
                          struct writer *writer);

#endif
