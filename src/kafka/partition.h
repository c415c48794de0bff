#ifndef KAFKA_PARTITION_H
#define KAFKA_PARTITION_H
#include "kafka/offset_map.h"

/* One partition of the group as this member knows it: its map, how far it was pulled, what of it is
 * committed. It judges and counts; talking to librdkafka is the source's work. Private to the layer.
 *
 *   READING ──▶ READY ──▶ RUNNING ──(revoked, or broken)──▶ AWAY or READING again
 *
 * A partition that is revoked in an eager rebalance and comes back is the same object: its records in flight
 * go on and are not delivered twice. */

enum partition_phase {
    PARTITION_AWAY,    /* given back in a rebalance that has not ended */
    PARTITION_READING, /* ours; committed offset and watermarks are being read */
    PARTITION_READY,   /* read; not yet handed to librdkafka */
    PARTITION_RUNNING,
};

struct partition {
    char *topic;
    int32_t number;
    enum partition_phase phase;
    bool is_announced; /* the user knows that it is ours */
    struct offset_map map;
    int64_t position;      /* the next offset to look at; -1 before the first load */
    int64_t recovery_end;  /* below it an earlier owner has pulled before us */
    int64_t in_flight;     /* delivered, not finished */
    int64_t high;          /* the highest end of the partition that we heard of */
    int64_t change;        /* counts whatever changes what a commit would say */
    int64_t change_sent;   /* ... as it was when the commit under way was sent */
    int64_t change_kept;   /* ... and what a broker has confirmed */
    int64_t overtaken_end; /* below it records may count as finished that retention took before they were */
    int64_t base_kept;     /* the committed base as we know it; -1: none */
    int64_t away_since_ms; /* while AWAY */
    size_t text_max;       /* less than OFFSET_MAP_TEXT_MAX where the brokers take less */

    struct rd_kafka_queue_s *queue; /* NULL while not handed to librdkafka */
    struct rd_kafka_op_s *event;    /* a pulled record for which there was no room: kept at the head */
    const struct rd_kafka_message_s *message;
    int64_t wait_until_ms; /* the record at the head stays there; 0: it does not wait */
    bool is_full;          /* pulling rests until its map is shorter */
    bool is_resting;       /* ... or until the user has room */
    bool is_idle;          /* nothing of it can be delivered in this round */
};

struct partition *partition_new(const char *topic, int32_t number) MUST_USE;
void partition_free(struct partition *partition); /* queue and event must be gone */

/* What the cluster says about it. */
struct partition_facts {
    int64_t committed; /* -1: nothing was ever committed */
    struct bytes metadata;
    int64_t low, high; /* watermarks */
};

enum partition_finding {
    PARTITION_FINE,
    PARTITION_UNREADABLE, /* the metadata is not ours: the base alone is taken */
    PARTITION_FOREIGN,    /* base or map lie above the end of the partition: it was created anew; from its
                             start */
    PARTITION_OVERTAKEN,  /* records that were not finished are gone: from the earliest that is left */
};

/* Takes over what is committed and joins it with what this object knows already: what either says is
 * finished is finished. `text` (reterr) says more when the finding is not FINE. The partition is READY. */
enum partition_finding partition_load(struct partition *partition, const struct partition_facts *facts,
                                      struct error *reterr);

/* It is not ours any more, and the user forgets its records; what is finished stays known. AWAY. */
void partition_lose(struct partition *partition);

enum partition_verdict {
    PARTITION_SKIP,    /* finished before, or seen already */
    PARTITION_RECOVER, /* pulled by an earlier owner and not finished */
    PARTITION_DELIVER,
};
/* Judges a record at the head of the queue; nothing changes. */
enum partition_verdict partition_judge(const struct partition *partition, int64_t offset);
/* The record at `offset` leaves the queue: what lay between is gone for ever and counts as finished. */
void partition_pass(struct partition *partition, int64_t offset, enum partition_verdict verdict);
/* The queue has been read up to `end`, and nothing more is there now. */
void partition_reach(struct partition *partition, int64_t end);

/* Returns: false when that changes nothing. */
bool partition_finish(struct partition *partition, int64_t offset);

/* Whether its map may grow further: one more record in flight, and the text would still fit. */
bool partition_has_room(const struct partition *partition);

bool partition_is_owned(const struct partition *partition);
/* Something to commit, and its text fits. */
bool partition_is_dirty(const struct partition *partition);
int64_t partition_backlog(const struct partition *partition);
/* What stands from a head that waits up to the end: no work yet, and no part of the backlog. */
int64_t partition_deferred(const struct partition *partition);

#endif
