/* The control plane: create, list, inspect, keep, kill. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CREATE_TIMEOUT_MS = 30000, CONTROL_TIMEOUT_MS = 10000, PAGE_MAX = 100 };

/* ---- create: it is carried out whoever listens ---- */

static void refuse(struct e2b_request *request)
{
    struct letter *letter = letter_new(LETTER_ERROR);
    letter->is.error = (struct e2b_error){.kind = E2B_ERROR_QUOTA, .http_status = 429};
    (void)snprintf(
        letter->is.error.message, sizeof letter->is.error.message,
        "you have reached the maximum number of concurrent E2B sandboxes (%lld). If you need more, "
        "please contact us",
        (long long)request->world->limit);
    request_answer(request, letter);
}

/* The metadata, as names and values in turn, went into `paths`. */
static void do_create(struct e2b_request *request)
{
    struct e2b_world *world = request->world;
    if (world->limit > 0 && (int64_t)world->live >= world->limit) {
        refuse(request);
        return;
    }
    size_t count = request->count / 2;
    struct e2b_pair *metadata = base_alloc(sizeof *metadata * MAX(count, 1));
    for (size_t i = 0; i < count; i++)
        metadata[i] = (struct e2b_pair){TAKE(request->paths[2 * i]), TAKE(request->paths[2 * i + 1])};
    struct letter *letter = letter_new(LETTER_SANDBOX);
    letter->is.sandbox =
        arena_strdup(&letter->arena, place_new(world, metadata, count, request->live_ms)->id);
    request_answer(request, letter);
}

static void keep_metadata(struct e2b_request *request, struct e2b_pairs metadata)
{
    request->count = metadata.count * 2;
    request->paths = base_alloc(sizeof *request->paths * (request->count + 1));
    request->contents = base_alloc(sizeof *request->contents * (request->count + 1));
    for (size_t i = 0; i < metadata.count; i++) {
        request->paths[2 * i] = base_strdup(metadata.items[i].name);
        request->paths[2 * i + 1] = base_strdup(metadata.items[i].value);
    }
}

static void do_expire(struct e2b_request *request)
{
    request_fail(request, E2B_ERROR_EXPIRED, "too late to be sent");
}

void e2b_sandbox_create(struct e2b_client *client, struct e2b_call *call,
                        const struct e2b_sandbox_options *options, e2b_sandbox_fn done)
{
    struct e2b_world *world = client->world;
    struct e2b_operation *operation =
        operation_begin(client, NULL, call, E2B_WORLD_CREATE, CREATE_TIMEOUT_MS);
    struct e2b_request *request = operation->request;
    const char *permit = pair_of(options->metadata, "permit"), *job = pair_of(options->metadata, "job");
    assert(options->template_id &&
           (!options->idempotency_key || strcmp(permit, options->idempotency_key) == 0));
    operation->on.sandbox = done;
    request->id = base_strdup(permit);
    request->live_ms = options->live_ms > 0 ? (options->live_ms + 999) / 1000 * 1000 : 300000;
    keep_metadata(request, options->metadata);
    e2b_world_tell(world, E2B_WORLD_CREATE, job, /* is_done= */ false);
    if (options->send_before_boot_ms > 0 && loop_boot_ms(client->loop) >= options->send_before_boot_ms) {
        operation_run(operation, do_expire);
        return;
    }
    assert(!place_find_by_permit(world, permit)); /* one create for a permit */
    request->is_faulty = e2b_world_take_fault(world, E2B_WORLD_CREATE, job, &request->fault);
    operation_run(operation, do_create);
}

/* ---- list, inspect ---- */

static bool matches(const struct place *place, struct e2b_pairs metadata)
{
    struct e2b_pairs own = {place->metadata, place->metadata_count};
    for (size_t i = 0; i < metadata.count; i++)
        if (strcmp(pair_of(own, metadata.items[i].name), metadata.items[i].value) != 0)
            return false;
    return true;
}

static struct e2b_sandbox_info info_of(const struct place *place, struct arena *arena)
{
    struct loop *loop = place->world->loop;
    int64_t now_ms = loop_boot_ms(loop), now_unix_ms = loop_unix_ms(loop);
    struct e2b_pair *metadata = ARENA_ARRAY(arena, struct e2b_pair, place->metadata_count + 1);
    for (size_t i = 0; i < place->metadata_count; i++)
        metadata[i] = (struct e2b_pair){arena_strdup(arena, place->metadata[i].name),
                                        arena_strdup(arena, place->metadata[i].value)};
    return (struct e2b_sandbox_info){.id = arena_strdup(arena, place->id),
                                     .template_id = "template",
                                     .state = E2B_SANDBOX_RUNNING,
                                     .started_unix_ms = now_unix_ms - (now_ms - place->began_ms),
                                     .ends_unix_ms = now_unix_ms + (place->ends_ms - now_ms),
                                     .remaining_ms = place->ends_ms - now_ms,
                                     .cpu_count = 2,
                                     .memory_mb = 1024,
                                     .metadata = {metadata, place->metadata_count}};
}

/* The filter went into `paths`, the size of a page into `live_ms`; `text` is the number of the last sandbox
 * on the page before. */
static void do_list(struct e2b_request *request)
{
    struct e2b_world *world = request->world;
    struct letter *letter = letter_new(LETTER_PAGE);
    struct e2b_sandbox_info *items = ARENA_ARRAY(&letter->arena, struct e2b_sandbox_info, PAGE_MAX);
    struct e2b_sandbox_page page = {.items = items};
    struct e2b_pair metadata[8];
    int64_t after = request->text ? strtoll(request->text, NULL, 10) : 0, last = 0;
    assert(request->count / 2 <= ARRAY_LENGTH(metadata));
    for (size_t i = 0; i + 1 < request->count; i += 2)
        metadata[i / 2] = (struct e2b_pair){request->paths[i], request->paths[i + 1]};
    struct e2b_pairs wanted = {metadata, request->count / 2};
    LIST_EACH(&world->sandboxes, link)
    {
        const struct place *place = LIST_OBJECT(link, struct place, link);
        if (!matches(place, wanted))
            continue;
        page.total_running++;
        if (place->number > after && (int64_t)page.count == request->live_ms) {
            page.next = arena_printf(&letter->arena, "%lld", (long long)last);
        } else if (place->number > after) {
            items[page.count++] = info_of(place, &letter->arena);
            last = place->number;
        }
    }
    letter->is.page = page;
    request_answer(request, letter);
}

void e2b_sandbox_list(struct e2b_client *client, struct e2b_call *call,
                      const struct e2b_sandbox_filter *filter, e2b_page_fn done)
{
    struct e2b_operation *operation = operation_begin(client, NULL, call, E2B_WORLD_LIST, CONTROL_TIMEOUT_MS);
    struct e2b_request *request = operation->request;
    operation->on.page = done;
    request->live_ms = MIN(filter->limit > 0 ? filter->limit : PAGE_MAX, PAGE_MAX);
    request->text = base_strdup(filter->next);
    keep_metadata(request, filter->metadata);
    operation_run(operation, do_list);
}

static void do_inspect(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    struct letter *letter = letter_new(LETTER_INFO);
    letter->is.info = info_of(place, &letter->arena);
    request_answer(request, letter);
}

void e2b_sandbox_inspect(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_info_fn done)
{
    struct e2b_operation *operation =
        operation_begin(client, NULL, call, E2B_WORLD_INSPECT, CONTROL_TIMEOUT_MS);
    operation->request->id = base_strdup(id);
    operation->on.info = done;
    operation_run(operation, do_inspect);
}

/* ---- keep, connect, kill ---- */

static void do_keep(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    place_set_end(place, request->live_ms);
    request_done(request);
}

void e2b_sandbox_keep(struct e2b_client *client, struct e2b_call *call, const char *id, int64_t live_ms,
                      e2b_done_fn done)
{
    struct e2b_operation *operation = operation_begin(client, NULL, call, E2B_WORLD_KEEP, CONTROL_TIMEOUT_MS);
    operation->request->id = base_strdup(id);
    operation->request->live_ms = live_ms;
    operation->on.done = done;
    operation_run(operation, do_keep);
}

static void do_connect(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    place_set_end(place, request->live_ms);
    struct letter *letter = letter_new(LETTER_SANDBOX);
    letter->is.sandbox = arena_strdup(&letter->arena, place->id);
    request_answer(request, letter);
}

void e2b_sandbox_connect(struct e2b_client *client, struct e2b_call *call, const char *id, int64_t live_ms,
                         e2b_sandbox_fn done)
{
    struct e2b_operation *operation =
        operation_begin(client, NULL, call, E2B_WORLD_CONNECT, CONTROL_TIMEOUT_MS);
    operation->request->id = base_strdup(id);
    operation->request->live_ms = live_ms;
    operation->on.sandbox = done;
    operation_run(operation, do_connect);
}

static void do_kill(struct e2b_request *request)
{
    struct place *place = place_find(request->world, request->id);
    if (place) {
        const struct e2b_world_eye *eye = place->world->eye;
        e2b_world_tell(place->world, E2B_WORLD_KILL, place->job, /* is_done= */ true);
        if (eye && eye->on_killed)
            eye->on_killed(eye->arg, place, request->client);
        place_end(place, "killed");
    }
    request_done(request);
}

void e2b_sandbox_kill(struct e2b_client *client, struct e2b_call *call, const char *id, e2b_done_fn done)
{
    struct e2b_operation *operation = operation_begin(client, NULL, call, E2B_WORLD_KILL, CONTROL_TIMEOUT_MS);
    operation->request->id = base_strdup(id);
    operation->on.done = done;
    operation_run(operation, do_kill);
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
