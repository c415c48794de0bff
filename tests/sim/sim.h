#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H
#include "config/config.h"
#include "core/code.h"
#include "fakes/e2b/inside.h"
#include "fakes/index.h"
#include "fakes/kafka/inside.h"
#include "fakes/redis/ledger_inside.h"
#include "worker/worker.h"

/* The simulation: several workers in one process against one fake world, in virtual time, from one seed. What
 * happens to them, and when, is drawn from the seed; what they promise is judged while it happens. A seed
 * repeats exactly. */

enum {
    SIM_SEATS_MAX = 6,
    SIM_JOB_TOPICS = 2,
    SIM_RETRY_TOPICS = 3,
    SIM_TOPICS = SIM_JOB_TOPICS + SIM_RETRY_TOPICS + 1, /* ... and the control topic, which is the last */
    SIM_PARTITIONS_MAX = 8,
    SIM_TENANTS = 5,
    SIM_ATTEMPTS = 3,
    SIM_CRASHES = 3,
    SIM_RAISES = 16,
};

/* ---- what is told of a run ---- */

enum fault_kind {
    FAULT_KILL,
    FAULT_KILL_INSIDE,
    FAULT_STOP_SHORT,
    FAULT_STOP_LONG,
    FAULT_STOP_INSIDE,
    FAULT_DRAIN,
    FAULT_DRAIN_TWICE,
    FAULT_SCALE,
    FAULT_EXPEL,
    FAULT_REDIS_EMPTY,
    FAULT_REDIS_OLD,
    FAULT_REDIS_AWAY,
    FAULT_REDIS_AWAY_ONE,
    FAULT_REDIS_FROZEN,
    FAULT_REDIS_BREAK,
    FAULT_REDIS_ANSWERS,
    FAULT_REDIS_CLOCK,
    FAULT_KAFKA_DOWN,
    FAULT_KAFKA_LATE,
    FAULT_KAFKA_FAILING,
    FAULT_E2B_CALL,
    FAULT_E2B_DOWN,
    FAULT_E2B_CREATE_LATE,
    FAULT_E2B_KEEP_LATE,
    FAULT_E2B_VANISH,
    FAULT_E2B_QUOTA,
    FAULT_LIMIT,
    FAULT_POISON,
    FAULT_KIND_COUNT
};
const char *fault_name(enum fault_kind kind);

struct sim_report {
    bool has_breach;
    char breach[600], subject[100];
    int64_t jobs, results, repeats, duplicates, hops, virtual_ms;
    int64_t creates, adoptions, deaths;
    int64_t settled_ms; /* from the last fault and the last job to the last result */
    int64_t faults[FAULT_KIND_COUNT];
    int64_t by_code[CODE_COUNT];
};

struct sim_options {
    uint64_t seed;
    int64_t jobs;
    bool is_double;            /* faults overlap */
    bool is_calm;              /* no faults at all */
    const char *trace;         /* a job, a permit, a sandbox; "all"; NULL: nothing */
    struct sim_report *report; /* filled in */
};

/* Runs one seed; does not return where a promise is broken. */
void sim_run(const struct sim_options *options);

/* ---- the world ---- */

/* One life of a worker. What was killed is kept: its memory is nobody's any more, and no leak. */
struct process {
    struct link link; /* sim->graves */
    struct sim *sim;
    char name[16];
    int seat;
    struct loop *loop, *threads;
    struct worker *worker;
    struct config config;
    struct random random;
    struct log log;
    bool has_stopped;
};

enum seat_state { SEAT_EMPTY, SEAT_UP, SEAT_STOPPED, SEAT_LEAVING };

struct seat {
    struct sim *sim;
    enum seat_state state;
    struct process *process; /* NULL: EMPTY */
    struct timer back;       /* it goes on, or begins anew */
    struct timer look;       /* until it has stopped where it was told to */
    struct timer poison;
    int64_t stop_ms; /* ... then for so long; 0: it is killed there */
    int64_t looks_until_ms;
    int64_t up_since_ms; /* when it goes on after its last stop */
    bool is_wanted;      /* it is to be there, once all is well */
};

struct sim_job {
    struct index_node node;
    char id[20], key[40]; /* <tenant>/<id> */
    enum code natural;    /* how it ends when nothing goes wrong */
    enum code other;      /* ... when another record of the same id comes first; NONE: there is none */
    bool is_process, is_never, is_poison, was_cancelled;
    int hits;                     /* faults that may have cost it an attempt */
    int losses;                   /* ... and its sandbox: its program may begin anew */
    int starts, results, records; /* records: that callers published, with this id */
    int64_t last_hop;             /* the highest of its copies in the retry topics */
    enum code verdict;
    uint64_t first_hash; /* of the first result's bytes */
    bool is_flagged;     /* possible_repeat in one of them */
};

/* A record of a topic that workers read. */
struct sim_record {
    struct sim_job *job; /* NULL: it is none */
    int64_t hop;         /* of a copy in a retry topic; 0 */
    bool is_order;       /* a cancellation */
    bool is_diverted, is_finished;
};

struct sim_partition {
    struct sim_record *records;
    int64_t count, capacity;
};

struct sim_topic {
    const char *name;
    int32_t partitions;
    struct sim_partition at[SIM_PARTITIONS_MAX];
};

struct raise {
    int64_t at_ms, max;
};

struct faults;
struct jobs;

struct sim {
    struct sim_options options;
    struct sim_report *report;
    struct random random, latency; /* of what happens; of how long things take */
    struct loop *loop;             /* the world's */
    struct kafka_world *kafka;
    struct fake_redis *redis;
    struct e2b_world *e2b;
    struct config config;
    struct template_entry templates[2];
    struct seat seats[SIM_SEATS_MAX];
    int seat_count;
    struct link graves;
    int64_t began_ms;

    struct sim_topic topics[SIM_TOPICS];
    struct jobs *jobs;
    struct faults *faults;
    struct ledger *operator; /* an onlooker: cancels, limits */
    struct random operator_random;

    /* judge.c */
    struct index grants;             /* of struct grant, by permit */
    struct raise raises[SIM_RAISES]; /* of the global limit, the last ones */
    int raise_count;
    int64_t last_max;
    int judged_epoch;
    bool is_ending;
    struct timer judge_timer;
    struct store_watch store_watch;
    struct e2b_world_eye e2b_eye;
    struct kafka_world_eye kafka_eye;

    int log_fd; /* of a trace; 0: none */
    int64_t log_read;
};

int64_t sim_below(struct sim *sim, int64_t bound); /* 0 .. bound-1 */
int64_t sim_between(struct sim *sim, int64_t low, int64_t high);
bool sim_chance(struct sim *sim, int percent);
int64_t sim_now_ms(const struct sim *sim); /* since the beginning */

/* seats.c */
void seat_launch(struct seat *seat);
void seat_kill(struct seat *seat, int64_t back_ms);
void seat_poison(struct seat *seat); /* killed, in a moment */
void seat_stop(struct seat *seat, int64_t ms);
/* At one of the next calls that the process makes; ms 0: it is killed there, and is back after back_ms. */
void seat_stop_inside(struct seat *seat, unsigned places, int64_t ms);
void seat_drain(struct seat *seat);
void seat_leave(struct seat *seat);                             /* for good */
struct kafka_source *seat_source(const struct seat *seat);      /* NULL: none */
struct seat *seat_of_owner(struct sim *sim, const char *owner); /* a ledger's worker; NULL: none lives */
bool seats_are_well(struct sim *sim);
void seats_mend(struct sim *sim);
void seats_free(struct sim *sim); /* those that have stopped */
/* Everything that it runs may cost an attempt, and its sandbox. */
void seat_hit(struct seat *seat, bool is_lost);

/* jobs.c */
void jobs_open(struct sim *sim);
void jobs_close(struct sim *sim);
bool jobs_are_submitted(const struct sim *sim);
bool jobs_are_quiet(const struct sim *sim); /* ... and nothing comes later */
void jobs_submit_poison(struct sim *sim);
struct sim_job *jobs_find(const struct sim *sim, const char *id); /* NULL: none */
struct sim_job *jobs_find_key(const struct sim *sim, const char *key);
struct sim_job *jobs_each(const struct sim *sim, size_t i); /* NULL: there are no more */
struct sim_job *jobs_poison(const struct sim *sim);         /* the last one; NULL: none */
struct sim_record *jobs_record(struct sim *sim, const char *topic, int32_t partition, int64_t offset);
/* A worker has written one to a retry topic. Returns: false when it is none of those. */
bool jobs_note_copy(struct sim *sim, const char *topic, int32_t partition, int64_t offset,
                    struct sim_job *job, int64_t hop);

/* faults.c */
void faults_open(struct sim *sim);
void faults_close(struct sim *sim); /* no more come; what is broken is mended */
bool faults_are_over(const struct sim *sim);
bool faults_are_mended(struct sim *sim);
void faults_mend_in(struct sim *sim, int64_t ms, void (*fn)(struct sim *sim));

/* harm.c */
enum fault_kind harm_some(struct sim *sim); /* one of them, as it happens */
void harm_forget_single(struct sim *sim);
void harm_undo(struct sim *sim); /* all of them */

/* judge.c */
void judge_open(struct sim *sim);
void judge_end(struct sim *sim);
void judge_close(struct sim *sim);
void judge_unsettled(struct sim *sim);  /* ends with what is not */
bool judge_is_settled(struct sim *sim); /* every job has its result, every record is finished */
void judge_hit_all(struct sim *sim, bool is_lost);

/* verdict.c: for judge.c */
void verdict_on_record(void *arg, const char *topic, int32_t partition, int64_t offset,
                       const struct kafka_record *record);
void verdict_on_commit(void *arg, const char *topic, int32_t partition, const struct world_offset *before,
                       const struct offset_map *map);
void verdict_on_delivered(void *arg, const struct kafka_source *source, const struct kafka_message *message);

/* Does not return. */
void sim_breach(struct sim *sim, const char *subject, const char *format, ...) PRINTF_LIKE(3, 4) NORETURN;

/* trace.c */
void trace_open(struct sim *sim);
void trace_turn(struct sim *sim); /* what the workers logged since */
void sim_trace(struct sim *sim, const char *subject, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
