/* The world: sandboxes, their files, faults, counts. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char home[] = "/home/user/";

struct e2b_world *e2b_world_new(struct loop *loop)
{
    struct e2b_world *world = base_alloc(sizeof *world);
    world->loop = loop;
    (void)snprintf(world->url, sizeof world->url, "world:%p", (void *)world);
    struct link *heads[] = {&world->sandboxes, &world->clients, &world->faults, &world->tallies,
                            &world->requests};
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++)
        list_init(heads[i]);
    for (int i = 0; i < E2B_WORLD_CALL_COUNT; i++)
        world->delay_ms[i] = 5;
    world->delay_ms[E2B_WORLD_CREATE] = 150;
    world->delay_ms[E2B_WORLD_KILL] = 50;
    return world;
}

void e2b_world_free(struct e2b_world *world)
{
    if (!world)
        return;
    assert(list_is_empty(&world->clients));
    LIST_EACH(&world->requests, link)
    request_end(LIST_OBJECT(link, struct e2b_request, link));
    LIST_EACH(&world->sandboxes, link)
    place_end(LIST_OBJECT(link, struct place, link), "over");
    e2b_world_forgive(world);
    LIST_EACH(&world->tallies, link)
    {
        struct tally *tally = LIST_OBJECT(link, struct tally, link);
        index_remove(&world->jobs, &tally->node);
        free(tally->job);
        free(tally);
    }
    index_release(&world->ids);
    index_release(&world->permits);
    index_release(&world->jobs);
    free(world);
}

const char *e2b_world_url(const struct e2b_world *world)
{
    return world->url;
}

struct e2b_world *e2b_world_at(const char *url)
{
    void *world = NULL;
    if (!url || sscanf(url, "world:%p", &world) != 1)
        base_die("\"%s\" is no url of a fake E2B; use e2b_world_url", url ? url : "");
    return world;
}

const char *e2b_world_call_name(enum e2b_world_call call)
{
    static const char *const names[E2B_WORLD_CALL_COUNT] = {"any",     "create", "list", "keep",    "connect",
                                                            "inspect", "kill",   "code", "process", "write",
                                                            "read",    "stat",   "files"};
    assert(call < E2B_WORLD_CALL_COUNT);
    return names[call];
}

/* ---- faults ---- */

void e2b_world_fail(struct e2b_world *world, const struct e2b_world_fault *is)
{
    struct fault *fault = base_alloc(sizeof *fault);
    fault->is = *is;
    fault->is.count = MAX(fault->is.count, 1);
    list_push_back(&world->faults, &fault->link);
}

static void forget_fault(struct fault *fault)
{
    link_remove(&fault->link);
    free(fault);
}

void e2b_world_forgive(struct e2b_world *world)
{
    LIST_EACH(&world->faults, link)
    forget_fault(LIST_OBJECT(link, struct fault, link));
}

size_t e2b_world_faults_left(const struct e2b_world *world)
{
    size_t count = 0;
    LIST_EACH(&world->faults, link)
    count += (size_t)LIST_OBJECT(link, struct fault, link)->is.count;
    return count;
}

bool e2b_world_take_fault(struct e2b_world *world, enum e2b_world_call call, const char *job,
                          struct e2b_world_fault *ret)
{
    LIST_EACH(&world->faults, link)
    {
        struct fault *fault = LIST_OBJECT(link, struct fault, link);
        if (fault->is.call != call && fault->is.call != E2B_WORLD_ANY)
            continue;
        if (fault->is.job && strcmp(fault->is.job, job) != 0)
            continue;
        if (fault->is.skip > 0) {
            fault->is.skip--;
            continue;
        }
        *ret = fault->is;
        if (--fault->is.count == 0)
            forget_fault(fault);
        return true;
    }
    return false;
}

void e2b_world_delay(struct e2b_world *world, enum e2b_world_call call, int64_t ms)
{
    world->delay_ms[call] = ms;
}

void e2b_world_vary(struct e2b_world *world, struct random *random)
{
    world->random = random;
}

/* Between half of it and twice as much. */
int64_t e2b_world_delay_of(struct e2b_world *world, enum e2b_world_call call)
{
    int64_t ms = world->delay_ms[call];
    return world->random ? ms / 2 + (int64_t)random_below(world->random, (uint64_t)ms * 3 / 2 + 1) : ms;
}

/* ---- counts ---- */

struct tally *e2b_world_tally(struct e2b_world *world, const char *job)
{
    struct index_node *node = index_find(&world->jobs, job);
    if (node)
        return INDEX_OBJECT(node, struct tally, node);
    struct tally *tally = base_alloc(sizeof *tally);
    tally->job = base_strdup(job);
    list_push_back(&world->tallies, &tally->link);
    index_put(&world->jobs, &tally->node, tally->job);
    return tally;
}

void e2b_world_watch(struct e2b_world *world, e2b_world_watch_fn watch, void *arg)
{
    world->watch = watch;
    world->watch_arg = arg;
}

void e2b_world_tell(struct e2b_world *world, enum e2b_world_call call, const char *job, bool is_done)
{
    if (world->watch)
        world->watch(world->watch_arg, call, job, is_done);
}

size_t e2b_world_live(const struct e2b_world *world)
{
    return world->live;
}

size_t e2b_world_max_live(const struct e2b_world *world)
{
    return world->max_live;
}

int64_t e2b_world_calls(const struct e2b_world *world, enum e2b_world_call call)
{
    return world->calls[call];
}

int64_t e2b_world_starts(const struct e2b_world *world, const char *job)
{
    return e2b_world_tally((struct e2b_world *)(uintptr_t)world, job)->starts;
}

int64_t e2b_world_creates(const struct e2b_world *world, const char *job)
{
    return e2b_world_tally((struct e2b_world *)(uintptr_t)world, job)->creates;
}

/* ---- sandboxes ---- */

static struct place *find_of_job(const struct e2b_world *world, const char *job)
{
    LIST_EACH(&world->sandboxes, link)
    {
        struct place *place = LIST_OBJECT(link, struct place, link);
        if (strcmp(place->job, job) == 0)
            return place;
    }
    return NULL;
}

struct place *place_find(const struct e2b_world *world, const char *id)
{
    struct index_node *node = index_find(&world->ids, id);
    return node ? INDEX_OBJECT(node, struct place, id_node) : NULL;
}

struct place *place_find_by_permit(const struct e2b_world *world, const char *permit)
{
    struct index_node *node = index_find(&world->permits, permit);
    return node ? INDEX_OBJECT(node, struct place, permit_node) : NULL;
}

static void on_end(void *arg)
{
    place_end(arg, "over");
}

void place_set_end(struct place *place, int64_t live_ms)
{
    struct loop *loop = place->world->loop;
    const struct e2b_world_eye *eye = place->world->eye;
    place->ends_ms = loop_now_ms(loop) + live_ms;
    loop_timer_start(loop, &place->end, live_ms, on_end, place);
    if (eye && eye->on_moved && place->began_ms < loop_now_ms(loop))
        eye->on_moved(eye->arg, place);
}

struct e2b_pair *pairs_copy(struct e2b_pairs pairs)
{
    struct e2b_pair *copy = base_alloc(sizeof *copy * MAX(pairs.count, 1));
    for (size_t i = 0; i < pairs.count; i++)
        copy[i] = (struct e2b_pair){base_strdup(pairs.items[i].name), base_strdup(pairs.items[i].value)};
    return copy;
}

void pairs_free(struct e2b_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)pairs[i].name);
        free((char *)pairs[i].value);
    }
    free(pairs);
}

const char *pair_of(struct e2b_pairs pairs, const char *name)
{
    for (size_t i = 0; i < pairs.count; i++)
        if (strcmp(pairs.items[i].name, name) == 0)
            return pairs.items[i].value;
    return "";
}

struct place *place_new(struct e2b_world *world, struct e2b_pair *metadata, size_t count, int64_t live_ms)
{
    struct e2b_pairs pairs = {metadata, count};
    struct place *place = base_alloc(sizeof *place);
    place->world = world;
    place->metadata = metadata;
    place->metadata_count = count;
    place->permit = pair_of(pairs, "permit");
    place->job = pair_of(pairs, "job");
    place->number = ++world->made;
    (void)snprintf(place->id, sizeof place->id, "sandbox%lld", (long long)place->number);
    list_init(&place->files);
    list_init(&place->programs);
    list_push_back(&world->sandboxes, &place->link);
    index_put(&world->ids, &place->id_node, place->id);
    index_put(&world->permits, &place->permit_node, place->permit);
    place->began_ms = loop_now_ms(world->loop);
    place_set_end(place, live_ms);
    world->live++;
    world->max_live = MAX(world->max_live, world->live);
    e2b_world_tally(world, place->job)->creates++;
    e2b_world_tell(world, E2B_WORLD_CREATE, place->job, /* is_done= */ true);
    if (world->eye && world->eye->on_made)
        world->eye->on_made(world->eye->arg, place);
    return place;
}

static void free_place(void *object)
{
    struct place *place = object;
    LIST_EACH(&place->files, link)
    {
        struct stored_file *file = LIST_OBJECT(link, struct stored_file, link);
        buffer_release(&file->content);
        free(file->path);
        free(file);
    }
    LIST_EACH(&place->programs, link)
    program_free(LIST_OBJECT(link, struct program, link));
    pairs_free(place->metadata, place->metadata_count);
    free(place);
}

/* It is dead: who waits for one of its programs hears so. */
void place_end(struct place *place, const char *why)
{
    struct e2b_world *world = place->world;
    place->is_gone = true;
    link_remove(&place->link);
    index_remove(&world->ids, &place->id_node);
    index_remove(&world->permits, &place->permit_node);
    loop_timer_stop(world->loop, &place->end);
    world->live--;
    if (world->eye && world->eye->on_ended)
        world->eye->on_ended(world->eye->arg, place, why);
    LIST_EACH(&place->programs, link)
    {
        struct program *program = LIST_OBJECT(link, struct program, link);
        program_stop(program, 9);
        program_tell_gone(program);
    }
    loop_reap(world->loop, place, free_place);
}

bool e2b_world_vanish(struct e2b_world *world, const char *job)
{
    struct place *place = find_of_job(world, job);
    if (place)
        place_end(place, "vanished");
    return place != NULL;
}

const char *e2b_world_plant(struct e2b_world *world, const char *permit, const char *job, int64_t live_ms)
{
    const struct e2b_pair metadata[] = {
        {"svc", "e2b-worker"}, {"ledger", "default"}, {"permit", permit}, {"job", job}};
    const struct e2b_pairs pairs = {metadata, ARRAY_LENGTH(metadata)};
    return place_new(world, pairs_copy(pairs), pairs.count, live_ms)->id;
}

const char *e2b_world_plant_foreign(struct e2b_world *world, struct e2b_pairs metadata, int64_t live_ms)
{
    return place_new(world, pairs_copy(metadata), metadata.count, live_ms)->id;
}

bool e2b_world_is_live(const struct e2b_world *world, const char *id)
{
    return place_find(world, id) != NULL;
}

void e2b_world_limit(struct e2b_world *world, int64_t max)
{
    world->limit = max;
}

int64_t e2b_world_ends_ms(const struct e2b_world *world, const char *job)
{
    const struct place *place = find_of_job(world, job);
    return place ? place->ends_ms : -1;
}

/* ---- files ---- */

static char *absolute(const char *path)
{
    return path[0] == '/' ? base_strdup(path) : base_printf("%s%s", home, path);
}

struct stored_file *place_file(const struct place *place, const char *path)
{
    CLEANUP(base_freep) char *whole = absolute(path);
    LIST_EACH(&place->files, link)
    {
        struct stored_file *file = LIST_OBJECT(link, struct stored_file, link);
        if (strcmp(file->path, whole) == 0)
            return file;
    }
    return NULL;
}

void place_write(struct place *place, const char *path, struct bytes content)
{
    struct stored_file *file = place_file(place, path);
    if (!file) {
        file = base_alloc(sizeof *file);
        file->path = absolute(path);
        list_push_back(&place->files, &file->link);
    }
    buffer_clear(&file->content);
    buffer_append(&file->content, content.data, content.length);
}
