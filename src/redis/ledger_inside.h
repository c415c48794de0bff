#ifndef REDIS_LEDGER_INSIDE_H
#define REDIS_LEDGER_INSIDE_H
#include "base/list.h"
#include "redis/background.h"
#include "redis/command.h"
#include "redis/connection.h"
#include "redis/hints.h"
#include "redis/ledger.h"
#include "redis/permits.h"
#include "redis/pulse.h"
#include "redis/replies.h"
#include "redis/url.h"

/* What the ledger's files share: ledger.c has its state and life, ledger_calls.c the operations,
 * ledger_send.c their way to Redis and back, and ledger_rebuild.c what a worker and a leader do while the
 * ledger is rebuilt. */

enum { GROUP_MAX = 16 }; /* acquires take longest: see BATCH_BYTES */

struct ledger {
    struct ledger_options options;
    struct url url;
    char *prefix, *worker;
    struct connection *connection;
    struct hints *hints; /* NULL: an onlooker */
    struct pulse *pulse;
    struct background *background;
    /* Many of these come in one turn of the loop: those of a kind become one command at its end. */
    struct batch {
        struct command command;
        size_t count; /* 0: none is waiting */
    } dones, releases;
    /* Awaited ones: each gets its own answer out of the command's array. */
    struct group {
        struct batch batch;
        struct ledger_request *members[GROUP_MAX]; /* batch.count, in the order of their words */
    } binds, seals, acquires;
    struct task turn_task;
    struct permits permits;
    struct link requests;
    enum ledger_state state;
    char why[200];
    bool is_serving; /* a pulse was answered on this connection; an onlooker's: Redis is fit */

    unsigned told_epoch;        /* in which on_rebuild was called, on this connection; 0: in none */
    unsigned asserted_epoch;    /* ... and ledger_asserted was answered */
    struct ledger_call nothing; /* ledger_asserted for a program without on_rebuild */

    bool is_closing;
    bool is_giving_back, is_closed;
    struct timer close_timer;
    struct task close_task;
    void (*closed)(void *arg);
    void *closed_arg;
};

/* One awaited operation: ends exactly once, by Redis's answer or by the end of the connection. */
struct ledger_request {
    struct link link;
    struct ledger *ledger;
    struct ledger_call *call; /* NULL: nobody waits */
    struct task task;         /* fails it in this turn when it cannot be sent */
    struct error error;
    /* Decodes the reply, and calls back if anybody waits: `call` is NULL else. */
    void (*settle)(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                   const struct redisReply *reply);
    enum script_name script;
    char *permit;   /* that the answer may give us, or take from us; NULL: none */
    unsigned epoch; /* in which it was asked */
    union {
        ledger_answer_fn answer;
        ledger_acquired_fn acquired;
        ledger_usage_fn usage;
        ledger_census_fn census;
        ledger_claim_fn claim;
        ledger_lead_fn lead;
        ledger_condition_fn condition;
    } done;
};

typedef void (*ledger_settle_fn)(struct ledger_request *request, struct ledger_call *call,
                                 const struct error *error, const struct redisReply *reply);

/* Begins an operation, and the command of its script. */
struct ledger_request *ledger_request_new(struct ledger *ledger, struct ledger_call *call,
                                          enum script_name script, ledger_settle_fn settle,
                                          struct command *command);
/* ... of one whose answer is a word. */
struct ledger_request *ledger_request_word(struct ledger *ledger, struct ledger_call *call,
                                           enum script_name script, ledger_answer_fn done,
                                           struct command *command);
void ledger_request_send(struct ledger_request *request, struct command *command);
/* ... or not: the answer is NOT_NOW. */
void ledger_request_refuse(struct ledger_request *request);
/* ... or it could not be sent: its failure comes in this turn. */
void ledger_request_fail(struct ledger_request *request);
/* ... or it goes with others of this turn. Returns: the command to which its words are to be added, borrowed;
 * NULL: it has failed, for Redis does not serve now. */
struct command *ledger_group_join(struct group *group, struct ledger_request *request) MUST_USE;
/* Whether one that waits for the end of the turn names the permit. */
bool ledger_is_asking(const struct ledger *ledger, const char *permit);
/* The slot is idle again before its owner hears of it, and may be used for the next call at once. */
struct ledger_call *ledger_request_leave(struct ledger_request *request);

/* Of one that nobody waits for: begins its command. */
void ledger_command_begin(struct ledger *ledger, struct command *command, enum script_name script);
/* ... or it is one more in a batch. Returns: whether it is the first, whose words begin the command. */
bool ledger_batch_join(struct ledger *ledger, struct batch *batch, enum script_name script);
/* What waits for the end of the turn is sent now. */
void ledger_flush(struct ledger *ledger);
/* Everybody who waits falls silent. */
void ledger_requests_silence(struct ledger *ledger);

/* The ledger is being rebuilt, says a pulse. */
void ledger_rebuild_act(struct ledger *ledger);

#endif
