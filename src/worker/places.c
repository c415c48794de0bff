/* What the ledger's limits hold. */
#include "worker/places.h"

#include "worker/context.h"

#include <stdlib.h>
#include <string.h>

static void forget(struct places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free((char *)places->items[i].limit);
    places->count = 0;
}

static void put(struct places *places, size_t i, const char *key, int64_t used, int64_t max)
{
    struct arena arena;
    arena_init(&arena, 128);
    places->items[i] = (struct stats_permit){base_strdup(limit_name(key, &arena)), used, max};
    arena_release(&arena);
}

static void on_snapshot(struct ledger_call *call, const struct error *error, const struct ledger_usage *usage,
                        size_t count)
{
    struct places *places = call->arg;
    const struct config *config = places->worker->config;
    if (error)
        return; /* the ledger's state says so already */
    forget(places);
    put(places, places->count++, LIMIT_KEY_GLOBAL, 0, config->limit_global);
    for (size_t i = 0; i < count; i++) {
        struct limit limit;
        if (!limit_parse(usage[i].limit, &limit) || (limit.of[0] != '\0' && !job_is_name(limit.of)))
            continue;
        int64_t max = usage[i].max >= 0 ? usage[i].max : config_limit_max(config, &limit);
        if (limit.kind == LIMIT_GLOBAL) {
            places->items[0].used = usage[i].used;
            places->items[0].max = max;
        } else if (places->count < PLACES_MAX) {
            put(places, places->count++, usage[i].limit, usage[i].used, max);
        }
    }
}

void places_init(struct places *places, struct worker *worker)
{
    *places = (struct places){.worker = worker, .call.arg = places};
    put(places, places->count++, LIMIT_KEY_GLOBAL, 0, worker->config->limit_global);
}

void places_release(struct places *places)
{
    ledger_call_cancel(places->worker->ledger, &places->call);
    forget(places);
}

void places_look(struct places *places)
{
    if (ledger_state(places->worker->ledger) == LEDGER_READY && !places->call.request)
        ledger_snapshot(places->worker->ledger, &places->call, on_snapshot);
}

int64_t places_max(const struct places *places, const char *key)
{
    struct limit limit;
    if (!limit_parse(key, &limit))
        return -1;
    struct arena arena;
    arena_init(&arena, 128);
    const char *name = limit_name(key, &arena);
    size_t i = 0;
    while (i < places->count && strcmp(places->items[i].limit, name) != 0)
        i++;
    arena_release(&arena);
    return i < places->count ? places->items[i].max : config_limit_max(places->worker->config, &limit);
}
