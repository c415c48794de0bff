/* A ledger for commands. */
#include "onlooker.h"

#include <string.h>

enum { CLOSE_MS = 500 };

static void settle(struct onlooker *onlooker, const char *why)
{
    if (onlooker->is_found)
        return;
    onlooker->is_found = true;
    loop_timer_stop(onlooker->loop, &onlooker->timer);
    onlooker->found(onlooker->call.arg, why);
}

static void on_state(void *arg, enum ledger_state state, const char *why)
{
    (void)why;
    if (state == LEDGER_READY)
        settle(arg, NULL);
}

static void on_late(void *arg)
{
    struct onlooker *onlooker = arg;
    settle(onlooker, ledger_why(onlooker->ledger));
}

bool onlooker_open(struct onlooker *onlooker, struct loop *loop, const struct config *config,
                   void (*found)(void *arg, const char *why), void *arg, struct error *reterr)
{
    *onlooker =
        (struct onlooker){.loop = loop, .log = {.level = LOG_LEVEL_NONE}, .call.arg = arg, .found = found};
    random_init(&onlooker->random);
    const struct ledger_options options = {.loop = loop,
                                           .random = &onlooker->random,
                                           .log = &onlooker->log,
                                           .url = config->redis_url,
                                           .name = config->ledger,
                                           .worker = "onlooker",
                                           .is_onlooker = true,
                                           .events = {.arg = onlooker, .on_state = on_state}};
    onlooker->ledger = ledger_new(&options, reterr);
    if (!onlooker->ledger)
        return false;
    loop_timer_start(loop, &onlooker->timer, ONLOOKER_MS, on_late, onlooker);
    return true;
}

void onlooker_close(struct onlooker *onlooker, void (*closed)(void *arg), void *arg)
{
    if (!onlooker->ledger) {
        closed(arg);
        return;
    }
    loop_timer_stop(onlooker->loop, &onlooker->timer);
    ledger_call_cancel(onlooker->ledger, &onlooker->call);
    ledger_close(TAKE(onlooker->ledger), CLOSE_MS, closed, arg);
}

const char *onlooker_place(const struct config *config)
{
    const char *scheme = strstr(config->redis_url, "://"), *at = strrchr(config->redis_url, '@');
    if (at)
        return at + 1;
    return scheme ? scheme + strlen("://") : config->redis_url;
}
