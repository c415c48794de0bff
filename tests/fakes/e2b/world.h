#ifndef TESTS_FAKES_E2B_WORLD_H
#define TESTS_FAKES_E2B_WORLD_H
#include "base/random.h"
#include "e2b/e2b.h"
#include "loop/loop.h"

/* An E2B in memory, for tests: e2b/e2b.h without network, in virtual time. Several clients may share one
 * world; they find it by its url, given as api_url. Each lives on the loop that it is given in place of
 * libuv's (a struct loop; NULL: the world's), E2B on the world's. Sandboxes are made and killed after a
 * delay, end by their own time, hold files, and run programs: the text of the code says what it does, line by
 * line.
 *
 *   print WORDS | error WORDS   to stdout or stderr, with a newline
 *   sleep MS
 *   write PATH WORDS            a file
 *   raise NAME VALUE            ends with this exception (a process: with exit code 1)
 *   exit N | signal N           ends so
 *   hang                        never ends by itself
 *   cut                         the stream breaks here, once
 *   vanish                      the sandbox is gone
 *
 * Whatever else a line says is ignored; the end of the text is a good end. Processes are started or attached
 * to as the worker's step.sh does it. What nobody may do ends the test by an assertion: a call used twice at
 * a time, a handle freed under a call. */

struct e2b_world;

/* Life cycle. Clients are to be closed before. */
struct e2b_world *e2b_world_new(struct loop *loop) MUST_USE;
void e2b_world_free(struct e2b_world *world);
const char *e2b_world_url(const struct e2b_world *world);

/* ---- Faults ---- */

enum e2b_world_call {
    E2B_WORLD_ANY, /* for faults */
    E2B_WORLD_CREATE,
    E2B_WORLD_LIST,
    E2B_WORLD_KEEP,
    E2B_WORLD_CONNECT,
    E2B_WORLD_INSPECT,
    E2B_WORLD_KILL,
    E2B_WORLD_CODE,
    E2B_WORLD_PROCESS,
    E2B_WORLD_WRITE,
    E2B_WORLD_READ,
    E2B_WORLD_STAT,
    E2B_WORLD_FILES, /* the listing of a directory */
    E2B_WORLD_CALL_COUNT
};

struct e2b_world_fault {
    enum e2b_world_call call;
    const char *job;        /* creates, and calls inside a sandbox: of this job alone; NULL: of any */
    int skip;               /* so many calls of the kind pass before */
    int count;              /* so many in a row fail; 0: one */
    struct e2b_error error; /* the answer; kind 0 with is_silent or cut_after */
    bool is_done;           /* ... and yet it was carried out */
    bool is_silent;         /* no answer until the call's deadline */
    int64_t late_ms;        /* carried out so long after it was sent, whoever still listens */
    int cut_after;          /* code, process: the stream breaks after so many events */
};
/* Copied. Faults of one kind are used up in the order of their setting. */
void e2b_world_fail(struct e2b_world *world, const struct e2b_world_fault *fault);
void e2b_world_forgive(struct e2b_world *world);             /* faults not used up are forgotten */
size_t e2b_world_faults_left(const struct e2b_world *world); /* failures still to come */

/* From now on a call of this kind takes so long. */
void e2b_world_delay(struct e2b_world *world, enum e2b_world_call call, int64_t ms);
/* ... between half of that and twice as much, as random decides. */
void e2b_world_vary(struct e2b_world *world, struct random *random);
/* The process of this loop was killed: its connections are closed. */
void e2b_world_kill(struct e2b_world *world, struct loop *loop);
/* The job's sandbox dies now. Returns: false when it has none. */
bool e2b_world_vanish(struct e2b_world *world, const char *job);
/* A sandbox that another made, alive for live_ms. Returns: its id, borrowed while it lives. */
const char *e2b_world_plant(struct e2b_world *world, const char *permit, const char *job, int64_t live_ms);
/* ... and that knows nothing of us, or says these things. */
const char *e2b_world_plant_foreign(struct e2b_world *world, struct e2b_pairs metadata, int64_t live_ms);
bool e2b_world_is_live(const struct e2b_world *world, const char *id);
/* So many sandboxes at once, planted ones too: creates beyond are refused as E2B does it. 0: no limit. */
void e2b_world_limit(struct e2b_world *world, int64_t max);

/* ---- Looking ---- */

/* Told when a call begins (is_done false) and when a kill or create was carried out (true). job: of the
 * sandbox's metadata, "" where it has none. */
typedef void (*e2b_world_watch_fn)(void *arg, enum e2b_world_call call, const char *job, bool is_done);
void e2b_world_watch(struct e2b_world *world, e2b_world_watch_fn watch, void *arg);

size_t e2b_world_live(const struct e2b_world *world);
size_t e2b_world_max_live(const struct e2b_world *world);
int64_t e2b_world_calls(const struct e2b_world *world, enum e2b_world_call call); /* begun; ANY: all */
int64_t e2b_world_starts(const struct e2b_world *world, const char *job);         /* of its program */
int64_t e2b_world_creates(const struct e2b_world *world, const char *job);        /* carried out */
/* When the job's sandbox ends by itself, on the loop's clock; -1: it has none. */
int64_t e2b_world_ends_ms(const struct e2b_world *world, const char *job);
const char *e2b_world_call_name(enum e2b_world_call call);

#endif
