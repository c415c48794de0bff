#ifndef TESTS_UNIT_WORKER_WORLD_H
#define TESTS_UNIT_WORKER_WORLD_H
#include "config/config.h"
#include "fakes/e2b/world.h"
#include "fakes/kafka/world.h"
#include "fakes/loop/virtual.h"
#include "fakes/redis/fake.h"
#include "worker/worker.h"

/* The whole world of the worker in one process: virtual time, Kafka, Redis and E2B in memory, and several
 * workers, seen through worker/worker.h alone. All state hangs from here. What must hold at any time is
 * looked at while time passes; a breach ends the test. */

enum { WORLD_WORKERS_MAX = 4, WORLD_JOBS_MAX = 2048, WORLD_PARTITIONS = 4, WORLD_RETRY_PARTITIONS = 2 };

#define WORLD_TOPIC "e2b.jobs.quick"

struct world_worker {
    struct worker *worker; /* NULL: not there, or stopped */
    struct config config;
    struct random random;
    char name[16];
    bool has_stopped;
};

struct world {
    struct loop *loop;
    struct kafka_world *kafka;
    struct fake_redis *redis;
    struct e2b_world *e2b;
    struct config config; /* of the workers to come: change it before world_start */
    struct template_entry templates[3];
    struct log log;
    struct world_worker workers[WORLD_WORKERS_MAX];
    char *jobs[WORLD_JOBS_MAX];   /* ids: each is owed one result */
    size_t job_count, seen_count; /* seen: of the first jobs, those with a result */
    int64_t step_ms;              /* of time between two looks at what must always hold */
    size_t readback_max_bytes;    /* of the workers to come */
    int64_t most_live;            /* sandboxes, those of others too; 0: limits.global */
    char note[80];                /* what the test is at: said with every failure */
    bool may_repeat;              /* a result may be in Kafka more than once, with the same verdict */
};

/* What is said about a finished job. */
struct world_result {
    size_t count; /* terminal records */
    char status[16], code[32], message[320];
    const char *value; /* JSON, of the first; borrowed from the log; not terminated: see length */
    size_t length;
    int64_t attempts;
};

void world_open(struct world *world);
/* For cmocka: *state is an open world; the test closes it. */
int world_setup(void **state);
int world_teardown(void **state);
#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

/* Starts worker number `i` and waits until it is ready (at most 20 s). */
void world_start(struct world *world, int i);
void world_launch(struct world *world, int i); /* ... without waiting */
/* Stops all, looks at what must be left (no sandbox, no permit unless a doubt is allowed, nothing unfinished,
 * each job one result), frees all. */
enum world_left { WORLD_CLEAN, WORLD_DOUBTS = 1, WORLD_UNFINISHED = 2 };
void world_close(struct world *world, int left);
void world_stop(struct world *world, int i); /* and waits until it has stopped */
void world_free_stopped(struct world *world);

/* A job of the interpreter, on partition 0. Newlines in `code` are ';'. */
void world_submit(struct world *world, const char *job_id, const char *code);
/* With more fields, as JSON with single quotes: "'run_mode':'process','timeout_ms':1000". NULL: none. */
void world_submit_with(struct world *world, const char *job_id, const char *code, const char *fields);
void world_submit_to(struct world *world, int32_t partition, const char *job_id, const char *code,
                     const char *fields);
/* Any bytes; nothing is owed for them. */
void world_push(struct world *world, const char *topic, int32_t partition, struct bytes value);
void world_owe(struct world *world, const char *job_id);

void world_run(struct world *world, int64_t ms);
/* Until every owed result is there and every record finished. Returns: false when that takes longer. */
bool world_settle(struct world *world, int64_t most_ms);
void world_explain(const struct world *world); /* prints what is missing */
bool world_is_finished(
    const struct world *world); /* every record of jobs, retries and orders, in any worker's eyes */

struct world_result world_result(const struct world *world, const char *job_id);
void world_expect(const struct world *world, const char *job_id, const char *status, const char *code);
size_t world_events(const struct world *world, const char *job_id, const char *type); /* of this ce_type */
/* The data of the last such event; length 0: there is none. Borrowed from the log. */
struct bytes world_event(const struct world *world, const char *job_id, const char *type);
size_t world_diverted(const struct world *world); /* records in the DLQ */
int64_t world_used(const struct world *world, const char *limit);
struct claim *world_claim(const struct world *world, const char *job_id); /* NULL: none */
/* Its source, to be revoked and so on. NULL: none. */
struct kafka_source *world_source(const struct world *world, int i);
struct e2b_world_fault world_fault(enum e2b_world_call call, enum e2b_error_kind kind);

#endif
