/* Bookkeeping of one assigned partition. */
#include "kafka/partition.h"

#include <assert.h>
#include <stdlib.h>

/* A record in flight adds at most a run of its own between its neighbours: two varints where one hole was,
 * two bytes on average even when every second one finishes, so three characters. */
enum { TEXT_PER_RECORD_IN_FLIGHT = 3, TEXT_RESERVE = 16 };

struct partition *partition_new(const char *topic, int32_t number)
{
    struct partition *partition = base_alloc(sizeof *partition);
    partition->topic = base_strdup(topic);
    partition->number = number;
    partition->phase = PARTITION_READING;
    partition->position = partition->base_kept = -1;
    partition->text_max = OFFSET_MAP_TEXT_MAX;
    offset_map_init(&partition->map, 0);
    return partition;
}

void partition_free(struct partition *partition)
{
    if (!partition)
        return;
    assert(!partition->queue && !partition->event);
    offset_map_release(&partition->map);
    free(partition->topic);
    free(partition);
}

/* ---- loading ---- */

static void restart_at(struct partition *partition, int64_t offset)
{
    offset_map_release(&partition->map);
    offset_map_init(&partition->map, offset);
    partition->position = offset;
    partition->base_kept = -1;
}

/* Returns: false when base or map belong to another incarnation of the topic. */
static bool join_committed(struct partition *partition, const struct partition_facts *facts,
                           struct error *reterr)
{
    if (facts->committed < 0)
        return true;
    if (facts->committed > facts->high)
        return error_set(reterr, ERROR_REJECTED, "kafka", OFFSET_MAP_BEYOND,
                         "the committed offset %lld is above the end of the partition, which is %lld",
                         (long long)facts->committed, (long long)facts->high);
    struct offset_map read;
    bool is_read = true;
    if (facts->metadata.length > 0)
        is_read = offset_map_decode(facts->metadata, facts->committed, facts->high, &read, reterr);
    else
        offset_map_init(&read, facts->committed);
    if (!is_read && reterr->code == OFFSET_MAP_BEYOND) {
        offset_map_release(&read);
        return false;
    }
    offset_map_finish(&partition->map, 0, read.base);
    for (size_t i = 0; i < read.count; i++)
        offset_map_finish(&partition->map, read.runs[i].first, read.runs[i].end);
    partition->map.seen = MAX(partition->map.seen, read.seen);
    offset_map_release(&read);
    return true;
}

enum partition_finding partition_load(struct partition *partition, const struct partition_facts *facts,
                                      struct error *reterr)
{
    *reterr = (struct error){0};
    enum partition_finding finding = PARTITION_FINE;
    bool is_first_run = facts->committed < 0 && partition->position < 0;
    partition->base_kept = facts->committed < 0 ? -1 : facts->committed;
    if (!join_committed(partition, facts, reterr) || partition->map.seen > facts->high) {
        restart_at(partition, facts->low);
        finding = PARTITION_FOREIGN;
    } else if (reterr->kind) {
        finding = PARTITION_UNREADABLE;
    }
    if (!is_first_run && offset_map_open_count(&partition->map, facts->low) > 0) {
        error_set(reterr, ERROR_REJECTED, "kafka", 0,
                  "%lld records that were not finished are gone: retention passed them",
                  (long long)offset_map_open_count(&partition->map, facts->low));
        finding = PARTITION_OVERTAKEN;
        partition->overtaken_end = MAX(partition->overtaken_end, facts->low);
    }
    if (facts->low > 0)
        offset_map_finish(&partition->map, 0, facts->low);
    partition->position = MAX(partition->position, partition->map.base);
    partition->recovery_end = partition->map.seen;
    partition->high = MAX(facts->high, partition->map.seen);
    partition->in_flight = offset_map_open_count(&partition->map, partition->position);
    partition->change++;
    partition->phase = PARTITION_READY;
    return finding;
}

void partition_lose(struct partition *partition)
{
    partition->phase = PARTITION_AWAY;
    partition->wait_until_ms = 0;
    partition->position = partition->base_kept = -1;
    partition->in_flight = 0;
}

/* ---- records ---- */

enum partition_verdict partition_judge(const struct partition *partition, int64_t offset)
{
    if (offset < partition->position || offset_map_is_finished(&partition->map, offset))
        return PARTITION_SKIP;
    return offset < partition->recovery_end ? PARTITION_RECOVER : PARTITION_DELIVER;
}

void partition_reach(struct partition *partition, int64_t end)
{
    if (end <= partition->position)
        return;
    int64_t gone_end = MIN(end, partition->recovery_end);
    if (gone_end > partition->position && offset_map_open_count(&partition->map, gone_end) >
                                              offset_map_open_count(&partition->map, partition->position))
        partition->overtaken_end = MAX(partition->overtaken_end, gone_end);
    offset_map_finish(&partition->map, partition->position, end);
    partition->position = end;
    partition->high = MAX(partition->high, end);
    partition->change++;
}

void partition_pass(struct partition *partition, int64_t offset, enum partition_verdict verdict)
{
    if (offset < partition->position)
        return;
    partition_reach(partition, offset);
    partition->position = offset + 1;
    partition->high = MAX(partition->high, offset + 1);
    offset_map_see(&partition->map, offset);
    partition->change++;
    if (verdict != PARTITION_SKIP)
        partition->in_flight++;
}

bool partition_finish(struct partition *partition, int64_t offset)
{
    if (offset < 0 || offset_map_is_finished(&partition->map, offset))
        return false;
    offset_map_finish(&partition->map, offset, offset + 1);
    if (offset < partition->position)
        partition->in_flight--;
    partition->change++;
    return true;
}

bool partition_has_room(const struct partition *partition)
{
    size_t in_flight = (size_t)partition->in_flight + 1;
    return offset_map_text_length(&partition->map) + in_flight * TEXT_PER_RECORD_IN_FLIGHT + TEXT_RESERVE <=
           partition->text_max;
}

/* ---- inspection ---- */

bool partition_is_owned(const struct partition *partition)
{
    return partition->phase != PARTITION_AWAY;
}

bool partition_is_dirty(const struct partition *partition)
{
    return partition->phase == PARTITION_RUNNING && partition->change != partition->change_kept &&
           partition->map.base >= partition->base_kept &&
           offset_map_text_length(&partition->map) <= partition->text_max;
}

static int64_t open_count(const struct partition *partition)
{
    return partition->position < 0 ? 0 : offset_map_open_count(&partition->map, partition->high);
}

int64_t partition_backlog(const struct partition *partition)
{
    return open_count(partition) - partition_deferred(partition);
}

int64_t partition_deferred(const struct partition *partition)
{
    if (partition->wait_until_ms == 0)
        return 0;
    return open_count(partition) - offset_map_open_count(&partition->map, partition->position);
}
