#ifndef TESTS_CONTRACT_KAFKA_CLUSTER_H
#define TESTS_CONTRACT_KAFKA_CLUSTER_H
#include "kafka/client.h"
#include "kafka/offset_map.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

/* A cluster for the contract tests: librdkafka's mock in this process, or a real one whose address is in
 * E2BW_KAFKA. Looks at topics and offsets by librdkafka itself, not by the code under test. */

struct cluster;

struct cluster *cluster_new(bool is_real);
void cluster_free(struct cluster *cluster);
/* NULL for a real one. */
rd_kafka_mock_cluster_t *cluster_mock(struct cluster *cluster);
struct kafka_cluster cluster_address(const struct cluster *cluster);

/* Makes a topic; writes its name, which no other run uses. */
enum { CLUSTER_NAME_SIZE = 80 };
void cluster_topic(struct cluster *cluster, const char *name, int partitions, char topic[CLUSTER_NAME_SIZE]);
/* Only the name. */
void cluster_name(struct cluster *cluster, const char *name, char unique[CLUSTER_NAME_SIZE]);
void cluster_make(struct cluster *cluster, const char *topic, int partitions);

/* Writes `count` small records into each partition. */
void cluster_fill(struct cluster *cluster, const char *topic, int partitions, int count);
/* The same into partition 0, by a transaction that is committed or aborted: its marker takes an offset too.
 * Real clusters only. */
void cluster_fill_transaction(struct cluster *cluster, const char *topic, int count, bool is_committed);
/* Removes everything below `offset`. Real clusters only. */
void cluster_delete_below(struct cluster *cluster, const char *topic, int32_t partition, int64_t offset);
int64_t cluster_end(struct cluster *cluster, const char *topic, int32_t partition);

/* Returns: the committed offset, -1 for none; *ret_map is what its metadata says (offset_map_release). */
int64_t cluster_committed(struct cluster *cluster, const char *group, const char *topic, int32_t partition,
                          struct offset_map *ret_map);
void cluster_commit(struct cluster *cluster, const char *group, const char *topic, int32_t partition,
                    int64_t offset, const char *metadata);

#endif
