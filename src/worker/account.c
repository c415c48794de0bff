/* The room that others leave in the account. */
#include "worker/account.h"

#include "core/limit.h"
#include "worker/context.h"
#include "worker/listing.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    CUT_MS = 60000,       /* longer than from one listing of the reaper's to the next */
    NAMED_MS = 600000,    /* a plan may grow: E2B's word is asked for anew after this */
    LOOK_AGAIN_MS = 10000 /* every waiting job meets the quota: one look does for all */
};

struct account {
    struct worker *worker;
    struct listing listing; /* after a quota */
    struct ledger_call call;
    int64_t named_max, named_ms; /* E2B's limit, and when it said so; 0: it did not */
    int64_t looked_ms;
    int64_t ours, foreign;
    int64_t told_left; /* in the log; -1: nothing yet */
    bool has_warned;
};

/* "... maximum number of concurrent E2B sandboxes (20). ...". Returns: 0: it names none. */
static int64_t number_in(const char *message)
{
    for (const char *open = strchr(message, '('); open; open = strchr(open + 1, '(')) {
        char *end;
        long long number = strtoll(open + 1, &end, 10);
        if (isdigit((unsigned char)open[1]) && *end == ')' && number > 0 && number <= INT32_MAX)
            return number;
    }
    return 0;
}

/* Returns: how many may be ours under a limit of `limit`. */
static int64_t room(const struct account *account, int64_t limit)
{
    bool is_named =
        account->named_max > 0 && loop_now_ms(account->worker->loop) - account->named_ms < NAMED_MS;
    if (is_named)
        return account->named_max - account->foreign;
    return account->ours + account->foreign > limit + 1 ? limit : limit - account->foreign;
}

static void on_snapshot(struct ledger_call *call, const struct error *error, const struct ledger_usage *usage,
                        size_t count)
{
    struct account *account = call->arg;
    struct worker *worker = account->worker;
    int64_t limit = worker->config->limit_global;
    if (error)
        return; /* the next listing tries again */
    for (size_t i = 0; i < count; i++)
        if (strcmp(usage[i].limit, LIMIT_KEY_GLOBAL) == 0 && usage[i].set >= 0)
            limit = usage[i].set;
    int64_t left = MIN(MAX(room(account, limit), 0), limit);
    if (left < limit)
        ledger_cut(worker->ledger, LIMIT_KEY_GLOBAL, left, CUT_MS);
    if (left != account->told_left && (left < limit || account->told_left >= 0))
        log_info(&worker->log, "account.room", LOG_INT("places", left), LOG_INT("limit", limit),
                 LOG_INT("sandboxes", account->ours), LOG_INT("foreign_sandboxes", account->foreign),
                 LOG_INT("e2b_limit", account->named_max));
    account->told_left = left;
}

void account_note_listing(struct account *account, const struct listing *listing)
{
    struct worker *worker = account->worker;
    account->looked_ms = loop_now_ms(worker->loop);
    account->ours = (int64_t)listing->count;
    account->foreign = (int64_t)listing->foreign_count;
    if (listing->permitless_count > 0 && !account->has_warned)
        log_warn(&worker->log, "account.sandboxes_without_permit",
                 LOG_INT("sandboxes", listing->permitless_count));
    account->has_warned = account->has_warned || listing->permitless_count > 0;
    if (!account->call.request)
        ledger_snapshot(worker->ledger, &account->call, on_snapshot);
}

static void on_listed(void *arg, bool is_whole)
{
    struct account *account = arg;
    if (is_whole)
        account_note_listing(account, &account->listing);
}

void account_note_quota(struct account *account, const char *message)
{
    int64_t now_ms = loop_now_ms(account->worker->loop);
    int64_t named_max = number_in(message);
    if (named_max > 0) {
        account->named_max = named_max;
        account->named_ms = now_ms;
    }
    if (listing_is_active(&account->listing) || now_ms - account->looked_ms < LOOK_AGAIN_MS)
        return;
    account->looked_ms = now_ms;
    listing_start(&account->listing);
}

struct account *account_new(struct worker *worker)
{
    struct account *account = base_alloc(sizeof *account);
    account->worker = worker;
    account->call.arg = account;
    account->looked_ms = -LOOK_AGAIN_MS;
    account->told_left = -1;
    listing_init(&account->listing, worker, on_listed, account);
    return account;
}

void account_free(struct account *account)
{
    if (!account)
        return;
    listing_release(&account->listing);
    ledger_call_cancel(account->worker->ledger, &account->call);
    free(account);
}

int64_t account_foreign(const struct account *account)
{
    return account->foreign;
}
