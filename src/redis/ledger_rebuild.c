/* A lost ledger: what this worker holds is asserted anew, and one worker leads. */
#include "redis/ledger_inside.h"

static void on_nothing(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    (void)call, (void)error, (void)answer; /* the next pulse says whether it is to be said again */
}

void ledger_rebuild_act(struct ledger *ledger)
{
    const struct ledger_events *events = &ledger->options.events;
    unsigned epoch = ledger_epoch(ledger);
    if (ledger->is_closing || ledger->asserted_epoch == epoch)
        return;
    if (!events->on_rebuild) {
        if (ledger->permits.count == 0 && !ledger->nothing.request)
            ledger_asserted(ledger, &ledger->nothing, on_nothing);
    } else if (ledger->told_epoch != epoch) {
        ledger->told_epoch = epoch;
        events->on_rebuild(events->arg);
    }
}

/* ---- what a worker holds ---- */

void ledger_assert(struct ledger *ledger, struct ledger_call *call, const struct ledger_assertion *assertion,
                   ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_word(ledger, call, SCRIPT_ASSERT, done, &command);
    bool is_mine = assertion->holder == LEDGER_MINE;
    if (is_mine && assertion->permit[0] != '\0')
        request->permit = base_strdup(assertion->permit);
    command_text(&command, ledger->worker);
    command_text(&command, is_mine ? "mine" : "nobodys");
    command_text(&command, assertion->permit);
    command_int(&command, assertion->horizon_ms);
    command_text(&command, assertion->sandbox);
    command_text(&command, assertion->limits);
    command_text(&command, assertion->job);
    command_text(&command, assertion->payload);
    command_text(&command, assertion->origin);
    command_text(&command, assertion->mode);
    command_text(&command, assertion->plan);
    command_int(&command, assertion->hop);
    command_int(&command, assertion->attempt);
    command_int(&command, assertion->crashes);
    command_int(&command, assertion->until_ms);
    command_int(&command, assertion->run_until_ms);
    command_text(&command, assertion->status);
    command_bytes(&command, assertion->record);
    command_text(&command, assertion->place);
    ledger_request_send(request, &command);
}

static void on_asserted(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                        const struct redisReply *reply)
{
    struct ledger *ledger = request->ledger;
    enum ledger_answer answer = 0;
    struct error malformed;
    if (!error && !replies_word(reply, SCRIPT_ASSERTED, &answer, &malformed))
        error = &malformed;
    if (!error && answer == LEDGER_OK)
        ledger->asserted_epoch = request->epoch;
    if (call)
        request->done.answer(call, error, answer);
    pulse_now(ledger->pulse); /* what is open about our permits is known now */
}

void ledger_asserted(struct ledger *ledger, struct ledger_call *call, ledger_answer_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_ASSERTED, on_asserted, &command);
    request->done.answer = done;
    command_text(&command, ledger->worker);
    command_text(&command, pulse_epoch(ledger->pulse));
    pulse_write_crew(ledger->pulse, &command);
    ledger_request_send(request, &command);
}

/* ---- the leader ---- */

static void on_lead(struct ledger_request *request, struct ledger_call *call, const struct error *error,
                    const struct redisReply *reply)
{
    struct ledger_lead lead;
    struct error malformed;
    if (!error && !replies_lead(reply, &lead, &malformed))
        error = &malformed;
    if (call)
        request->done.lead(call, error, error ? NULL : &lead);
}

void ledger_lead(struct ledger *ledger, struct ledger_call *call, ledger_lead_fn done)
{
    struct command command = {0};
    struct ledger_request *request = ledger_request_new(ledger, call, SCRIPT_LEAD, on_lead, &command);
    request->done.lead = done;
    command_text(&command, ledger->worker);
    ledger_request_send(request, &command);
}

void ledger_ready(struct ledger *ledger, struct ledger_call *call, int64_t listed, ledger_answer_fn done)
{
    struct command command = {0};
    bool is_early = ledger_background_count(ledger) > 0; /* what was read back is not in it yet */
    struct ledger_request *request =
        ledger_request_word(ledger, call, SCRIPT_READY, done, is_early ? NULL : &command);
    if (is_early) {
        ledger_request_refuse(request);
        return;
    }
    command_text(&command, ledger->worker);
    command_text(&command, pulse_epoch(ledger->pulse));
    command_int(&command, listed);
    ledger_request_send(request, &command);
    pulse_now(ledger->pulse); /* behind it in the pipeline: our own state follows at once */
}
