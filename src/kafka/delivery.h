#ifndef KAFKA_DELIVERY_H
#define KAFKA_DELIVERY_H
#include "base/list.h"
#include "kafka/transactor.h"

#include <librdkafka/rdkafka.h>

/* One awaited record, as sink and transactor keep it until it is delivered. Private to the layer. */

struct kafka_delivery {
    struct link in_all, in_queue; /* of whoever sends it; in_all: in the order of sending */
    struct kafka_send *send;      /* borrowed */
    kafka_sent_fn sent;
    struct kafka_record record; /* value borrowed from the user, the rest in this block */
    int64_t since_ms;
    bool was_alone; /* judged apart from others, which may have made its batch too large */

    /* the sink's */
    struct kafka_sink *sink;
    struct timer retry;
    int64_t retry_delay_ms;
    bool is_flying;   /* with librdkafka, which owes a report */
    bool is_troubled; /* somebody has to do something before it can be delivered */

    /* the transactor's */
    struct kafka_place place;  /* its topic in this block */
    struct kafka_place landed; /* where the result is, once reported; topic unused */
    bool is_reported;          /* in this transaction */
    bool is_too_large;         /* ... so said Kafka */
    bool is_held_back;         /* ... for the map would not fit with it: source_offsets */
};

/* Of a producer of such records: what each has, and `own`, at most four. Reports, errors and the log come as
 * events. Returns: as conf_new. Owns: likewise. */
rd_kafka_conf_t *delivery_conf(const struct kafka_cluster *cluster, const char *client_id,
                               const struct kafka_property *own, size_t own_count,
                               struct error *reterr) MUST_USE;

/* from: NULL for the sink's. Everything but the value is copied. Owns: free, once it is on no list. */
struct kafka_delivery *delivery_new(const struct kafka_record *record,
                                    const struct kafka_place *from) MUST_USE;
size_t delivery_bytes(const struct kafka_record *record);

/* flags: RD_KAFKA_MSG_F_COPY, or 0: the value is borrowed until the report. */
rd_kafka_resp_err_t delivery_produce(rd_kafka_t *rk, const struct kafka_record *record, int flags,
                                     void *opaque);
bool delivery_is_too_large(rd_kafka_resp_err_t code);
void delivery_explain_too_large(const struct kafka_record *record, struct error *reterr);

#endif
