/* The other two truths: what is done, and what lives. */
#include "worker/rebuild_leader.h"

#include "codec/event_view.h"
#include "kafka/reader.h"
#include "worker/context.h"
#include "worker/flight_runner.h"

#include <stdlib.h>
#include <string.h>

enum {
    ASK_MS = 1000,
    LIST_MS = 2000, /* between two lists of which the second must show nothing new */
    READ_MAX_BYTES = 1024 * 1024 * 1024,
    BEHIND_MARGIN_MS = 60000, /* clocks differ, and a result is written after its time */
    NOTE_MS = 30000,
};

struct rebuild_leader {
    struct worker *worker;
    struct ledger_call call; /* lead, ready */
    struct ledger_call assert_call;
    struct e2b_call list_call;
    struct timer ask_timer, list_timer;
    bool is_leader;
    unsigned epoch; /* of the ledger, for which all of this holds */

    struct kafka_reader *reader;
    bool has_read;
    int64_t read_at_unix_ms, back_ms; /* read from so long before that moment */
    size_t read_bytes;
    int64_t read_count;

    struct arena page; /* the page under way */
    struct ledger_assertion *found;
    size_t found_count, next;
    char *cursor;
    int64_t listed, listed_before; /* sandboxes; -1: not known */
    int64_t noted_ms;
};

static void ask(void *arg);
static void list(void *arg);

static void ask_later(struct rebuild_leader *leader)
{
    struct worker *worker = leader->worker;
    loop_timer_start(worker->loop, &leader->ask_timer, random_jitter_ms(worker->random, ASK_MS), ask, leader);
}

/* ---- what is done ---- */

static void on_caught_up(void *arg);

static void read_less(struct rebuild_leader *leader);

static bool is_too_much(const struct rebuild_leader *leader)
{
    size_t max = leader->worker->options.readback_max_bytes;
    return leader->read_bytes >= (max > 0 ? max : READ_MAX_BYTES) && leader->back_ms > BEHIND_MARGIN_MS;
}

static void on_message(void *arg, const struct kafka_message *message)
{
    struct rebuild_leader *leader = arg;
    struct worker *worker = leader->worker;
    struct header headers[64];
    size_t count = MIN(message->header_count, ARRAY_LENGTH(headers));
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    CLEANUP(arena_release) struct arena arena = {0};
    arena_init(&arena, 4096);
    struct event_view event;
    leader->read_bytes += message->value.length;
    if (is_too_much(leader)) {
        read_less(leader);
        return;
    }
    if (!event_view_read(headers, count, message->value, &arena, &event, NULL) ||
        event.kind != EVENT_KIND_FINISHED || !event.job_id || !event.tenant_id || !event.status)
        return;
    CLEANUP(base_freep) char *key = base_printf("%s/%s", event.tenant_id, event.job_id);
    ledger_done(worker->ledger, key, event.status, message->partition, message->offset, LEDGER_DONE_MS);
    leader->read_count++;
}

static void on_caught_up(void *arg)
{
    struct rebuild_leader *leader = arg;
    log_info(&leader->worker->log, "ledger.results_read_back", LOG_INT("results", leader->read_count),
             LOG_INT("bytes", leader->read_bytes));
    leader->has_read = true;
    kafka_reader_close(TAKE(leader->reader), NULL, NULL);
}

static void on_reader_state(void *arg, bool is_usable, const char *why)
{
    struct rebuild_leader *leader = arg;
    if (!is_usable)
        log_warn(&leader->worker->log, "ledger.results_not_read_back", LOG_TEXT("why", why));
}

static void read_from(struct rebuild_leader *leader)
{
    struct worker *worker = leader->worker;
    const struct kafka_reader_options options = {
        .loop = worker->loop,
        .log = &worker->kafka_log,
        .cluster = worker_cluster(worker),
        .client_id = worker->config->worker_name,
        .topic = worker->config->topics.results,
        .from_unix_ms = MAX(leader->read_at_unix_ms - leader->back_ms, 0),
        .events = {.arg = leader,
                   .on_message = on_message,
                   .on_caught_up = on_caught_up,
                   .on_state = on_reader_state},
    };
    struct error error;
    leader->read_bytes = 0;
    leader->reader = kafka_reader_new(&options, &error);
    if (!leader->reader) /* the source and the sink were made of the same properties */
        log_error(&worker->log, "ledger.results_not_read_back", LOG_TEXT("why", error.text));
}

/* Nothing is granted until the last of them is read, and the last ones matter: their records' offsets may not
 * be committed. So it begins anew, later; the last minute is read whole. */
static void read_less(struct rebuild_leader *leader)
{
    leader->back_ms = MAX(leader->back_ms / 2, BEHIND_MARGIN_MS);
    log_warn(&leader->worker->log, "ledger.results_too_many", LOG_INT("bytes", leader->read_bytes),
             LOG_INT("back_ms", leader->back_ms));
    kafka_reader_close(TAKE(leader->reader), NULL, NULL);
    read_from(leader);
}

/* When everybody has said what they hold, or cannot bring forth a result any more: what comes into Kafka
 * after this is under a claim. Also when the ledger seems to be the first: nobody remembers one either when a
 * whole host went down. */
static void read_back(struct rebuild_leader *leader, const struct ledger_lead *lead)
{
    struct worker *worker = leader->worker;
    if (leader->reader || leader->has_read || lead->waiting_for > 0)
        return;
    leader->back_ms = MAX(worker->config->ledger_readback_ms, lead->behind_ms + BEHIND_MARGIN_MS);
    leader->read_at_unix_ms = loop_unix_ms(worker->loop);
    leader->read_count = 0;
    read_from(leader);
}

/* ---- what lives ---- */

static const char *pair(const struct e2b_sandbox_info *info, const char *name)
{
    for (size_t i = 0; i < info->metadata.count; i++)
        if (strcmp(info->metadata.items[i].name, name) == 0)
            return info->metadata.items[i].value;
    return "";
}

/* How long it ran says E2B, and its metadata how long it may. */
static int64_t run_left_ms(const struct e2b_sandbox_info *info)
{
    int64_t run_ms = strtoll(pair(info, "run_ms"), NULL, 10);
    int64_t ran_ms = info->ends_unix_ms - info->started_unix_ms - info->remaining_ms;
    return run_ms > 0 ? MAX(run_ms - ran_ms, 1) : MAX(info->remaining_ms, 0);
}

/* The claim is nobody's: whoever has the job's record follows the run, or kills it. What its record was is
 * not known: it is what the next acquire says. */
static struct ledger_assertion assertion_of(struct rebuild_leader *leader,
                                            const struct e2b_sandbox_info *info)
{
    struct arena *arena = &leader->page;
    int64_t left_ms = MAX(info->remaining_ms, 0);
    const char *limits = pair(info, "limits"), *attempt = pair(info, "attempt");
    return (struct ledger_assertion){
        .holder = LEDGER_NOBODYS,
        .permit = arena_strdup(arena, pair(info, "permit")),
        .sandbox = arena_strdup(arena, info->id),
        .limits = limits[0] != '\0' ? arena_strdup(arena, limits) : "g",
        /* Its worker may be cut off from Redis alone, and extend it at E2B as long as its own permit says. */
        .horizon_ms = left_ms + LEDGER_SLACK_MS + LEDGER_LEAD_MS,
        .job = arena_strdup(arena, pair(info, "job")),
        .mode = arena_strdup(arena, pair(info, "mode")),
        .plan = arena_strdup(arena, pair(info, "plan")),
        .payload = "",
        .origin = "",
        .attempt = MAX(strtoll(attempt, NULL, 10), 1),
        .until_ms = left_ms,
        .run_until_ms = run_left_ms(info),
        .status = "",
        .place = "",
    };
}

static void assert_next(struct rebuild_leader *leader);

static void vouch(struct rebuild_leader *leader);

static void list_later(struct rebuild_leader *leader)
{
    loop_timer_start(leader->worker->loop, &leader->list_timer, LIST_MS, list, leader);
}

static void end_page(struct rebuild_leader *leader)
{
    if (leader->cursor) {
        list(leader);
        return;
    }
    vouch(leader);
    leader->listed_before = leader->listed;
    list_later(leader);
}

static void on_found_asserted(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct rebuild_leader *leader = call->arg;
    if (error || answer == LEDGER_NOT_NOW) { /* the next list asserts it once more */
        leader->listed = leader->listed_before = -1;
        free(TAKE(leader->cursor));
        list_later(leader);
        return;
    }
    assert_next(leader);
}

static void assert_next(struct rebuild_leader *leader)
{
    if (leader->next < leader->found_count)
        ledger_assert(leader->worker->ledger, &leader->assert_call, &leader->found[leader->next++],
                      on_found_asserted);
    else
        end_page(leader);
}

static void on_listed(struct e2b_call *call, const struct e2b_error *error,
                      const struct e2b_sandbox_page *page)
{
    struct rebuild_leader *leader = call->arg;
    free(TAKE(leader->cursor));
    arena_release(&leader->page);
    arena_init(&leader->page, 4096);
    leader->found_count = leader->next = 0;
    if (error) { /* /readyz tells of it: E2B is asked by provider.c, too */
        leader->listed_before = -1;
        list_later(leader);
        return;
    }
    leader->found = ARENA_ARRAY(&leader->page, struct ledger_assertion, MAX(page->count, 1));
    for (size_t i = 0; i < page->count; i++)
        if (pair(&page->items[i], "permit")[0] != '\0')
            leader->found[leader->found_count++] = assertion_of(leader, &page->items[i]);
    leader->listed += (int64_t)page->count;
    leader->cursor = page->next ? base_strdup(page->next) : NULL;
    assert_next(leader);
}

static void list(void *arg)
{
    struct rebuild_leader *leader = arg;
    struct worker *worker = leader->worker;
    const struct e2b_pair metadata[] = {{"svc", "e2b-worker"}, {"ledger", worker->config->ledger}};
    const struct e2b_sandbox_filter filter = {
        .metadata = {metadata, ARRAY_LENGTH(metadata)}, .with_paused = true, .next = leader->cursor};
    if (!leader->cursor)
        leader->listed = 0;
    leader->list_call.timeout_ms = 0;
    e2b_sandbox_list(worker->e2b, &leader->list_call, &filter, on_listed);
}

/* ---- leading ---- */

static void stop(struct rebuild_leader *leader)
{
    struct worker *worker = leader->worker;
    leader->is_leader = leader->has_read = false;
    leader->listed_before = -1;
    if (worker->ledger) {
        ledger_call_cancel(worker->ledger, &leader->call);
        ledger_call_cancel(worker->ledger, &leader->assert_call);
    }
    e2b_call_cancel(&leader->list_call);
    loop_timer_stop(worker->loop, &leader->ask_timer);
    loop_timer_stop(worker->loop, &leader->list_timer);
    kafka_reader_close(TAKE(leader->reader), NULL, NULL);
    free(TAKE(leader->cursor));
}

static void on_vouched(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct rebuild_leader *leader = call->arg;
    struct worker *worker = leader->worker;
    if (!error && answer == LEDGER_OK)
        log_info(&worker->log, "ledger.rebuilt", LOG_INT("sandboxes", leader->listed_before),
                 LOG_INT("results", leader->read_count));
    ask_later(leader); /* the next pulse says READY, and ends us */
}

static void vouch(struct rebuild_leader *leader)
{
    struct worker *worker = leader->worker;
    bool is_complete = leader->epoch == ledger_epoch(worker->ledger) && leader->has_read &&
                       ledger_background_count(worker->ledger) == 0 && leader->listed_before >= 0 &&
                       leader->listed <= leader->listed_before;
    if (!is_complete || leader->call.request)
        return;
    loop_timer_stop(worker->loop, &leader->ask_timer);
    ledger_ready(worker->ledger, &leader->call, leader->listed, on_vouched);
}

static void note(struct rebuild_leader *leader, const struct ledger_lead *lead)
{
    struct worker *worker = leader->worker;
    int64_t now_ms = loop_now_ms(worker->loop);
    if (leader->is_leader && now_ms - leader->noted_ms < NOTE_MS)
        return;
    leader->noted_ms = now_ms;
    log_info(&worker->log, "ledger.rebuilding", LOG_INT("behind_ms", lead->behind_ms),
             LOG_INT("waiting_for_workers", lead->waiting_for), LOG_INT("sandboxes", leader->listed_before));
}

static void on_lead(struct ledger_call *call, const struct error *error, const struct ledger_lead *lead)
{
    struct rebuild_leader *leader = call->arg;
    unsigned epoch = ledger_epoch(leader->worker->ledger);
    bool is_again =
        leader->is_leader && leader->epoch != epoch; /* lost once more, and with it all we marked */
    bool was_leader = leader->is_leader && !is_again;
    if (is_again || (!error && !lead->is_leader && was_leader)) /* or somebody else took over */
        stop(leader);
    leader->epoch = epoch;
    if (!error && lead->is_leader) {
        note(leader, lead);
        leader->is_leader = true;
        read_back(leader, lead);
        if (!was_leader)
            list(leader);
    }
    ask_later(leader);
}

static void ask(void *arg)
{
    struct rebuild_leader *leader = arg;
    if (!leader->call.request)
        ledger_lead(leader->worker->ledger, &leader->call, on_lead);
    else
        ask_later(leader);
}

/* ---- use ---- */

struct rebuild_leader *rebuild_leader_new(struct worker *worker)
{
    struct rebuild_leader *leader = base_alloc(sizeof *leader);
    leader->worker = worker;
    leader->call.arg = leader->assert_call.arg = leader;
    leader->list_call.arg = leader;
    leader->listed_before = -1;
    return leader;
}

void rebuild_leader_free(struct rebuild_leader *leader)
{
    if (!leader)
        return;
    stop(leader);
    arena_release(&leader->page);
    free(leader);
}

void rebuild_leader_look(struct rebuild_leader *leader)
{
    bool is_due = ledger_state(leader->worker->ledger) == LEDGER_REBUILDING;
    if (!is_due)
        stop(leader);
    else if (!leader->call.request && !timer_is_active(&leader->ask_timer))
        ask(leader);
}
