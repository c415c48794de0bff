/* Tenants that fill the queue. */
#include "core/crowd.h"

#include <assert.h>
#include <string.h>

void crowd_init(struct crowd *crowd, size_t share_count, size_t share_bytes)
{
    assert(share_count > 0 && share_bytes > 0);
    *crowd = (struct crowd){.share_count = share_count, .share_bytes = share_bytes};
}

void crowd_forget(struct crowd *crowd)
{
    crowd->count = 0;
}

static struct crowd_tenant *find(struct crowd *crowd, const char *tenant_id)
{
    for (size_t i = 0; i < crowd->count; i++)
        if (strcmp(crowd->tenants[i].tenant_id, tenant_id) == 0)
            return &crowd->tenants[i];
    return NULL;
}

static bool is_over(const struct crowd *crowd, const struct queue_share *share)
{
    return share->count >= crowd->share_count || share->bytes >= crowd->share_bytes;
}

/* Clearly below: else it would come and go with every job. */
static bool is_small(const struct crowd *crowd, const struct queue_share *share)
{
    return share->count < crowd->share_count / 2 && share->bytes < crowd->share_bytes / 2;
}

bool crowd_has_room(struct crowd *crowd, const struct queue *queue, const char *tenant_id,
                    enum priority priority, int64_t now_ms)
{
    struct crowd_tenant *tenant = find(crowd, tenant_id);
    if (tenant)
        return queue_share_of(queue, tenant_id, priority).count < tenant->allowed;
    struct queue_share share = queue_share_of(queue, tenant_id, PRIORITY_COUNT - 1);
    if (!is_over(crowd, &share) || crowd->count == CROWD_TENANTS_MAX)
        return true;
    tenant = &crowd->tenants[crowd->count++];
    *tenant = (struct crowd_tenant){.since_ms = now_ms, .served = share.served, .allowed = SIZE_MAX};
    base_copy_text(tenant->tenant_id, sizeof tenant->tenant_id, tenant_id);
    return true;
}

/* As many of its jobs as make up its share. */
static size_t share_in_jobs(const struct crowd *crowd, const struct queue_share *share)
{
    size_t by_bytes = crowd->share_bytes / MAX(share->bytes / MAX(share->count, 1), 1);
    return MAX(MIN(crowd->share_count, by_bytes), 1);
}

size_t crowd_judge(struct crowd *crowd, const struct queue *queue, size_t i, size_t running, int64_t now_ms)
{
    assert(i < crowd->count);
    struct crowd_tenant *tenant = &crowd->tenants[i];
    struct queue_share share = queue_share_of(queue, tenant->tenant_id, PRIORITY_COUNT - 1);
    if (is_small(crowd, &share)) {
        *tenant = crowd->tenants[--crowd->count];
        return SIZE_MAX;
    }
    if (share.served < tenant->served) { /* a class of it was empty for a moment */
        tenant->served = share.served;
        tenant->since_ms = now_ms;
    }
    int64_t elapsed_ms = now_ms - tenant->since_ms;
    if (elapsed_ms < CROWD_LOOK_MS)
        return tenant->allowed;
    uint64_t served = share.served - tenant->served;
    size_t soon = (size_t)((served + running) * CROWD_HOP_MS / (uint64_t)elapsed_ms);
    tenant->allowed = MAX(soon, share_in_jobs(crowd, &share));
    if (elapsed_ms >= CROWD_HOP_MS) { /* what was long ago counts for less and less */
        tenant->since_ms += elapsed_ms / 2;
        tenant->served += served / 2;
    }
    return tenant->allowed;
}
