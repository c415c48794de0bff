/* What the ledger's limits hold. */
#include "worker/places.h"

#include "core/limit.h"
#include "worker/context.h"

#include <stdlib.h>
#include <string.h>

static int64_t tenant_max(const struct config *config, const char *tenant)
{
    for (size_t i = 0; i < config->limit_tenant_count; i++)
        if (strcmp(config->limit_tenants[i].name, tenant) == 0)
            return config->limit_tenants[i].max;
    return config->limit_tenant;
}

static int64_t template_max(const struct config *config, const char *name)
{
    const struct template_entry *entry = catalog_find(&config->catalog, name);
    return entry ? entry->max_concurrent : 0;
}

static int64_t class_max(const struct config *config, const char *name)
{
    for (int i = 0; i < PRIORITY_COUNT; i++)
        if (strcmp(priority_name((enum priority)i), name) == 0)
            return config->class_max[i];
    return 0;
}

static int64_t or_none(int64_t max)
{
    return max > 0 ? max : -1;
}

/* Returns: -1 for a limit without a bound of its own. */
static int64_t configured_max(const struct config *config, const struct limit *limit)
{
    switch (limit->kind) {
    case LIMIT_GLOBAL:
        return config->limit_global;
    case LIMIT_TENANT:
        return or_none(tenant_max(config, limit->of));
    case LIMIT_TEMPLATE:
        return or_none(template_max(config, limit->of));
    case LIMIT_CLASS:
        return or_none(class_max(config, limit->of));
    case LIMIT_SESSION: /* its jobs run one after the other */
        return 1;
    case LIMIT_RESERVE:
    case LIMIT_CREATE_RATE: /* hold no places */
        return -1;
    }
    return -1;
}

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
        int64_t max = usage[i].max >= 0 ? usage[i].max : configured_max(config, &limit);
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
    return i < places->count ? places->items[i].max : configured_max(places->worker->config, &limit);
}
