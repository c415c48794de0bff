#ifndef REDIS_LEDGER_H
#define REDIS_LEDGER_H
#include "base/error.h"
#include "base/log.h"
#include "base/random.h"
#include "loop/loop.h"

/* The ledger: who runs which job (claims) and which sandboxes may live (permits), shared by all workers on
 * one E2B account, in one Redis. Every operation is in one Lua script, so nobody sees half of it, and in
 * Redis's own time; workers give and take durations only. The ledger knows no job and no sandbox: it keeps
 * strings, numbers and sets.
 *
 * The scripts are idempotent. What a caller waits for goes through a call slot and fails TRANSIENT when Redis
 * does not answer in time or is not there; what nobody waits for is kept and repeated until Redis has
 * answered. All commands of one loop turn leave in one write; operations of one kind are one command: done
 * and release first, then bind, seal and acquire. What is asked about one permit stays in the order of the
 * asking.
 *
 * The ledger pulses by itself: every 3 s, and at once when something is to be extended. A pulse renews this
 * worker's lease (30 s), and says what others took from us and which of our jobs were cancelled.
 *
 * Redis may lose what it was told: it restarts empty or with an old snapshot, fails over, its clock jumps. A
 * pulse finds that out, and a new epoch begins, in which nothing that was written before counts. The ledger
 * is rebuilt from those who know: each worker asserts what it holds (on_rebuild), one of them leads
 * (ledger_lead) and adds what Kafka and E2B know. Until it is ready nothing is granted, sealed, bound or
 * taken over. */

struct ledger;

/* Durations that the safety of the whole depends on, in ms. Their reasons are in the comments of lua/ and in
 * CONTRIBUTING.md; workers with other values must not share a ledger. */
enum {
    LEDGER_LEASE_MS = 30000,     /* a worker that did not pulse for so long is dead */
    LEDGER_OWN_LEASE_MS = 20000, /* ... and believes so itself after this, by CLOCK_BOOTTIME */
    LEDGER_PULSE_MS = 3000,
    LEDGER_GRANT_MS = 10000,       /* a grant is good for so long after the sending of acquire */
    LEDGER_CREATE_MS = 30000,      /* deadline of a create */
    LEDGER_LATE_CREATE_MS = 75000, /* a create may still be executed so long after its client left */
    LEDGER_SLACK_MS = 120000,      /* a permit outlives its sandbox's end by this, flat */
    LEDGER_LEAD_MS = 600000,       /* ... and by this more for runs longer than one sandbox life */
    LEDGER_LIVE_MS = 300000,       /* longest life a sandbox is given at once; extended every third of it */
    LEDGER_UNBOUND_MS = 60000,     /* `until` of a claim whose sandbox is not known yet */
    LEDGER_DONE_MS = 10800000,     /* a finished job is remembered: twice the longest retry delay, and 1 h */
};

/* ---- Life cycle ---- */

enum ledger_state {
    LEDGER_CONNECTING, /* Redis does not answer, refuses us, or is not fit (why says) */
    LEDGER_REBUILDING, /* the ledger is new or was lost: nothing is granted until ledger_ready */
    LEDGER_READY,
};

enum ledger_loss { LEDGER_LOST_TO_OTHER, LEDGER_LOST_FOR_GOOD };

struct ledger_events {
    void *arg;
    /* The state or its reason changed; `why` is a sentence, "" when ready. */
    void (*on_state)(void *arg, enum ledger_state state, const char *why);
    /* The ledger lost its memory: say what you hold by ledger_assert, then ledger_asserted. Comes with every
     * new epoch that is to be rebuilt, and again after a broken connection until ledger_asserted was
     * answered. NULL: nothing is ever asserted; the rebuild waits until every permit has been released. */
    void (*on_rebuild)(void *arg);
    /* A pulse said: this permit of ours is another's now, or nobody's (hands off: whoever acquires the job
     * has the sandbox), or exists no more (the sandbox is ours alone, and counted nowhere: kill it, release
     * the permit). */
    void (*on_lost)(void *arg, const char *permit, enum ledger_loss loss);
    /* A pulse or a hint said: this job was cancelled. May be anybody's; may come more than once. */
    void (*on_cancelled)(void *arg, const char *job);
    /* Hints: there may be more room under these limits than there was (space-separated names); a place is
     * free at a limit, and it is the turn of what waits here of this tenant; this job is done, or was
     * yielded. Never the only way to learn it: whoever waits also polls. */
    void (*on_free)(void *arg, const char *limits);
    void (*on_turn)(void *arg, const char *limit, const char *tenant);
    void (*on_done)(void *arg, const char *job);
};

struct ledger_options {
    struct loop *loop;     /* borrowed */
    struct random *random; /* borrowed */
    const struct log *log; /* borrowed */
    const char *url;       /* redis://[user[:password]@]host[:port][/db], unix:path; no TLS */
    const char *name;      /* the ledger's: "default" */
    const char *worker;    /* this worker's name; a random incarnation is added to it */
    /* A program, not a worker: no pulse, no lease, no hints. READY as soon as Redis can be asked, whatever
     * the ledger's own state; it may look, cancel, and set limits. */
    bool is_onlooker;
    struct ledger_events events;
};

/* Connects, and connects again after every failure (100 ms doubling to 5 s, jittered), loading the scripts
 * each time. The program must ignore SIGPIPE. Returns: NULL for a url that cannot be read or is not supported
 * by this build (reterr names the fix). */
struct ledger *ledger_new(const struct ledger_options *options, struct error *reterr) MUST_USE;
/* Sends what is left in the background queue for at most `grace_ms`, gives the lease back, calls back, and is
 * gone. Active calls fall silent. NULL: nothing. */
void ledger_close(struct ledger *ledger, int64_t grace_ms, void (*closed)(void *arg), void *arg);

enum ledger_state ledger_state(const struct ledger *ledger);
const char *ledger_why(const struct ledger *ledger); /* "" when ready */
const char *ledger_worker(
    const struct ledger *ledger); /* name and incarnation: what permits and claims are written for */

/* Grows with every epoch this worker hears of; 0 before the first. What was sealed under an earlier one is
 * asserted, or once the ledger is ready sealed again, before it is produced. */
unsigned ledger_epoch(const struct ledger *ledger);

/* Whether this worker may act (create, start, signal, kill, publish): its last answered pulse was sent less
 * than LEDGER_OWN_LEASE_MS ago by CLOCK_BOOTTIME, read now; and nothing is open about what it holds: after a
 * lapse, and in a new epoch, each permit is asked about first. */
bool ledger_lease_is_valid(const struct ledger *ledger);

/* ---- Awaited operations ---- */

/* Your slot for one awaited operation at a time; zeroed is idle. `done` runs once, never from inside the
 * start, with the slot idle; after cancel it does not run (Redis may still do it). */
struct ledger_request;
struct ledger_call {
    void *arg;
    struct ledger_request *request; /* ours; NULL: idle */
};
void ledger_call_cancel(struct ledger *ledger, struct ledger_call *call); /* idle: nothing */

struct ledger_limit {
    const char *name; /* "s:<session>", "n:<tenant>", "t:<template>", "c:<class>", "g" */
    int64_t max;      /* an operator's value in Redis replaces it */
};

struct ledger_acquire {
    const char *job;     /* "<tenant>/<job id>" */
    const char *payload; /* 128-bit digest of the record's value, hex */
    const char *origin;  /* 8 hex: which record; a repeat of the same record has the same */
    int64_t hop;         /* retry hops this record has behind it */
    const char *tenant;
    int64_t weight;                           /* of the tenant, > 0 */
    const char *permit;                       /* fresh lower-case UUID */
    int64_t horizon_ms;                       /* of the permit, from now */
    int64_t until_ms;                         /* of the claim, from now */
    int64_t create_milli_per_s, create_burst; /* the shared create bucket; 0: unlimited */
    const char
        *place; /* as for seal: of a sealed claim that is for no record it is noted, before the answer */
    /* In the order s n t c g; "n:<tenant>" always, for fairness counts by it. "r:<class>" counts nothing: so
     * many places under "g" are kept from all other classes. */
    const struct ledger_limit *limits;
    size_t limit_count;
};

enum ledger_verdict {
    LEDGER_GRANTED = 1, /* permit, attempt, crashes, wait_ms: hold the create back for so long */
    LEDGER_DENIED,      /* limit, used, max, retry_ms; "rate" when the create bucket is empty */
    LEDGER_NOT_READY,   /* why */
    LEDGER_ELSEWHERE,   /* owner: another worker (or an unanswered operation of ours) runs or publishes it */
    /* The claim is ours now, with what its owner left: permit, sandbox, mode, plan, attempt, crashes, ... It
     * counts as a crash unless it was yielded, was the asker's, was taken over and not bound since, or once
     * bind says that it is an adoption. */
    LEDGER_ADOPT,
    /* The claim is ours now: publish `record`. permit, sandbox: what its owner may have left alive. */
    LEDGER_SEALED,
    LEDGER_DONE,  /* status, origin, partition, offset of the first result */
    LEDGER_STALE, /* a later copy of this job is under way: finish the offset, nothing else */
    LEDGER_CANCELLED,
    LEDGER_CONFLICT, /* the claim holds another payload */
};

/* Only the fields that belong to the verdict are set; texts are "" else, never NULL. Borrowed until done
 * returns. */
struct ledger_acquired {
    enum ledger_verdict verdict;
    const char *permit, *owner, *limit, *why;
    int64_t attempt, crashes;
    bool has_begun; /* GRANTED: an earlier attempt was bound, and condemned */
    int64_t wait_ms, retry_ms, used, max;
    const char *sandbox, *mode, *plan; /* ADOPT; sandbox "": unbound */
    int64_t run_until_ms;              /* ADOPT: what is left of the run's clock, from now */
    struct bytes record;               /* SEALED; length 0: the bytes are lost */
    const char *place; /* SEALED: as it was sealed; "": yours to publish, with the place that was given */
    const char *status, *origin; /* DONE */
    int64_t partition, offset;   /* DONE; -1: not known */
};
typedef void (*ledger_acquired_fn)(struct ledger_call *call, const struct error *error,
                                   const struct ledger_acquired *answer);
/* Claim and permit, at once. Asked again with the same permit after a lost answer, it grants again. */
void ledger_acquire(struct ledger *ledger, struct ledger_call *call, const struct ledger_acquire *acquire,
                    ledger_acquired_fn done);

enum ledger_answer {
    LEDGER_OK = 1,
    LEDGER_SUPERSEDED,        /* the claim is not ours: kill your sandbox, release your permit */
    LEDGER_SUPERSEDED_PERMIT, /* ... nor is the permit: hands off, an adopter has the sandbox */
    LEDGER_SEAL_ELSEWHERE,    /* seal without a permit: somebody runs or publishes it */
    LEDGER_SEAL_DONE,         /* seal: it is done already */
    LEDGER_SEAL_CONFLICT,     /* seal: the claim holds another payload */
    LEDGER_NOT_NOW,           /* the ledger is being rebuilt, or its clock is in doubt */
};
typedef void (*ledger_answer_fn)(struct ledger_call *call, const struct error *error,
                                 enum ledger_answer answer);

struct ledger_bind {
    const char *job, *permit, *sandbox;
    const char *mode; /* "interpreter" | "process" */
    const char *plan; /* digest, hex */
    int64_t horizon_ms, until_ms, run_until_ms;
    bool
        is_adoption; /* what acquire answered ADOPT about has gone on for a lease: its crash does not count */
};
/* The sandbox's id into claim and permit. OK, SUPERSEDED, SUPERSEDED_PERMIT or NOT_NOW. */
void ledger_bind(struct ledger *ledger, struct ledger_call *call, const struct ledger_bind *bind,
                 ledger_answer_fn done);

struct ledger_seal {
    const char *job;
    const char *permit; /* "" for a job that never ran here: allowed while nobody runs it */
    const char *payload, *origin, *status;
    struct bytes record; /* borrowed until the slot is idle */
    /* Of the one Kafka record with whose offset the result is committed; "": with none, it may go twice. */
    const char *place;
    int64_t until_ms;
};
/* Fixes verdict and bytes, once per job. OK again for the owner of the seal (a lost answer). */
void ledger_seal(struct ledger *ledger, struct ledger_call *call, const struct ledger_seal *seal,
                 ledger_answer_fn done);

/* The permit's horizon is at least horizon_ms from now. OK, SUPERSEDED (there is no such permit any more),
 * SUPERSEDED_PERMIT, or NOT_NOW (... while the ledger is rebuilt: assert it). Goes with the next pulse, at
 * once. */
void ledger_extend(struct ledger *ledger, struct ledger_call *call, const char *permit, int64_t horizon_ms,
                   ledger_answer_fn done);

/* A drain: claim and permit are nobody's from now on, so that the next owner of the record adopts the run at
 * once and no crash counts. until_ms: of the claim, as at bind. OK, SUPERSEDED, SUPERSEDED_PERMIT or
 * NOT_NOW. */
void ledger_yield(struct ledger *ledger, struct ledger_call *call, const char *job, const char *permit,
                  int64_t until_ms, ledger_answer_fn done);

/* The record that stands there is about to be finished without a result, for a copy of it goes on elsewhere:
 * a verdict that was sealed for it, or will be, is anybody's to publish. In any state of the ledger. OK. */
void ledger_moved(struct ledger *ledger, struct ledger_call *call, const char *job, const char *place,
                  ledger_answer_fn done);

/* What acquire answered ADOPT about stays as it is, for whoever has the job's record next: this worker does
 * not answer for the permit any more. Sends nothing. */
void ledger_let_go(struct ledger *ledger, const char *permit);

/* The job shall end CANCELLED: its owner hears of it, or whoever acquires it. Whoever may have it in a queue
 * is told by a hint. The mark is kept for ttl_ms where nobody knows the job yet. OK, or SEAL_DONE: too late,
 * it has a verdict. */
void ledger_cancel(struct ledger *ledger, struct ledger_call *call, const char *job, int64_t ttl_ms,
                   ledger_answer_fn done);

/* The reaper asks about a sandbox just before it kills it. OK: kill; the permit, if there is one, is the
 * caller's now, to be released (on_lost tells if another takes it first), and the run under it, if there was
 * one, is given up. SUPERSEDED_PERMIT: keep, somebody has a right to it. NOT_NOW. */
void ledger_condemn(struct ledger *ledger, struct ledger_call *call, const char *permit,
                    ledger_answer_fn done);

/* One worker at a time has the lock `what`, for ttl_ms from its last asking. It saves work and carries no
 * safety. OK, or NOT_NOW: another has it. */
void ledger_lock(struct ledger *ledger, struct ledger_call *call, const char *what, int64_t ttl_ms,
                 ledger_answer_fn done);

/* ---- The rebuild of a lost ledger ---- */

/* A permit that is held, and the claim that goes with it. From a worker: its own. From the leader, for what
 * E2B lists and nobody asserted: without an owner, adoptable at once. */
struct ledger_assertion {
    enum ledger_holder { LEDGER_MINE, LEDGER_NOBODYS } holder;
    const char *permit;  /* "": a sealed claim whose permit is back already */
    const char *sandbox; /* "": none is known yet */
    const char *limits;  /* space-separated names, "g" among them */
    /* Of what E2B lists: what is left of its life, slack, and lead, for an owner that is cut off from Redis
     * may extend it yet. */
    int64_t horizon_ms;
    const char *job;                            /* "": no claim, only the permit */
    const char *mode, *plan, *payload, *origin; /* payload "": not known, the next acquire's is taken */
    int64_t hop, attempt, crashes, until_ms, run_until_ms;
    const char *status;  /* of a sealed claim; "": it is running */
    struct bytes record; /* of a sealed claim; borrowed until the slot is idle */
    const char *place;   /* ... as it was sealed */
};
/* Idempotent. OK; SUPERSEDED_PERMIT (another holds it: hands off, and the claim was not looked at);
 * SUPERSEDED, SEAL_DONE, SEAL_ELSEWHERE (the permit was taken in, the claim is not ours: as seal says them);
 * NOT_NOW: the ledger is not being rebuilt. An owner's word beats the leader's, a verdict beats a run, a
 * later attempt an earlier one. */
void ledger_assert(struct ledger *ledger, struct ledger_call *call, const struct ledger_assertion *assertion,
                   ledger_answer_fn done);
/* All that this worker holds has been asserted, in the epoch of the last on_rebuild: the rebuild need not
 * wait for it. OK; NOT_NOW: that epoch is over. */
void ledger_asserted(struct ledger *ledger, struct ledger_call *call, ledger_answer_fn done);

/* One worker at a time leads a rebuild. */
struct ledger_lead {
    bool is_leader;      /* for the next 10 s: ask again meanwhile */
    int64_t behind_ms;   /* from now back to the last moment that Redis remembers, -1: it remembers nothing */
    int64_t waiting_for; /* workers that are there, or were, and have not asserted yet */
};
typedef void (*ledger_lead_fn)(struct ledger_call *call, const struct error *error,
                               const struct ledger_lead *lead);
void ledger_lead(struct ledger *ledger, struct ledger_call *call, ledger_lead_fn done);
/* The leader vouches: results are read back, everything that E2B lists of this ledger is asserted, twice.
 * listed: how many there are. OK: the ledger is READY, permits that were not asserted are forgotten, and
 * nobody is taken over for one lease; or NOT_NOW: not yet (too early, a worker has not asserted, another
 * leads, or something of ours waits in the background: a result that was read back must be marked before):
 * ask again in a second. lua/ready.lua says how long it takes, and why. */
void ledger_ready(struct ledger *ledger, struct ledger_call *call, int64_t listed, ledger_answer_fn done);

/* ---- Looking, and an operator's hand ---- */

struct ledger_usage {
    const char *limit;
    int64_t used, waiters, oldest_ms; /* oldest permit's age */
    int64_t max;                      /* in place of what workers have configured; -1: nothing is */
    int64_t set;                      /* ... by ledger_limit_set; -1: not */
    int64_t cut_left_ms;              /* ... by ledger_cut, for so long, where that is lower; -1: not */
};
typedef void (*ledger_usage_fn)(struct ledger_call *call, const struct error *error,
                                const struct ledger_usage *usage, size_t count);
void ledger_snapshot(struct ledger *ledger, struct ledger_call *call, ledger_usage_fn done);

/* One permit, for the reaper and for people. */
struct ledger_permit {
    const char *permit, *worker, *job, *sandbox; /* worker "": nobody's; sandbox "": not known */
    bool is_owner_alive;
    int64_t age_ms, horizon_ms; /* horizon: left */
};
typedef void (*ledger_census_fn)(struct ledger_call *call, const struct error *error,
                                 const struct ledger_permit *permits, size_t count);
/* All permits, oldest first. */
void ledger_census(struct ledger *ledger, struct ledger_call *call, ledger_census_fn done);

/* One claim. */
struct ledger_claim {
    const char *state; /* "none", "idle", "running", "sealed", "parked", "done" */
    const char *owner, *permit, *sandbox, *mode, *status, *origin;
    bool is_owner_alive, is_cancelled;
    int64_t hop, attempt, crashes;
    int64_t until_ms, run_until_ms; /* left; -1: not set */
    int64_t partition, offset;      /* of the result; -1: not known */
    const char *waits_at;           /* the limit at which its tenant waits; "": none */
    int64_t waits_ms;               /* ... for so long */
};
typedef void (*ledger_claim_fn)(struct ledger_call *call, const struct error *error,
                                const struct ledger_claim *claim);
void ledger_look(struct ledger *ledger, struct ledger_call *call, const char *job, ledger_claim_fn done);
/* The same without waits_at, which is dear: for a worker whose copy of a record is to wait on. */
void ledger_peek(struct ledger *ledger, struct ledger_call *call, const char *job, ledger_claim_fn done);

/* The ledger as a whole. */
struct ledger_condition {
    const char *why;       /* nothing is granted now; "": it is */
    int64_t workers;       /* that are alive */
    int64_t rebuilding_ms; /* for so long; -1: it is not being rebuilt */
    int64_t waiting_for;   /* workers that have not asserted yet, while it is */
};
typedef void (*ledger_condition_fn)(struct ledger_call *call, const struct error *error,
                                    const struct ledger_condition *condition);
void ledger_condition(struct ledger *ledger, struct ledger_call *call, ledger_condition_fn done);

/* An operator's value for a limit, in place of what the workers' configurations say; -1: theirs again. OK. */
void ledger_limit_set(struct ledger *ledger, struct ledger_call *call, const char *limit, int64_t max,
                      ledger_answer_fn done);

/* ---- In the background: kept and repeated until Redis has answered ---- */

/* At most 65,536 operations are kept, more are lost with an error in the log: whoever has many at once looks
 * at ledger_background_count. */

/* The record of this job was delivered, or was found in Kafka; kept as a mark against repeats for ttl_ms
 * (LEDGER_DONE_MS at least). Whatever the claim's state, also when nobody knew the job: there is a result.
 * status "": as it was sealed. partition and offset: of the result. */
void ledger_done(struct ledger *ledger, const char *job, const char *status, int64_t partition,
                 int64_t offset, int64_t ttl_ms);

enum ledger_release {
    LEDGER_RELEASE_PERMIT = 1, /* the sandbox is dead (204, 404) or was never made */
    LEDGER_RELEASE_CLAIM = 2,  /* the job is free for the next attempt, here or elsewhere */
    LEDGER_UNCOUNT = 4,        /* with CLAIM: this attempt never started the job's code */
};
/* `what` is a set of ledger_release. job may be NULL without CLAIM. Whatever does not name us is left
 * alone. */
void ledger_release(struct ledger *ledger, const char *permit, const char *job, int what);
/* The job goes on as a copy of its record with this hop, delay_ms from now, and the copy was delivered:
 * earlier ones are stale. Ends the claim, if it is ours under this permit ("": there is none) or nobody runs
 * the job; the permit stays. */
void ledger_park(struct ledger *ledger, const char *permit, const char *job, int64_t hop, int64_t delay_ms);

/* A verdict that is not for us to publish: the sealed claim is nobody's from now on, so that whoever acquires
 * the job next has it at once. Where the ledger is not ready it stays ours until our lease or `until` is
 * over. */
void ledger_leave_sealed(struct ledger *ledger, const char *job, int64_t until_ms);

/* E2B answered 429 for the rate of creates: the shared bucket rests for retry_after_ms, and its rate is
 * halved (at most once a second); 10 % come back every 10 s. create_milli_per_s: as for acquire. */
void ledger_slower(struct ledger *ledger, int64_t retry_after_ms, int64_t create_milli_per_s);
/* E2B's own quota was met: `limit` is at most `max` for ttl_ms. The newest word counts. */
void ledger_cut(struct ledger *ledger, const char *limit, int64_t max, int64_t ttl_ms);

size_t ledger_background_count(const struct ledger *ledger);

#endif
