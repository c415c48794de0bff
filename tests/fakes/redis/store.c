/* The fake ledger's records. */
#include "fakes/redis/store.h"

#include "fakes/redis/store_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---- */

void store_put(char **place, const char *text)
{
    char *copy = text ? base_strdup(text) : NULL;
    free(*place);
    *place = copy;
}

bool store_is(const char *place, const char *text)
{
    return place && strcmp(place, text) == 0;
}

/* ---- claims ---- */

static void claim_free(struct claim *claim)
{
    char *texts[] = {claim->job,     claim->owner, claim->permit, claim->payload, claim->plan,  claim->origin,
                     claim->sandbox, claim->mode,  claim->status, claim->taken,   claim->place, claim->moved};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        free(texts[i]);
    buffer_release(&claim->record);
    link_remove(&claim->link);
    free(claim);
}

static void drop_claim(struct store *store, struct claim *claim)
{
    index_remove(&store->jobs, &claim->node);
    claim_free(claim);
}

static void add_claim(struct store *store, struct claim *claim)
{
    list_push_back(&store->claims, &claim->link);
    index_put(&store->jobs, &claim->node, claim->job);
}

struct claim *store_find_claim(struct store *store, const char *job, int64_t now_ms)
{
    struct index_node *node = index_find(&store->jobs, job);
    struct claim *claim = node ? INDEX_OBJECT(node, struct claim, node) : NULL;
    if (!claim || claim->expires_ms > now_ms)
        return claim;
    drop_claim(store, claim);
    return NULL;
}

struct claim *store_need_claim(struct store *store, const char *job, int64_t now_ms)
{
    struct claim *claim = store_find_claim(store, job, now_ms);
    if (claim)
        return claim;
    claim = base_alloc(sizeof *claim);
    claim->job = base_strdup(job);
    claim->expires_ms = INT64_MAX;
    claim->partition = claim->offset = -1;
    add_claim(store, claim);
    return claim;
}

void store_forget_run(struct claim *claim)
{
    char **texts[] = {&claim->sandbox, &claim->mode, &claim->plan, &claim->taken};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        store_put(texts[i], NULL);
    claim->run_until_ms = 0;
    claim->is_counted = claim->is_followed = false;
}

void store_give_up(struct claim *claim, enum claim_state state, int64_t expires_ms)
{
    claim->state = state;
    store_put(&claim->owner, "");
    store_put(&claim->permit, NULL);
    store_forget_run(claim);
    claim->until_ms = 0;
    claim->epoch = 0;
    claim->expires_ms = expires_ms;
}

bool store_is_record(const struct claim *claim, struct bytes record)
{
    return claim->record.length == record.length &&
           (record.length == 0 || memcmp(claim->record.data, record.data, record.length) == 0);
}

/* ---- permits ---- */

struct usage {
    struct index_node node;
    char *limit;
    int64_t count;
};

static struct usage *find_usage(const struct store *store, const char *limit)
{
    struct index_node *node = index_find(&store->usages, limit);
    return node ? INDEX_OBJECT(node, struct usage, node) : NULL;
}

static void use(struct store *store, const char *limit, int64_t change)
{
    struct usage *usage = find_usage(store, limit);
    if (!usage) {
        usage = base_alloc(sizeof *usage);
        usage->limit = base_strdup(limit);
        index_put(&store->usages, &usage->node, usage->limit);
    }
    usage->count += change;
    if (usage->count > 0)
        return;
    index_remove(&store->usages, &usage->node);
    free(usage->limit);
    free(usage);
}

static void use_all(struct store *store, const char *limits, int64_t change)
{
    char word[256];
    for (const char *at = limits; *at; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        assert(length < sizeof word);
        memcpy(word, at, length);
        word[length] = '\0';
        if (length > 0)
            use(store, word, change);
        at += length;
    }
}

void store_add_permit(struct store *store, struct permit *permit)
{
    list_push_back(&store->permits, &permit->link);
    index_put(&store->ids, &permit->node, permit->id);
    use_all(store, permit->limits, 1);
    store->prune_ms = MIN(store->prune_ms, permit->horizon_ms);
}

void store_set_horizon(struct store *store, struct permit *permit, int64_t horizon_ms)
{
    permit->horizon_ms = horizon_ms;
    store->prune_ms = MIN(store->prune_ms, horizon_ms);
}

void store_set_limits(struct store *store, struct permit *permit, char *limits)
{
    use_all(store, permit->limits, -1);
    free(permit->limits);
    permit->limits = limits;
    use_all(store, permit->limits, 1);
}

static void free_permit(struct permit *permit)
{
    link_remove(&permit->link);
    free(permit->id);
    free(permit->worker);
    free(permit->job);
    free(permit->sandbox);
    free(permit->limits);
    free(permit);
}

static void drop_permit(struct store *store, struct permit *permit, bool is_pruned)
{
    if (store->watch)
        store->watch->gone(store->watch->arg, permit, is_pruned);
    use_all(store, permit->limits, -1);
    index_remove(&store->ids, &permit->node);
    free_permit(permit);
}

void store_drop_permit(struct store *store, struct permit *permit)
{
    drop_permit(store, permit, /* is_pruned= */ false);
}

struct permit *store_find_permit(struct store *store, const char *id)
{
    struct index_node *node = index_find(&store->ids, id);
    return node ? INDEX_OBJECT(node, struct permit, node) : NULL;
}

void store_prune(struct store *store, int64_t now_ms)
{
    if (store->prune_ms > now_ms)
        return;
    store->prune_ms = INT64_MAX;
    LIST_EACH(&store->permits, link)
    {
        struct permit *permit = LIST_OBJECT(link, struct permit, link);
        if (permit->horizon_ms <= now_ms)
            drop_permit(store, permit, /* is_pruned= */ true);
        else
            store->prune_ms = MIN(store->prune_ms, permit->horizon_ms);
    }
}

bool store_has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}

int64_t store_used(const struct store *store, const char *limit)
{
    const struct usage *usage = find_usage(store, limit);
    return usage ? usage->count : 0;
}

/* ---- leases, waiters, operator's values, notes ---- */

struct lease *store_find_lease(const struct store *store, const char *worker)
{
    LIST_EACH(&store->leases, link)
    {
        struct lease *lease = LIST_OBJECT(link, struct lease, link);
        if (strcmp(lease->worker, worker) == 0)
            return lease;
    }
    return NULL;
}

void store_lease_free(struct lease *lease)
{
    link_remove(&lease->link);
    free(lease->worker);
    free(lease);
}

void store_set_lease(struct store *store, const char *worker, int64_t ends_ms)
{
    struct lease *lease = store_find_lease(store, worker);
    if (lease && ends_ms == 0) {
        store_lease_free(lease);
        return;
    }
    if (!lease && ends_ms > 0) {
        lease = base_alloc(sizeof *lease);
        lease->worker = base_strdup(worker);
        list_push_back(&store->leases, &lease->link);
    }
    if (lease)
        lease->ends_ms = ends_ms;
}

bool store_is_alive(const struct store *store, const char *worker, int64_t now_ms)
{
    const struct lease *lease = store_find_lease(store, worker);
    return lease && lease->ends_ms > now_ms;
}

void store_waiter_free(struct waiter *waiter)
{
    link_remove(&waiter->link);
    free(waiter->limit);
    free(waiter->tenant);
    free(waiter->worker);
    free(waiter->class);
    free(waiter);
}

static double share_of(const struct store *store, const struct waiter *waiter, int64_t promised)
{
    char name[128];
    snprintf(name, sizeof name, "n:%s", waiter->tenant);
    return (double)(store_used(store, name) + promised) / (double)waiter->weight;
}

static bool precedes(double share, const struct waiter *waiter, double others, const struct waiter *other)
{
    return share < others || (share == others && waiter->since_ms < other->since_ms);
}

bool store_ranks_before(const struct store *store, const struct waiter *waiter, const struct waiter *other)
{
    return precedes(share_of(store, waiter, 0), waiter, share_of(store, other, 0), other);
}

bool store_waits(const struct waiter *waiter, const char *limit, int64_t now_ms)
{
    return strcmp(waiter->limit, limit) == 0 && waiter->seen_ms >= now_ms - STORE_FRESH_MS &&
           waiter->seen_ms <= now_ms;
}

bool store_may_come(const struct waiter *waiter, int64_t now_ms)
{
    return waiter->told_ms == 0 || waiter->told_ms > now_ms - STORE_TOLD_MS;
}

void store_tell_turn(const struct store *store, struct waiter *waiter, int64_t now_ms)
{
    waiter->told_ms = now_ms;
    if (store->herald)
        store->herald->tell(store->herald->arg, waiter->worker, waiter->limit, waiter->tenant);
}

static int64_t promised_to(const struct store *store, const struct waiter *waiter, int64_t now_ms)
{
    int64_t count = 0;
    LIST_EACH(&store->waiters, link)
    {
        const struct waiter *other = LIST_OBJECT(link, struct waiter, link);
        count += store_waits(other, waiter->limit, now_ms) && strcmp(other->tenant, waiter->tenant) == 0 &&
                 other->told_ms > 0 && store_may_come(other, now_ms);
    }
    return count;
}

bool store_tell_next(const struct store *store, const char *limit,
                     bool (*may)(const void *arg, const struct waiter *waiter), const void *arg,
                     int64_t now_ms)
{
    struct waiter *first = NULL;
    double first_share = 0;
    LIST_EACH(&store->waiters, link)
    {
        struct waiter *waiter = LIST_OBJECT(link, struct waiter, link);
        if (!store_waits(waiter, limit, now_ms) || waiter->told_ms > 0 || (may && !may(arg, waiter)))
            continue;
        double share = share_of(store, waiter, promised_to(store, waiter, now_ms));
        if (first && !precedes(share, waiter, first_share, first))
            continue;
        first = waiter;
        first_share = share;
    }
    if (first)
        store_tell_turn(store, first, now_ms);
    return first != NULL;
}

struct maximum *store_find_maximum(const struct store *store, const char *limit)
{
    LIST_EACH(&store->maxima, link)
    {
        struct maximum *maximum = LIST_OBJECT(link, struct maximum, link);
        if (strcmp(maximum->limit, limit) == 0)
            return maximum;
    }
    return NULL;
}

static struct maximum *need_maximum(struct store *store, const char *limit)
{
    struct maximum *maximum = store_find_maximum(store, limit);
    if (maximum)
        return maximum;
    maximum = base_alloc(sizeof *maximum);
    *maximum = (struct maximum){.limit = base_strdup(limit), .max = -1, .cut = -1};
    list_push_back(&store->maxima, &maximum->link);
    return maximum;
}

void store_drop_cuts(struct store *store)
{
    LIST_EACH(&store->maxima, link)
    LIST_OBJECT(link, struct maximum, link)->cut = -1;
}

static void maximum_free(struct maximum *maximum)
{
    link_remove(&maximum->link);
    free(maximum->limit);
    free(maximum);
}

void store_set_limit(struct store *store, const char *limit, int64_t max)
{
    need_maximum(store, limit)->max = max;
}

void store_set_cut(struct store *store, const char *limit, int64_t max, int64_t ends_ms)
{
    struct maximum *maximum = need_maximum(store, limit);
    maximum->cut = max;
    maximum->cut_ends_ms = ends_ms;
}

static void note_free(struct note *note)
{
    link_remove(&note->link);
    free(note->worker);
    free(note->job);
    free(note);
}

void store_note_cancel(struct store *store, const char *worker, const char *job)
{
    LIST_EACH(&store->cancels, link)
    {
        struct note *other = LIST_OBJECT(link, struct note, link);
        if (strcmp(other->worker, worker) == 0 && strcmp(other->job, job) == 0)
            return;
    }
    struct note *note = base_alloc(sizeof *note);
    note->worker = base_strdup(worker);
    note->job = base_strdup(job);
    list_push_back(&store->cancels, &note->link);
}

size_t store_cancelled(struct store *store, const char *worker, int64_t now_ms, char ***ret)
{
    size_t count = 0;
    *ret = NULL;
    LIST_EACH(&store->cancels, link)
    {
        struct note *note = LIST_OBJECT(link, struct note, link);
        if (strcmp(note->worker, worker) != 0)
            continue;
        const struct claim *claim = store_find_claim(store, note->job, now_ms);
        if (claim && claim->state == CLAIM_RUNNING && store_is(claim->owner, worker)) {
            *ret = base_realloc(*ret, (count + 1) * sizeof **ret);
            (*ret)[count++] = base_strdup(note->job);
        } else {
            note_free(note);
        }
    }
    return count;
}

struct name *store_find_name(const struct link *names, const char *text)
{
    LIST_EACH(names, link)
    {
        struct name *name = LIST_OBJECT(link, struct name, link);
        if (strcmp(name->text, text) == 0)
            return name;
    }
    return NULL;
}

void store_add_name(struct link *names, const char *text, int64_t over_ms)
{
    struct name *name = store_find_name(names, text);
    if (!name) {
        name = base_alloc(sizeof *name);
        name->text = base_strdup(text);
        list_push_back(names, &name->link);
    }
    name->over_ms = MAX(name->over_ms, over_ms);
}

void store_clear_names(struct link *names)
{
    LIST_EACH(names, link)
    {
        struct name *name = LIST_OBJECT(link, struct name, link);
        link_remove(link);
        free(name->text);
        free(name);
    }
}

/* ---- the whole ---- */

static void init_lists(struct store *store)
{
    struct link *heads[] = {&store->claims,  &store->permits, &store->leases,
                            &store->waiters, &store->maxima,  &store->cancels,
                            &store->locks,   &store->said,    &store->remembered};
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++)
        list_init(heads[i]);
    store->jobs = store->ids = store->usages = (struct index){0};
    store->rebuilder = store->doubter = NULL;
    store->prune_ms = INT64_MAX;
}

void store_init(struct store *store)
{
    *store = (struct store){.server_run = 1};
    init_lists(store);
}

void store_free_records(struct store *store)
{
    store->watch = NULL;
    store->herald = NULL;
    LIST_EACH(&store->claims, link)
    drop_claim(store, LIST_OBJECT(link, struct claim, link));
    LIST_EACH(&store->permits, link)
    drop_permit(store, LIST_OBJECT(link, struct permit, link), false);
    LIST_EACH(&store->leases, link)
    store_lease_free(LIST_OBJECT(link, struct lease, link));
    LIST_EACH(&store->waiters, link)
    store_waiter_free(LIST_OBJECT(link, struct waiter, link));
    LIST_EACH(&store->maxima, link)
    maximum_free(LIST_OBJECT(link, struct maximum, link));
    LIST_EACH(&store->cancels, link)
    note_free(LIST_OBJECT(link, struct note, link));
    LIST_EACH(&store->locks, link)
    store_lock_free(LIST_OBJECT(link, struct lock, link));
    store_clear_names(&store->said);
    store_clear_names(&store->remembered);
    index_release(&store->jobs);
    index_release(&store->ids);
    index_release(&store->usages);
    free(store->rebuilder);
    free(store->doubter);
}

/* What is the server's, and not its data's. */
static void keep_server(struct store *store, const struct store *server)
{
    store->server_run = server->server_run;
    store->last_epoch = server->last_epoch;
    store->last_crew = server->last_crew;
    store->watch = server->watch;
    store->herald = server->herald;
}

void store_clear(struct store *store)
{
    const struct store server = *store;
    store_free_records(store);
    store_init(store);
    keep_server(store, &server);
}

static void copy_claim(struct store *store, const struct claim *from)
{
    struct claim *claim = base_alloc(sizeof *claim);
    *claim = *from;
    claim->link = (struct link){0};
    claim->node = (struct index_node){0};
    char **texts[] = {&claim->job,    &claim->owner,  &claim->permit,  &claim->payload,
                      &claim->plan,   &claim->origin, &claim->sandbox, &claim->mode,
                      &claim->status, &claim->taken,  &claim->place,   &claim->moved};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        *texts[i] = base_strdup(*texts[i]);
    claim->record = (struct buffer){0};
    if (from->record.length > 0)
        buffer_append(&claim->record, from->record.data, from->record.length);
    add_claim(store, claim);
}

static void copy_permit(struct store *store, const struct permit *from)
{
    struct permit *permit = base_alloc(sizeof *permit);
    *permit = *from;
    permit->link = (struct link){0};
    permit->node = (struct index_node){0};
    char **texts[] = {&permit->id, &permit->worker, &permit->job, &permit->sandbox, &permit->limits};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        *texts[i] = base_strdup(*texts[i]);
    store_add_permit(store, permit);
}

/* Waiters are not worth a snapshot: they are stale after 3 s. */
static void copy_records(const struct store *from, struct store *to)
{
    LIST_EACH(&from->claims, link)
    copy_claim(to, LIST_OBJECT(link, struct claim, link));
    LIST_EACH(&from->permits, link)
    copy_permit(to, LIST_OBJECT(link, struct permit, link));
    LIST_EACH(&from->leases, link)
    {
        const struct lease *lease = LIST_OBJECT(link, struct lease, link);
        store_set_lease(to, lease->worker, lease->ends_ms);
    }
    LIST_EACH(&from->maxima, link)
    {
        const struct maximum *maximum = LIST_OBJECT(link, struct maximum, link);
        store_set_limit(to, maximum->limit, maximum->max);
        store_set_cut(to, maximum->limit, maximum->cut, maximum->cut_ends_ms);
    }
    LIST_EACH(&from->cancels, link)
    {
        const struct note *note = LIST_OBJECT(link, struct note, link);
        store_note_cancel(to, note->worker, note->job);
    }
}

void store_save(const struct store *store, struct store *ret)
{
    *ret = *store;
    init_lists(ret);
    ret->watch = NULL;
    ret->herald = NULL;
    copy_records(store, ret);
}

void store_restore(struct store *store, const struct store *saved)
{
    const struct store server = *store;
    store_free_records(store);
    *store = *saved;
    init_lists(store);
    keep_server(store, &server);
    store->server_run++;
    copy_records(saved, store);
}

const char *store_not_ready(const struct store *store, int64_t now_ms)
{
    if (!store->is_there)
        return "the ledger is new: no worker has pulsed yet";
    if (!store->is_ready)
        return "the ledger is being rebuilt";
    int64_t gap_ms = now_ms - store->clk_ms;
    return gap_ms > STORE_GAP_MS || gap_ms < -1000 ? "no worker has pulsed for 10 s" : NULL;
}
