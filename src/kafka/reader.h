#ifndef KAFKA_READER_H
#define KAFKA_READER_H
#include "kafka/source.h"

/* A topic read by an onlooker: all its partitions, without a group, from its end or from a time on, nothing
 * committed. For following results and for reading them back; it is no way to take jobs, that is the source.
 * Partitions that are added later are found within half a minute and read from their start. */

struct kafka_reader;

/* For from_unix_ms: only what is written after the reader found the topic's end. */
enum { KAFKA_READER_FROM_END = -1 };

struct kafka_reader_events {
    void *arg;
    /* A record, in offset order within its partition. All of it is borrowed until the return. */
    void (*on_message)(void *arg, const struct kafka_message *message);
    /* Once: all that the topic held when the reader found it was given to on_message, and whatever is written
     * from now on will be. May be NULL. */
    void (*on_caught_up)(void *arg);
    /* At every change, beginning with the first that is known. May be NULL. */
    kafka_state_fn on_state;
};

struct kafka_reader_options {
    struct loop *loop; /* borrowed, as are log and texts until the return of new */
    const struct log *log;
    struct kafka_cluster cluster;
    const char *client_id;
    const char *topic;
    int64_t from_unix_ms; /* records of this time or later; 0: all there are; KAFKA_READER_FROM_END */
    struct kafka_reader_events events;
};

/* Connects in the background: an absent cluster or topic is no error but a state, and is waited for.
 * Returns: NULL when a property is unknown or has no such value. Owns: kafka_reader_close. */
struct kafka_reader *kafka_reader_new(const struct kafka_reader_options *options,
                                      struct error *reterr) MUST_USE;

/* No event comes after the call; may be called from inside one. Frees, then calls back (may be NULL). NULL:
 * nothing, at once. */
void kafka_reader_close(struct kafka_reader *reader, void (*closed)(void *arg), void *arg);

#endif
