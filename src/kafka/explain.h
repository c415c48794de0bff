#ifndef KAFKA_EXPLAIN_H
#define KAFKA_EXPLAIN_H
#include "base/error.h"

#include <librdkafka/rdkafka.h>

/* What an error of Kafka means for us: the one place that maps its codes. Private to the layer. */

enum error_kind explain_kind(rd_kafka_resp_err_t code);

/* Whether somebody has to do something (create, permit, configure), or waiting is enough. */
bool explain_needs_hands(rd_kafka_resp_err_t code);

enum { EXPLAIN_SIZE = 500 };
/* A sentence: what happened and what to do. `topic` may be NULL. */
void explain(rd_kafka_resp_err_t code, const char *topic, char text[EXPLAIN_SIZE]);

/* Why no broker can be spoken to, in librdkafka's words: it is told in an event of its own, once for each
 * broker and try, while whoever asks for something only learns that nobody answers. Zeroed: nothing was
 * heard. */
enum { TROUBLE_SIZE = 200 };
struct trouble {
    rd_kafka_resp_err_t code;
    int64_t since_ms, heard_ms; /* when this one was heard, and when the last one was */
    char text[TROUBLE_SIZE];
};

/* Takes what an error event says, when it is about a connection. It stays for a minute, unless a later one
 * says more (it needs hands, or has more words): brokers that are tried in turn do not make a new sentence
 * each. */
void trouble_hear(struct trouble *trouble, int64_t now_ms, rd_kafka_resp_err_t code, const char *text);

/* As explain, with the cause in brackets where `code` is about a connection and one was heard lately. */
void trouble_explain(const struct trouble *trouble, int64_t now_ms, rd_kafka_resp_err_t code,
                     const char *topic, char text[EXPLAIN_SIZE]);

#endif
