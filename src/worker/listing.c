/* What runs in the account. */
#include "worker/listing.h"

#include "worker/context.h"
#include "worker/provider.h"

#include <stdlib.h>
#include <string.h>

enum { PAGES_MAX = 100 }; /* of 100 sandboxes: ten times E2B's largest plan */

static void ask(struct listing *listing);

static const char *pair_of(const struct e2b_sandbox_info *info, const char *name)
{
    for (size_t i = 0; i < info->metadata.count; i++)
        if (strcmp(info->metadata.items[i].name, name) == 0)
            return info->metadata.items[i].value;
    return "";
}

static void add(struct listing *listing, const struct e2b_sandbox_info *info)
{
    struct arena *arena = &listing->arena;
    if (listing->count == listing->capacity) {
        listing->capacity = MAX(2 * listing->capacity, 32);
        listing->items = base_realloc(listing->items, listing->capacity * sizeof *listing->items);
    }
    /* Both ends and what is left are E2B's: no clock of ours in its age. */
    int64_t age_ms = info->ends_unix_ms - info->started_unix_ms - info->remaining_ms;
    listing->items[listing->count++] = (struct listed){
        .id = arena_strdup(arena, info->id),
        .permit = arena_strdup(arena, pair_of(info, "permit")),
        .job = arena_strdup(arena, pair_of(info, "job")),
        .tenant = arena_strdup(arena, pair_of(info, "tenant")),
        .template_name = arena_strdup(arena, pair_of(info, "template")),
        .template_id = arena_strdup(arena, info->template_id),
        .age_ms = MAX(age_ms, 0),
        .cpu_count = info->cpu_count,
        .memory_mb = info->memory_mb,
    };
}

static void sort_in(struct listing *listing, const struct e2b_sandbox_info *info)
{
    bool is_ours = strcmp(pair_of(info, "svc"), "e2b-worker") == 0 &&
                   strcmp(pair_of(info, "ledger"), listing->worker->config->ledger) == 0;
    if (is_ours && pair_of(info, "permit")[0] != '\0') {
        add(listing, info);
        return;
    }
    listing->foreign_count++;
    listing->permitless_count += is_ours;
}

static void on_page(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_page *page)
{
    struct listing *listing = call->arg;
    provider_note_list(listing->worker->provider, error);
    free(TAKE(listing->next));
    for (size_t i = 0; !error && i < page->count; i++)
        sort_in(listing, &page->items[i]);
    if (!error && page->next && ++listing->pages < PAGES_MAX) {
        listing->next = base_strdup(page->next);
        ask(listing);
        return;
    }
    listing->done(listing->arg, !error && !page->next);
}

/* Without a filter: what others run counts as well. Who is paused does not run. */
static void ask(struct listing *listing)
{
    const struct e2b_sandbox_filter filter = {.next = listing->next};
    listing->call.timeout_ms = 0;
    e2b_sandbox_list(listing->worker->e2b, &listing->call, &filter, on_page);
}

void listing_init(struct listing *listing, struct worker *worker, void (*done)(void *arg, bool is_whole),
                  void *arg)
{
    *listing = (struct listing){.worker = worker, .done = done, .arg = arg};
    listing->call.arg = listing;
    arena_init(&listing->arena, 0);
}

void listing_release(struct listing *listing)
{
    e2b_call_cancel(&listing->call);
    free(TAKE(listing->next));
    free(TAKE(listing->items));
    arena_release(&listing->arena);
}

void listing_start(struct listing *listing)
{
    listing_release(listing);
    arena_init(&listing->arena, 4096);
    listing->count = listing->capacity = listing->foreign_count = listing->permitless_count = 0;
    listing->pages = 0;
    listing->begun_ms = loop_now_ms(listing->worker->loop);
    ask(listing);
}

bool listing_is_active(const struct listing *listing)
{
    return e2b_call_is_active(&listing->call);
}

const struct listed *listing_find(const struct listing *listing, const char *permit)
{
    for (size_t i = 0; i < listing->count; i++)
        if (strcmp(listing->items[i].permit, permit) == 0)
            return &listing->items[i];
    return NULL;
}
