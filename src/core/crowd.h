#ifndef CORE_CROWD_H
#define CORE_CROWD_H
#include "core/queue.h"

/* Whether one tenant's jobs take more of the queue than is good for the others, who may stand behind them in
 * Kafka and are not seen while there is no room. A tenant may fill its share, and beyond it what leaves the
 * queue within the time of one hop: that much is needed here. The rest would wait longer than that anyway,
 * and does so better in a retry topic.
 *
 * How fast a tenant's jobs leave is looked at while it is over its share. As long as none of those that run
 * has ended, all of them count as about to: a tenant is not sent away before it is known to be slow. Pure:
 * times and numbers are the caller's. */

enum { CROWD_TENANTS_MAX = 8, CROWD_LOOK_MS = 1000, CROWD_HOP_MS = 60000 };

struct crowd_tenant {
    char tenant_id[65];
    int64_t since_ms; /* the time it is looked at for began */
    uint64_t served;  /* ... and what had left the queue by then */
    size_t allowed;   /* to wait here; SIZE_MAX: not known yet */
};

struct crowd {
    size_t share_count, share_bytes;                /* > 0 */
    struct crowd_tenant tenants[CROWD_TENANTS_MAX]; /* over their share */
    size_t count;
};

void crowd_init(struct crowd *crowd, size_t share_count, size_t share_bytes);

/* One more is to wait. Returns: false when it, and all that come behind it, had better come back after a hop.
 * Only what is served before it, or with it, is in its way. */
bool crowd_has_room(struct crowd *crowd, const struct queue *queue, const char *tenant_id,
                    enum priority priority, int64_t now_ms) MUST_USE;

/* Judges tenants[i] anew; once in CROWD_LOOK_MS. running: its jobs that have left the queue and not ended.
 * Returns: how many of it may wait; SIZE_MAX: as many as there are, and it may be off the list, with the last
 * in its place. */
size_t crowd_judge(struct crowd *crowd, const struct queue *queue, size_t i, size_t running, int64_t now_ms);

/* Nothing could leave the queue lately, whoever it is: what was seen of them says nothing. */
void crowd_forget(struct crowd *crowd);

#endif
