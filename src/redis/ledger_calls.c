/* The ledger's operations: their words, and what their answers mean. */
#include "redis/ledger_inside.h"

#include <assert.h>
#include <stdlib.h>

enum {
    IDLE_TTL_MS = 24 * 3600 * 1000,
    MOST_LIMITS = 64,
    LARGEST_RECORD_BYTES = 16 * 1024 * 1024,
    GROUP_OF_RECORDS = 4, /* in transactions: each may be answered with a whole result, of some MiB */
};

/* ---- answers that are a word ---- */

static void on_word(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                    const struct redisReply *reply)
{
    struct ledger *ledger = request->ledger;
    enum ledger_answer answer = 0;
    struct error malformed;
    if (!error && !replies_word(reply, request->script, &answer, &malformed))
        error = &malformed;
    bool is_given = request->script == SCRIPT_YIELD && answer == LEDGER_OK;
    bool is_taken = (request->script == SCRIPT_ASSERT && !error && answer != LEDGER_NOT_NOW) ||
                    (request->script == SCRIPT_CONDEMN && answer == LEDGER_OK);
    bool is_lost = request->script != SCRIPT_CONDEMN && answer == LEDGER_SUPERSEDED_PERMIT;
    if (request->permit && (is_lost || is_given))
        (void)permits_remove(&ledger->permits, request->permit);
    else if (request->permit && is_taken)
        permits_add(&ledger->permits, request->permit);
    if (call)
        request->done.answer(call, error, answer);
}

struct ledger_request *ledger_request_word(struct ledger *ledger, struct ledger_call *call,
                                           enum script_name script, ledger_answer_fn done,
                                           struct command *command)
{
    struct ledger_request *request = ledger_request_new(ledger, call, script, on_word, command);
    request->done.answer = done;
    return request;
}

void ledger_call_cancel(struct ledger *ledger, struct ledger_call *call)
{
    (void)ledger;
    if (!call->request)
        return;
    call->request->call = NULL;
    call->request = NULL;
}

/* ---- a job's way ---- */

static void on_acquired(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                        const struct redisReply *reply)
{
    struct ledger_acquired acquired;
    struct error malformed;
    if (!error && !replies_acquire(reply, &acquired, &malformed))
        error = &malformed;
    if (!call)
        return;
    if (!error && (acquired.verdict == LEDGER_GRANTED || acquired.verdict == LEDGER_ADOPT))
        permits_add(&request->ledger->permits, acquired.permit);
    request->done.acquired(call, error, error ? NULL : &acquired);
}

void ledger_acquire(struct ledger *ledger, struct ledger_call *call, const struct ledger_acquire *acquire,
                    ledger_acquired_fn done)
{
    assert(acquire->limit_count <= MOST_LIMITS && acquire->weight > 0);
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_ACQUIRE, on_acquired, NULL);
    request->done.acquired = done;
    if (acquire->place[0] != '\0' && ledger->acquires.batch.count >= GROUP_OF_RECORDS)
        ledger_flush(ledger);
    struct command *command = ledger_group_join(&ledger->acquires, request);
    if (!command)
        return;
    request->permit = base_strdup(acquire->permit);
    command_text(command, acquire->job);
    command_text(command, acquire->payload);
    command_text(command, acquire->origin);
    command_int(command, acquire->hop);
    command_text(command, acquire->tenant);
    command_int(command, acquire->weight);
    command_text(command, acquire->permit);
    command_int(command, acquire->horizon_ms);
    command_int(command, acquire->until_ms);
    command_int(command, acquire->create_milli_per_s);
    command_int(command, acquire->create_burst);
    command_text(command, ""); /* not a warm permit */
    command_text(command, acquire->place);
    command_int(command, (int64_t)acquire->limit_count);
    for (size_t i = 0; i < acquire->limit_count; i++) {
        command_text(command, acquire->limits[i].name);
        command_int(command, acquire->limits[i].max);
    }
}

void ledger_bind(struct ledger *ledger, struct ledger_call *call, const struct ledger_bind *bind,
                 ledger_answer_fn done)
{
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_BIND, done, NULL);
    struct command *command = ledger_group_join(&ledger->binds, request);
    if (!command)
        return;
    request->permit = base_strdup(bind->permit);
    command_text(command, bind->job);
    command_text(command, bind->permit);
    command_text(command, bind->sandbox);
    command_text(command, bind->mode);
    command_text(command, bind->plan);
    command_int(command, bind->horizon_ms);
    command_int(command, bind->until_ms);
    command_int(command, bind->run_until_ms);
    command_int(command, bind->is_adoption ? 1 : 0);
}

void ledger_seal(struct ledger *ledger, struct ledger_call *call, const struct ledger_seal *seal,
                 ledger_answer_fn done)
{
    assert(seal->record.length <= LARGEST_RECORD_BYTES);
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_SEAL, done, NULL);
    struct command *command = ledger_group_join(&ledger->seals, request);
    if (!command)
        return;
    request->permit = base_strdup(seal->permit);
    command_text(command, seal->job);
    command_text(command, seal->permit);
    command_text(command, seal->payload);
    command_text(command, seal->origin);
    command_text(command, seal->status);
    command_bytes(command, seal->record);
    command_int(command, seal->until_ms);
    command_text(command, seal->place);
}

static void on_extended(void *arg, const struct error *error, enum ledger_answer answer)
{
    struct ledger_request *request = arg;
    /* on_lost comes after this and takes the permit out of the set. */
    struct ledger_call *call = ledger_request_leave(request);
    if (call)
        request->done.answer(call, error, answer);
    free(request);
}

static void fail_extension(struct ledger_request *request, struct ledger_call *call,
                           const struct error *error, const struct redisReply *reply)
{
    (void)reply; /* there is none: it was not sent */
    if (call)
        request->done.answer(call, error, 0);
}

void ledger_extend(struct ledger *ledger, struct ledger_call *call, const char *permit, int64_t horizon_ms,
                   ledger_answer_fn done)
{
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_PULSE, fail_extension, NULL);
    request->done.answer = done;
    if (!ledger->is_serving || !pulse_extend(ledger->pulse, permit, horizon_ms, on_extended, request))
        ledger_request_fail(request);
}

void ledger_yield(struct ledger *ledger, struct ledger_call *call, const char *job, const char *permit,
                  int64_t until_ms, ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_YIELD, done, &command);
    request->permit = base_strdup(permit);
    command_text(&command, ledger->worker);
    command_text(&command, job);
    command_text(&command, permit);
    command_int(&command, until_ms);
    ledger_request_send(request, &command);
}

void ledger_moved(struct ledger *ledger, struct ledger_call *call, const char *job, const char *place,
                  ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_MOVED, done, &command);
    command_text(&command, job);
    command_text(&command, place);
    ledger_request_send(request, &command);
}

void ledger_cancel(struct ledger *ledger, struct ledger_call *call, const char *job, int64_t ttl_ms,
                   ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_CANCEL, done, &command);
    command_text(&command, job);
    command_int(&command, ttl_ms);
    ledger_request_send(request, &command);
}

void ledger_condemn(struct ledger *ledger, struct ledger_call *call, const char *permit,
                    ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_CONDEMN, done, &command);
    request->permit = base_strdup(permit);
    command_text(&command, ledger->worker);
    command_text(&command, permit);
    ledger_request_send(request, &command);
}

void ledger_lock(struct ledger *ledger, struct ledger_call *call, const char *what, int64_t ttl_ms,
                 ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_LOCK, done, &command);
    command_text(&command, ledger->worker);
    command_text(&command, what);
    command_int(&command, ttl_ms);
    ledger_request_send(request, &command);
}

/* ---- looking ---- */

static void on_usage(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                     const struct redisReply *reply)
{
    struct ledger_usage *usage = NULL;
    size_t count = 0;
    struct error malformed;
    if (!error && !replies_snapshot(reply, &usage, &count, &malformed))
        error = &malformed;
    if (call)
        request->done.usage(call, error, usage, count);
    free(usage);
}

void ledger_snapshot(struct ledger *ledger, struct ledger_call *call, ledger_usage_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_SNAPSHOT, on_usage, &command);
    request->done.usage = done;
    ledger_request_send(request, &command);
}

static void on_census(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                      const struct redisReply *reply)
{
    struct ledger_permit *permits = NULL;
    size_t count = 0;
    struct error malformed;
    if (!error && !replies_census(reply, &permits, &count, &malformed))
        error = &malformed;
    if (call)
        request->done.census(call, error, permits, count);
    free(permits);
}

void ledger_census(struct ledger *ledger, struct ledger_call *call, ledger_census_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_CENSUS, on_census, &command);
    request->done.census = done;
    ledger_request_send(request, &command);
}

static void on_claim(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                     const struct redisReply *reply)
{
    struct ledger_claim claim;
    struct error malformed;
    if (!error && !replies_claim(reply, &claim, &malformed))
        error = &malformed;
    if (call)
        request->done.claim(call, error, error ? NULL : &claim);
}

static void look(struct ledger *ledger, struct ledger_call *call, const char *job, bool with_waits,
                 ledger_claim_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_LOOK, on_claim, &command);
    request->done.claim = done;
    command_text(&command, job);
    command_int(&command, with_waits);
    ledger_request_send(request, &command);
}

void ledger_look(struct ledger *ledger, struct ledger_call *call, const char *job, ledger_claim_fn done)
{
    look(ledger, call, job, /* with_waits= */ true, done);
}

void ledger_peek(struct ledger *ledger, struct ledger_call *call, const char *job, ledger_claim_fn done)
{
    look(ledger, call, job, /* with_waits= */ false, done);
}

static void on_condition(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                         const struct redisReply *reply)
{
    struct ledger_condition condition;
    struct error malformed;
    if (!error && !replies_condition(reply, &condition, &malformed))
        error = &malformed;
    if (call)
        request->done.condition(call, error, error ? NULL : &condition);
}

void ledger_condition(struct ledger *ledger, struct ledger_call *call, ledger_condition_fn done)
{
    struct command command = {0};
    struct ledger_request *request =
        ledger_request_new(ledger, call, SCRIPT_CONDITION, on_condition, &command);
    request->done.condition = done;
    ledger_request_send(request, &command);
}

void ledger_limit_set(struct ledger *ledger, struct ledger_call *call, const char *limit, int64_t max,
                      ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_LIMIT_SET, done, &command);
    command_text(&command, limit);
    command_int(&command, max);
    ledger_request_send(request, &command);
}

/* ---- in the background ---- */

void ledger_done(struct ledger *ledger, const char *job, const char *status, int64_t partition,
                 int64_t offset, int64_t ttl_ms)
{
    struct command *command = &ledger->dones.command;
    (void)ledger_batch_join(ledger, &ledger->dones, SCRIPT_DONE);
    command_text(command, job);
    command_text(command, status);
    command_int(command, partition);
    command_int(command, offset);
    command_int(command, ttl_ms);
}

struct release {
    const char *permit, *job, *state;
    int64_t hop, ttl_ms;
    bool keeps_permit, is_uncounted;
};

static void add_release(struct command *command, const struct release *release)
{
    command_text(command, release->permit);
    command_text(command, release->job);
    command_text(command, release->state);
    command_int(command, release->hop);
    command_int(command, release->ttl_ms);
    command_int(command, release->keeps_permit ? 1 : 0);
    command_int(command, release->is_uncounted ? 1 : 0);
}

static void release_now(struct ledger *ledger, const char *what, const struct release *release)
{
    struct command command;
    ledger_flush(ledger); /* what was said before comes before it */
    ledger_command_begin(ledger, &command, SCRIPT_RELEASE);
    command_text(&command, ledger->worker);
    add_release(&command, release);
    background_add(ledger->background, what, command_format(&command), 1);
}

void ledger_release(struct ledger *ledger, const char *permit, const char *job, int what)
{
    assert(job || !(what & LEDGER_RELEASE_CLAIM));
    if (what & LEDGER_RELEASE_PERMIT)
        (void)permits_remove(&ledger->permits, permit);
    const struct release release = {
        .permit = permit,
        .job = what & LEDGER_RELEASE_CLAIM ? job : "",
        .state = "idle",
        .ttl_ms = IDLE_TTL_MS,
        .keeps_permit = !(what & LEDGER_RELEASE_PERMIT),
        .is_uncounted = (what & LEDGER_UNCOUNT) != 0,
    };
    if (what & LEDGER_RELEASE_CLAIM) {
        release_now(ledger, "release", &release);
        return;
    }
    struct command *command = &ledger->releases.command;
    if (ledger_is_asking(ledger, permit))
        ledger_flush(ledger); /* it comes after what was asked under that permit */
    if (ledger_batch_join(ledger, &ledger->releases, SCRIPT_RELEASE))
        command_text(command, ledger->worker);
    add_release(command, &release);
}

void ledger_let_go(struct ledger *ledger, const char *permit)
{
    (void)permits_remove(&ledger->permits, permit);
}

void ledger_park(struct ledger *ledger, const char *permit, const char *job, int64_t hop, int64_t delay_ms)
{
    release_now(ledger, "park",
                &(struct release){.permit = permit,
                                  .job = job,
                                  .state = "parked",
                                  .hop = hop,
                                  .ttl_ms = delay_ms + IDLE_TTL_MS,
                                  .keeps_permit = true});
}

void ledger_leave_sealed(struct ledger *ledger, const char *job, int64_t until_ms)
{
    struct command command;
    ledger_flush(ledger); /* its seal comes before it */
    ledger_command_begin(ledger, &command, SCRIPT_YIELD);
    command_text(&command, ledger->worker);
    command_text(&command, job);
    command_text(&command, ""); /* a verdict, no run */
    command_int(&command, until_ms);
    background_add(ledger->background, "leave", command_format(&command), 1);
}

void ledger_slower(struct ledger *ledger, int64_t retry_after_ms, int64_t create_milli_per_s)
{
    struct command command;
    ledger_command_begin(ledger, &command, SCRIPT_SLOWER);
    command_int(&command, retry_after_ms);
    command_int(&command, create_milli_per_s);
    background_add(ledger->background, "slower", command_format(&command), 1);
}

void ledger_cut(struct ledger *ledger, const char *limit, int64_t max, int64_t ttl_ms)
{
    struct command command;
    ledger_command_begin(ledger, &command, SCRIPT_CUT);
    command_text(&command, limit);
    command_int(&command, max);
    command_int(&command, ttl_ms);
    background_add(ledger->background, "cut", command_format(&command), 1);
}

size_t ledger_background_count(const struct ledger *ledger)
{
    return background_count(ledger->background) + ledger->dones.count + ledger->releases.count;
}
