/* A job's place, in words and in JSON. */
#include "status_show.h"

#include "core/limit.h"
#include "message_event.h"
#include "show.h"

#include <string.h>

/* ---- judging ---- */

const char *job_place_name(enum job_place place)
{
    static const char *const names[] = {"unknown", "waiting", "parked", "running", "publishing", "finished"};
    return names[place];
}

static bool is_state(const struct ledger_claim *claim, const char *state)
{
    return claim && strcmp(claim->state, state) == 0;
}

/* Known by a cancel alone: what else there was the ledger has forgotten, or never knew. */
static bool is_mere_mark(const struct ledger_claim *claim)
{
    return is_state(claim, "idle") && claim->attempt == 0;
}

bool status_needs_events(const struct ledger_claim *claim)
{
    return is_state(claim, "none") || is_state(claim, "idle") || is_state(claim, "parked");
}

static bool has_ended(const struct event_view *view)
{
    return view->kind == EVENT_KIND_FINISHED || (view->kind == EVENT_KIND_DUPLICATE && view->first_status);
}

static enum job_place place_by_event(const struct event_view *view)
{
    if (has_ended(view))
        return JOB_FINISHED;
    return view->kind == EVENT_KIND_STARTED ? JOB_RUNNING : JOB_WAITING;
}

enum job_place status_place(const struct job_facts *facts)
{
    const struct ledger_claim *claim = facts->claim;
    const struct event_view *view = facts->event ? &facts->event->view : NULL;
    if (is_state(claim, "running"))
        return JOB_RUNNING;
    if (is_state(claim, "sealed"))
        return JOB_PUBLISHING;
    if (is_state(claim, "done"))
        return JOB_FINISHED;
    if (is_state(claim, "parked"))
        return JOB_PARKED;
    if (is_mere_mark(claim) && view && has_ended(view))
        return JOB_FINISHED;
    if (is_state(claim, "idle"))
        return JOB_WAITING;
    return view ? place_by_event(view) : JOB_UNKNOWN;
}

/* "w1.0a1b2c3d", with its incarnation, is "w1" to everybody but the ledger. */
static int worker_length(const char *owner)
{
    const char *dot = strrchr(owner, '.');
    return (int)(dot ? (size_t)(dot - owner) : strlen(owner));
}

/* Where the result is. */
struct result_place {
    const char *status; /* NULL: none */
    int64_t partition, offset;
};

static struct result_place result_of(const struct job_facts *facts)
{
    const struct ledger_claim *claim = facts->claim;
    const struct last_event *event = facts->event;
    struct result_place none = {.partition = -1, .offset = -1};
    if (is_state(claim, "done"))
        return (struct result_place){claim->status, claim->partition, claim->offset};
    if (is_state(claim, "sealed"))
        return (struct result_place){claim->status, -1, -1};
    if (status_place(facts) != JOB_FINISHED)
        return none;
    if (event->view.kind == EVENT_KIND_FINISHED)
        return (struct result_place){event->view.status, event->partition, event->offset};
    return (struct result_place){event->view.first_status, event->view.first_partition,
                                 event->view.first_offset};
}

/* ---- for people ---- */

static void show_run(const struct ledger_claim *claim, struct buffer *out)
{
    int length = worker_length(claim->owner);
    buffer_append_format(out, "  attempt %lld", (long long)claim->attempt);
    if (length == 0)
        buffer_append_text(out, ", left behind by a worker that drained: the next one goes on with it");
    else
        buffer_append_format(out, " by worker %.*s", length, claim->owner);
    if (length > 0 && !claim->is_owner_alive)
        buffer_append_text(out, ", which does not answer: another one takes it over");
    if (claim->sandbox[0] != '\0')
        buffer_append_format(out, "\n  sandbox %s, %s mode", claim->sandbox, claim->mode);
    else
        buffer_append_text(out, "\n  its sandbox is being made");
    if (claim->run_until_ms >= 0) {
        buffer_append_text(out, ", for at most ");
        show_duration(claim->run_until_ms, out);
        buffer_append_text(out, " more");
    }
    buffer_append_byte(out, '\n');
}

static void show_claim(const struct job_facts *facts, struct buffer *out)
{
    const struct ledger_claim *claim = facts->claim;
    if (is_state(claim, "running"))
        show_run(claim, out);
    if (is_state(claim, "sealed"))
        buffer_append_format(
            out, "  %s: worker %.*s%s publishes the result\n", claim->status, worker_length(claim->owner),
            claim->owner, claim->is_owner_alive ? "" : ", which does not answer, or whoever takes it over");
    if (is_state(claim, "parked"))
        buffer_append_format(out, "  as copy %lld, in a retry topic\n", (long long)claim->hop);
    if ((is_state(claim, "idle") || is_state(claim, "parked")) && claim->attempt > 0)
        buffer_append_format(out, "  for attempt %lld\n", (long long)claim->attempt + 1);
    if (claim->crashes > 0)
        buffer_append_format(out, "  workers died over it: %lld\n", (long long)claim->crashes);
    if (claim->is_cancelled)
        buffer_append_text(out, "  a cancel is pending\n");
}

/* Of the tenant's, which need not be this job: but it explains what waits. */
static void show_wait(const struct ledger_claim *claim, struct buffer *out)
{
    struct arena names = {0};
    if (claim->waits_at[0] == '\0')
        return;
    buffer_append_format(out, "  jobs of its tenant wait for limit %s, for ",
                         limit_name(claim->waits_at, &names));
    show_duration(claim->waits_ms, out);
    buffer_append_text(out, " now\n");
    arena_release(&names);
}

static void show_last_event(const struct job_facts *facts, struct buffer *out)
{
    const struct last_event *event = facts->event;
    buffer_append_text(out, "  ");
    show_duration(MAX(facts->now_unix_ms - event->unix_ms, 0), out);
    buffer_append_format(out, " ago: %s: ", event_kind_name(event->view.kind));
    show_event(&event->view, out);
    buffer_append_byte(out, '\n');
}

static void show_result_place(const struct job_facts *facts, struct buffer *out)
{
    struct result_place result = result_of(facts);
    if (!facts->event || facts->event->view.kind != EVENT_KIND_FINISHED)
        buffer_append_format(out, "  %s\n",
                             result.status && result.status[0] ? result.status : "status not known");
    if (result.offset >= 0)
        buffer_append_format(out, "  result: %s, partition %lld, offset %lld\n", facts->results,
                             (long long)result.partition, (long long)result.offset);
}

static void show_unknown(const struct job_facts *facts, struct buffer *out)
{
    buffer_append_format(out, "  %s%s%s", facts->ledger_why ? "" : "not in the ledger",
                         facts->ledger_why || facts->looked_back_ms < 0 ? "" : ", and ",
                         facts->looked_back_ms < 0 ? "" : "no event of it in the last ");
    if (facts->looked_back_ms >= 0) {
        show_duration(facts->looked_back_ms, out);
        buffer_append_format(out, " of %s", facts->results);
    }
    buffer_append_text(out,
                       ":\n  it was not sent, no worker has taken its record yet, or it ended longer ago\n");
}

void status_show(const struct job_facts *facts, struct buffer *out)
{
    enum job_place place = status_place(facts);
    buffer_append_format(out, "job %s of tenant %s: %s\n", facts->job->job_id, facts->job->tenant_id,
                         job_place_name(place));
    if (facts->claim)
        show_claim(facts, out);
    if (place == JOB_UNKNOWN)
        show_unknown(facts, out);
    if (facts->event)
        show_last_event(facts, out);
    if (place == JOB_FINISHED)
        show_result_place(facts, out);
    if (facts->claim && (place == JOB_WAITING || place == JOB_UNKNOWN))
        show_wait(facts->claim, out);
    if (facts->condition && facts->condition->why[0] != '\0' && place != JOB_FINISHED) {
        buffer_append_text(out, "  nothing is granted now: ");
        show_condition(facts->condition, out);
        buffer_append_byte(out, '\n');
    }
}

/* ---- JSON ---- */

static void field_or_null(struct writer *writer, const char *key, const char *text)
{
    writer_field_text(writer, key, text && text[0] != '\0' ? text : NULL);
}

static void encode_claim(const struct ledger_claim *claim, struct writer *writer)
{
    struct arena names = {0};
    bool has_owner = claim->owner[0] != '\0';
    writer_field_text(writer, "state", claim->state);
    field_or_null(writer, "worker", arena_strndup(&names, claim->owner, (size_t)worker_length(claim->owner)));
    writer_key(writer, "worker_is_alive");
    if (has_owner)
        writer_bool(writer, claim->is_owner_alive);
    else
        writer_null(writer);
    field_or_null(writer, "sandbox_id", claim->sandbox);
    field_or_null(writer, "permit", claim->permit);
    field_or_null(writer, "run_mode", claim->mode);
    writer_field_int(writer, "attempt", claim->attempt);
    writer_field_int(writer, "crashes", claim->crashes);
    writer_field_int(writer, "hop", claim->hop);
    writer_field_count(writer, "run_left_ms", claim->run_until_ms);
    writer_field_count(writer, "claim_left_ms", claim->until_ms);
    writer_field_bool(writer, "cancel_pending", claim->is_cancelled);
    field_or_null(writer, "tenant_waits_at", limit_name(claim->waits_at, &names));
    writer_field_count(writer, "tenant_waits_ms", claim->waits_at[0] != '\0' ? claim->waits_ms : -1);
    arena_release(&names);
}

static void encode_ledger(const struct job_facts *facts, struct writer *writer)
{
    const char *why = facts->ledger_why ? facts->ledger_why : facts->condition ? facts->condition->why : NULL;
    writer_begin_object(writer);
    writer_field_bool(writer, "answers", facts->ledger_why == NULL);
    writer_field_bool(writer, "grants", why && why[0] == '\0');
    field_or_null(writer, "why_not", why);
    writer_end_object(writer);
}

static void encode_result(const struct job_facts *facts, struct writer *writer)
{
    struct result_place result = result_of(facts);
    writer_field_text(writer, "status", result.status && result.status[0] ? result.status : NULL);
    writer_key(writer, "result");
    if (result.offset < 0) {
        writer_null(writer);
        return;
    }
    writer_begin_object(writer);
    writer_field_text(writer, "topic", facts->results);
    writer_field_int(writer, "partition", result.partition);
    writer_field_int(writer, "offset", result.offset);
    writer_end_object(writer);
}

void status_encode(const struct job_facts *facts, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    writer_field_text(&writer, "job_id", facts->job->job_id);
    writer_field_text(&writer, "tenant_id", facts->job->tenant_id);
    writer_field_text(&writer, "place", job_place_name(status_place(facts)));
    encode_result(facts, &writer);
    writer_key(&writer, "claim");
    if (facts->claim && !is_state(facts->claim, "none")) {
        writer_begin_object(&writer);
        encode_claim(facts->claim, &writer);
        writer_end_object(&writer);
    } else {
        writer_null(&writer);
    }
    writer_key(&writer, "last_event");
    if (facts->event)
        message_event_encode(&facts->event->view, facts->event->unix_ms, facts->event->partition,
                             facts->event->offset, &writer);
    else
        writer_null(&writer);
    writer_key(&writer, "ledger");
    encode_ledger(facts, &writer);
    writer_end_object(&writer);
}
