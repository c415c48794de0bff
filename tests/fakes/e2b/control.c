/* The control plane: create, list, keep, kill. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CREATE_TIMEOUT_MS = 30000, CONTROL_TIMEOUT_MS = 10000, PAGE_MAX = 100, SOON_MS = 2 };

/* A create that was sent: it is carried out whoever listens. */
struct creation {
    struct link link;
    struct e2b_world *world;
    struct timer timer;
    struct e2b_pair *metadata;
    size_t count;
    int64_t live_ms;
};

static void on_created(void *arg)
{
    struct creation *creation = arg;
    (void)place_new(creation->world, creation->metadata, creation->count, creation->live_ms);
    link_remove(&creation->link);
    free(creation);
}

static void send_creation(struct e2b_world *world, const struct e2b_sandbox_options *options,
                          int64_t delay_ms)
{
    struct creation *creation = base_alloc(sizeof *creation);
    creation->world = world;
    creation->metadata = pairs_copy(options->metadata);
    creation->count = options->metadata.count;
    creation->live_ms = options->live_ms > 0 ? (options->live_ms + 999) / 1000 * 1000 : 300000;
    list_push_back(&world->creations, &creation->link);
    loop_timer_start(world->loop, &creation->timer, delay_ms, on_created, creation);
}

static struct e2b_sandbox *new_handle(struct e2b_client *client, const struct place *place)
{
    struct e2b_sandbox *handle = base_alloc(sizeof *handle);
    handle->client = client;
    (void)snprintf(handle->id, sizeof handle->id, "%s", place->id);
    return handle;
}

static struct place *find_by_permit(const struct e2b_world *world, const char *permit)
{
    LIST_EACH(&world->sandboxes, link)
    {
        struct place *place = LIST_OBJECT(link, struct place, link);
        if (strcmp(place->permit, permit) == 0)
            return place;
    }
    return NULL;
}

static void answer_create(struct e2b_operation *operation)
{
    struct e2b_client *client = operation->client;
    e2b_sandbox_fn done = operation->on.sandbox;
    const struct place *place = find_by_permit(client->world, operation->id);
    if (!place) { /* it has ended already */
        struct e2b_error error = {.kind = E2B_ERROR_BROKEN, .undecided = true};
        operation_fail(operation, &error);
        return;
    }
    done(operation_end(operation), NULL, new_handle(client, place));
}

static void answer_quota(struct e2b_operation *operation)
{
    struct e2b_error error = {.kind = E2B_ERROR_QUOTA, .http_status = 429};
    (void)snprintf(
        error.message, sizeof error.message,
        "you have reached the maximum number of concurrent E2B sandboxes (%lld). If you need more, "
        "please contact us",
        (long long)operation->client->world->limit);
    operation_fail(operation, &error);
}

/* What is being made counts. */
static bool is_full(const struct e2b_world *world)
{
    int64_t count = (int64_t)world->live;
    LIST_EACH(&world->creations, link)
    count++;
    return world->limit > 0 && count >= world->limit;
}

static void answer_expired(struct e2b_operation *operation)
{
    operation_fail_kind(operation, E2B_ERROR_EXPIRED, "too late to be sent");
}

void e2b_sandbox_create(struct e2b_client *client, struct e2b_call *call,
                        const struct e2b_sandbox_options *options, e2b_sandbox_fn done)
{
    struct e2b_world *world = client->world;
    struct e2b_operation *operation =
        operation_begin(client, NULL, call, E2B_WORLD_CREATE, CREATE_TIMEOUT_MS);
    const struct e2b_world_fault *fault = &operation->fault;
    const char *permit = pair_of(options->metadata, "permit");
    assert(options->template_id &&
           (!options->idempotency_key || strcmp(permit, options->idempotency_key) == 0));
    operation->is_faulty =
        e2b_world_take_fault(world, E2B_WORLD_CREATE, pair_of(options->metadata, "job"), &operation->fault);
    operation->id = base_strdup(permit);
    operation->on.sandbox = done;
    e2b_world_tell(world, E2B_WORLD_CREATE, pair_of(options->metadata, "job"), /* is_done= */ false);
    if (options->send_before_boot_ms > 0 && loop_boot_ms(world->loop) >= options->send_before_boot_ms) {
        operation->is_faulty = false;
        operation_run(operation, answer_expired);
        return;
    }
    assert(!find_by_permit(world, permit)); /* one create for a permit */
    if (!operation->is_faulty && is_full(world)) {
        operation_run(operation, answer_quota);
        return;
    }
    if (!operation->is_faulty)
        send_creation(world, options, world->delay_ms[E2B_WORLD_CREATE] - SOON_MS);
    else if (fault->is_done || fault->late_ms > 0)
        send_creation(world, options, MAX(fault->late_ms, 1));
    operation_run(operation, answer_create);
}

static bool matches(const struct place *place, struct e2b_pairs metadata)
{
    struct e2b_pairs own = {place->metadata, place->metadata_count};
    for (size_t i = 0; i < metadata.count; i++)
        if (strcmp(pair_of(own, metadata.items[i].name), metadata.items[i].value) != 0)
            return false;
    return true;
}

static struct e2b_sandbox_info info_of(const struct place *place)
{
    struct loop *loop = place->world->loop;
    int64_t now_ms = loop_now_ms(loop), now_unix_ms = loop_unix_ms(loop);
    return (struct e2b_sandbox_info){.id = place->id,
                                     .template_id = "template",
                                     .state = E2B_SANDBOX_RUNNING,
                                     .started_unix_ms = now_unix_ms - (now_ms - place->began_ms),
                                     .ends_unix_ms = now_unix_ms + (place->ends_ms - now_ms),
                                     .remaining_ms = place->ends_ms - now_ms,
                                     .cpu_count = 2,
                                     .memory_mb = 1024,
                                     .metadata = {place->metadata, place->metadata_count}};
}

/* The filter, as "name=value" words, went into `paths`, the size of a page into `live_ms`; `text` is the
 * number of the last sandbox on the page before. */
static void answer_list(struct e2b_operation *operation)
{
    struct e2b_world *world = operation->client->world;
    struct e2b_sandbox_info items[PAGE_MAX] = {0};
    struct e2b_pair metadata[8];
    struct e2b_sandbox_page page = {.items = items};
    char next[24];
    int64_t after = operation->text ? strtoll(operation->text, NULL, 10) : 0, last = 0;
    assert(operation->count / 2 <= ARRAY_LENGTH(metadata));
    for (size_t i = 0; i + 1 < operation->count; i += 2)
        metadata[i / 2] = (struct e2b_pair){operation->paths[i], operation->paths[i + 1]};
    struct e2b_pairs wanted = {metadata, operation->count / 2};
    LIST_EACH(&world->sandboxes, link)
    {
        const struct place *place = LIST_OBJECT(link, struct place, link);
        if (!matches(place, wanted))
            continue;
        page.total_running++;
        if (place->number > after && (int64_t)page.count == operation->live_ms) {
            (void)snprintf(next, sizeof next, "%lld", (long long)last);
            page.next = next;
        } else if (place->number > after) {
            items[page.count++] = info_of(place);
            last = place->number;
        }
    }
    e2b_page_fn done = operation->on.page;
    done(operation_end(operation), NULL, &page);
}

void e2b_sandbox_list(struct e2b_client *client, struct e2b_call *call,
                      const struct e2b_sandbox_filter *filter, e2b_page_fn done)
{
    struct e2b_operation *operation = operation_begin(client, NULL, call, E2B_WORLD_LIST, CONTROL_TIMEOUT_MS);
    operation->on.page = done;
    operation->live_ms = MIN(filter->limit > 0 ? filter->limit : PAGE_MAX, PAGE_MAX);
    operation->text = filter->next ? base_strdup(filter->next) : NULL;
    operation->count = filter->metadata.count * 2;
    operation->paths = base_alloc(sizeof *operation->paths * (operation->count + 1));
    operation->contents = base_alloc(sizeof *operation->contents * (operation->count + 1));
    for (size_t i = 0; i < filter->metadata.count; i++) {
        operation->paths[2 * i] = base_strdup(filter->metadata.items[i].name);
        operation->paths[2 * i + 1] = base_strdup(filter->metadata.items[i].value);
    }
    operation_run(operation, answer_list);
}

static void answer_inspect(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    struct e2b_sandbox_info info = info_of(place);
    e2b_info_fn done = operation->on.info;
    done(operation_end(operation), NULL, &info);
}

void e2b_sandbox_inspect(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_info_fn done)
{
    struct e2b_operation *operation =
        operation_begin(client, NULL, call, E2B_WORLD_INSPECT, CONTROL_TIMEOUT_MS);
    operation->id = base_strdup(id);
    operation->on.info = done;
    operation_run(operation, answer_inspect);
}

static void answer_keep(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    place_set_end(place, operation->live_ms);
    e2b_done_fn done = operation->on.done;
    done(operation_end(operation), NULL);
}

void e2b_sandbox_keep(struct e2b_client *client, struct e2b_call *call, const char *id, int64_t live_ms,
                      e2b_done_fn done)
{
    struct e2b_operation *operation = operation_begin(client, NULL, call, E2B_WORLD_KEEP, CONTROL_TIMEOUT_MS);
    operation->id = base_strdup(id);
    operation->live_ms = live_ms;
    operation->on.done = done;
    operation_run(operation, answer_keep);
}

static void answer_connect(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    place_set_end(place, operation->live_ms);
    e2b_sandbox_fn done = operation->on.sandbox;
    struct e2b_client *client = operation->client;
    done(operation_end(operation), NULL, new_handle(client, place));
}

void e2b_sandbox_connect(struct e2b_client *client, struct e2b_call *call, const char *id, int64_t live_ms,
                         e2b_sandbox_fn done)
{
    struct e2b_operation *operation =
        operation_begin(client, NULL, call, E2B_WORLD_CONNECT, CONTROL_TIMEOUT_MS);
    operation->id = base_strdup(id);
    operation->live_ms = live_ms;
    operation->on.sandbox = done;
    operation_run(operation, answer_connect);
}

static void answer_kill(struct e2b_operation *operation)
{
    struct place *place = place_find(operation->client->world, operation->id);
    if (place) {
        e2b_world_tell(place->world, E2B_WORLD_KILL, place->job, /* is_done= */ true);
        place_end(place);
    }
    e2b_done_fn done = operation->on.done;
    done(operation_end(operation), NULL);
}

void e2b_sandbox_kill(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_done_fn done)
{
    struct e2b_operation *operation = operation_begin(client, NULL, call, E2B_WORLD_KILL, CONTROL_TIMEOUT_MS);
    operation->id = base_strdup(id);
    operation->on.done = done;
    operation_run(operation, answer_kill);
}

/* ---- handles ---- */

const char *e2b_sandbox_id(const struct e2b_sandbox *sandbox)
{
    return sandbox->id;
}

void e2b_sandbox_free(struct e2b_sandbox *sandbox)
{
    if (!sandbox)
        return;
    assert(sandbox->active == 0);
    free(sandbox);
}
