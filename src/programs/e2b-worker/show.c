/* Durations, money and events as people read them. */
#include "show.h"

void show_duration(int64_t ms, struct buffer *out)
{
    long long value = (long long)ms;
    if (value < 0)
        buffer_append_text(out, "-");
    else if (value < 1000)
        buffer_append_format(out, "%lld ms", value);
    else if (value < 60000)
        buffer_append_format(out, "%lld.%02lld s", value / 1000, value % 1000 / 10);
    else
        buffer_append_format(out, "%lld min %lld s", value / 60000, value % 60000 / 1000);
}

void show_cost(int64_t nano_usd, struct buffer *out)
{
    /* Millionths of a dollar, rounded up: one job costs few of them. */
    long long micro = (long long)(nano_usd + 999) / 1000;
    buffer_append_format(out, "$%lld.%06lld", micro / 1000000, micro % 1000000);
}

void show_size(int64_t bytes, struct buffer *out)
{
    long long value = (long long)bytes;
    if (value < 1024)
        buffer_append_format(out, "%lld B", value);
    else if (value < 1024 * 1024)
        buffer_append_format(out, "%lld.%lld KiB", value / 1024, value % 1024 * 10 / 1024);
    else
        buffer_append_format(out, "%lld.%lld MiB", value >> 20, (value & 0xFFFFF) * 10 >> 20);
}

void show_condition(const struct ledger_condition *condition, struct buffer *out)
{
    buffer_append_text(out, condition->why);
    if (condition->rebuilding_ms < 0)
        return;
    buffer_append_text(out, ", for ");
    show_duration(condition->rebuilding_ms, out);
    buffer_append_text(out, " now");
    if (condition->waiting_for == 1)
        buffer_append_text(out, "; one worker has not said yet what it holds");
    else if (condition->waiting_for > 1)
        buffer_append_format(out, "; %lld workers have not said yet what they hold",
                             (long long)condition->waiting_for);
}

static void field(struct buffer *out, const char *before, const char *text)
{
    if (text && text[0] != '\0')
        buffer_append_format(out, "%s%s", before, text);
}

static void stage(struct buffer *out, const char *name, int64_t ms)
{
    if (ms < 0)
        return;
    buffer_append_format(out, ", %s ", name);
    show_duration(ms, out);
}

static void show_started(const struct event_view *view, struct buffer *out)
{
    buffer_append_format(out, "attempt %lld", (long long)view->attempt);
    field(out, ", template ", view->template_name);
    field(out, ", ", view->run_mode);
    field(out, ", sandbox ", view->sandbox_id);
    field(out, ", worker ", view->worker_id);
}

static void show_waiting(const struct event_view *view, struct buffer *out)
{
    field(out, "", view->reason ? view->reason : "for a reason that is not said");
    field(out, " ", view->limit);
    field(out, ": ", view->message);
    stage(out, "since", view->waited_ms);
}

static void show_retrying(const struct event_view *view, struct buffer *out)
{
    buffer_append_format(out, "attempt %lld of %lld ended", (long long)view->attempt,
                         (long long)view->max_attempts);
    field(out, ": ", view->code);
    field(out, ": ", view->message);
    stage(out, "next in", view->delay_ms);
}

static void show_finished(const struct event_view *view, struct buffer *out)
{
    buffer_append_text(out, view->status ? view->status : "finished");
    field(out, ": ", view->code);
    field(out, ": ", view->message);
    if (view->exit_code >= 0 && !view->message) /* the message has it */
        buffer_append_format(out, ", exit code %lld", (long long)view->exit_code);
    if (view->signal > 0 && !view->message)
        buffer_append_format(out, ", signal %lld", (long long)view->signal);
    stage(out, "queued", view->queued_ms);
    stage(out, "waited", view->permit_wait_ms);
    stage(out, "create", view->create_ms);
    stage(out, "run", view->run_ms);
    stage(out, "total", view->total_ms);
    if (view->attempt > 1)
        buffer_append_format(out, ", %lld attempts", (long long)view->attempt);
    field(out, ", template ", view->template_name);
    if (view->nano_usd >= 0) {
        buffer_append_text(out, ", ");
        show_cost(view->nano_usd, out);
    }
}

static void show_duplicate(const struct event_view *view, struct buffer *out)
{
    if (view->code) {
        buffer_append_format(out, "%s: this job_id was used before for another job", view->code);
        return;
    }
    buffer_append_text(out, "the same job came again");
    field(out, "; it is done already: ", view->first_status);
    if (view->first_offset >= 0)
        buffer_append_format(out, " (its result: partition %lld, offset %lld)",
                             (long long)view->first_partition, (long long)view->first_offset);
}

static void show_reaped(const struct event_view *view, struct buffer *out)
{
    buffer_append_text(out, "a sandbox was left behind, and was killed");
    field(out, ": ", view->reason);
    field(out, ", sandbox ", view->sandbox_id);
    stage(out, "age", view->age_ms);
    if (view->nano_usd >= 0) {
        buffer_append_text(out, ", ");
        show_cost(view->nano_usd, out);
    }
    field(out, ", by worker ", view->worker_id);
}

static void show_stats(const struct event_view *view, struct buffer *out)
{
    field(out, "worker ", view->worker_id);
    buffer_append_format(out, ", in flight %lld, queued %lld, backlog %lld", (long long)view->in_flight,
                         (long long)view->queued, (long long)view->backlog);
    field(out, ", mode ", view->mode);
}

/* Foreign texts may hold anything: nothing of them moves the cursor or ends the line. */
static void tame(struct buffer *out, size_t from)
{
    for (size_t i = from; i < out->length; i++)
        if ((unsigned char)out->data[i] < 0x20 || out->data[i] == 0x7F)
            out->data[i] = ' ';
}

void show_event(const struct event_view *view, struct buffer *out)
{
    size_t from = out->length;
    switch (view->kind) {
    case EVENT_KIND_STARTED:
        show_started(view, out);
        break;
    case EVENT_KIND_WAITING:
        show_waiting(view, out);
        break;
    case EVENT_KIND_RETRYING:
        show_retrying(view, out);
        break;
    case EVENT_KIND_FINISHED:
        show_finished(view, out);
        break;
    case EVENT_KIND_DUPLICATE:
        show_duplicate(view, out);
        break;
    case EVENT_KIND_REAPED:
        show_reaped(view, out);
        break;
    case EVENT_KIND_STATS:
        show_stats(view, out);
        break;
    case EVENT_KIND_SUBMITTED:
    case EVENT_KIND_OTHER:
        field(out, "", view->type);
        break;
    }
    tame(out, from);
}
