/* Two clients, each with many operations under way, race for the same jobs and the same places: 10,000
 * operations against a model. What the model knows comes from answers alone: a run is a client's from the
 * answer that gave it until the sending of what gives it back, so two that overlap are a fault wherever they
 * met. When nothing is under way, the ledger must hold what the model holds. */
#include "contract/scene.h"

#include <stdio.h>

enum { CLIENTS = 2, SLOTS = 24, JOBS = 60, OPERATIONS = 10000, QUIET_EVERY = 250 };
enum { MOST_ALL = 24, MOST_TENANT = 6, MOST_TEMPLATE = 14 };

struct race;

/* A client's way with one job at a time. */
struct slot {
    struct race *race;
    struct ledger_call call;
    int client, job; /* job -1: none */
    bool has_run;
    char permit[48], record[64];
};

struct model_job {
    int number; /* part of its id */
    enum { MODEL_FREE, MODEL_RUNNING, MODEL_SEALED, MODEL_DONE } state;
    struct slot *holder; /* who runs it; NULL: nobody */
    char permit[48];     /* of the run, yielded or not */
    int64_t attempt;
    int seals;
    char record[64];
    bool is_cancelled;
};

struct race {
    struct scene *scene;
    struct random random;
    struct slot slots[CLIENTS][SLOTS];
    struct model_job jobs[JOBS];
    int under_way, operations, permits, verdicts[16];
    int live; /* places taken, by the model */
    bool is_draining, is_quiet;
};

static void go_on(struct slot *slot);

static int pick(struct race *race, int below)
{
    return (int)random_below(&race->random, (uint64_t)below);
}

static struct ledger *ledger_of(const struct slot *slot)
{
    return slot->client == 0 ? slot->race->scene->one.ledger : slot->race->scene->two.ledger;
}

static struct model_job *job_of(const struct slot *slot)
{
    return &slot->race->jobs[slot->job];
}

/* Six tenants with ten jobs each; two templates. */
static const char *key_of(const struct race *race, int job, char *key)
{
    snprintf(key, 32, "t%d/%d", job % 6, race->jobs[job].number);
    return key;
}

static int live_under(const struct race *race, int divisor, int remainder)
{
    int count = 0;
    for (int i = 0; i < JOBS; i++)
        count += race->jobs[i].permit[0] != '\0' && i % divisor == remainder;
    return count;
}

static void begin(struct slot *slot)
{
    slot->race->under_way++;
    slot->race->operations++;
}

static void end(struct slot *slot)
{
    struct race *race = slot->race;
    race->under_way--;
    race->is_quiet = race->under_way == 0;
}

/* ---- facts ---- */

static void took(struct slot *slot, const struct ledger_acquired *answer)
{
    struct race *race = slot->race;
    struct model_job *job = job_of(slot);
    bool is_new = answer->verdict == LEDGER_GRANTED;
    if (job->holder)
        fail_msg("job %d was given to client %d while client %d had it", slot->job, slot->client,
                 job->holder->client);
    assert_true(job->state == MODEL_FREE || (!is_new && job->state == MODEL_RUNNING));
    assert_int_equal(answer->attempt, job->attempt + is_new);
    assert_int_equal(answer->crashes, 0);
    if (!is_new)
        assert_text(answer->permit, job->permit);
    job->state = MODEL_RUNNING;
    job->holder = slot;
    job->attempt = answer->attempt;
    snprintf(job->permit, sizeof job->permit, "%s", answer->permit);
    snprintf(slot->permit, sizeof slot->permit, "%s", answer->permit);
    slot->has_run = true;
    race->live += is_new;
    assert_true(race->live <= MOST_ALL);
    assert_true(live_under(race, 6, slot->job % 6) <= MOST_TENANT);
    assert_true(live_under(race, 2, slot->job % 2) <= MOST_TEMPLATE);
}

/* ... before it is sent: the other client may have it before the answer comes. */
static void gave(struct slot *slot, int state, bool with_permit)
{
    struct model_job *job = job_of(slot);
    assert_ptr_equal(job->holder, slot);
    job->state = state;
    job->holder = NULL;
    slot->has_run = false;
    if (with_permit) {
        job->permit[0] = '\0';
        slot->race->live--;
    }
}

static void sealed(struct slot *slot)
{
    struct model_job *job = job_of(slot);
    if (++job->seals > 1)
        fail_msg("job %d was sealed twice", slot->job);
    snprintf(job->record, sizeof job->record, "%s", slot->record);
}

/* ---- one step after the other ---- */

static void on_sealed(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct slot *slot = call->arg;
    struct model_job *job = job_of(slot);
    char key[32];
    assert_null(error);
    if (slot->has_run) {
        assert_int_equal(answer, LEDGER_OK); /* nobody dies here, so it is ours */
        sealed(slot);
        ledger_release(ledger_of(slot), slot->permit, NULL, LEDGER_RELEASE_PERMIT);
        gave(slot, MODEL_DONE, true);
        ledger_done(ledger_of(slot), key_of(slot->race, slot->job, key), "succeeded", 0, slot->job, 3600000);
    } else if (answer == LEDGER_OK) { /* a cancelled job that nobody ran */
        assert_null(job->holder);
        sealed(slot);
        job->state = MODEL_DONE;
        ledger_done(ledger_of(slot), key_of(slot->race, slot->job, key), "succeeded", 0, slot->job, 3600000);
    } else {
        assert_true(answer == LEDGER_SEAL_ELSEWHERE || answer == LEDGER_SEAL_DONE);
    }
    slot->job = -1;
    end(slot);
    go_on(slot);
}

static void seal(struct slot *slot)
{
    char key[32];
    const struct ledger_acquire wish = desk_wish("", "");
    snprintf(slot->record, sizeof slot->record, "by client %d, %d", slot->client, ++slot->race->permits);
    begin(slot);
    ledger_seal(ledger_of(slot), &slot->call,
                &(struct ledger_seal){.job = key_of(slot->race, slot->job, key),
                                      .permit = slot->has_run ? slot->permit : "",
                                      .payload = wish.payload,
                                      .origin = wish.origin,
                                      .status = "succeeded",
                                      .record = {.data = slot->record, .length = strlen(slot->record)},
                                      .place = "",
                                      .until_ms = 600000},
                on_sealed);
}

static void on_kept(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct slot *slot = call->arg;
    assert_null(error);
    assert_int_equal(answer, LEDGER_OK);
    end(slot);
    go_on(slot);
}

static void on_yielded(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct slot *slot = call->arg;
    slot->job = -1;
    on_kept(&slot->call, error, answer);
}

static void on_cancelled(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct slot *slot = call->arg;
    assert_null(error);
    assert_true(answer == LEDGER_OK || answer == LEDGER_SEAL_DONE);
    slot->job = -1;
    end(slot);
    go_on(slot);
}

static void on_acquired(struct ledger_call *call, const struct error *error,
                        const struct ledger_acquired *answer)
{
    struct slot *slot = call->arg;
    struct model_job *job = job_of(slot);
    bool is_known = true;
    assert_null(error);
    slot->race->verdicts[answer->verdict]++;
    if (answer->verdict == LEDGER_GRANTED || answer->verdict == LEDGER_ADOPT) {
        took(slot, answer);
    } else if (answer->verdict == LEDGER_CANCELLED) {
        assert_true(job->is_cancelled);
    } else {
        if (answer->verdict == LEDGER_DONE)
            assert_true(job->seals == 1 && answer->offset == slot->job);
        else
            is_known = answer->verdict == LEDGER_DENIED || answer->verdict == LEDGER_ELSEWHERE;
        slot->job = -1;
    }
    assert_true(is_known);
    end(slot);
    if (slot->job >= 0 && !slot->has_run)
        seal(slot); /* cancelled */
    else
        go_on(slot);
}

static void acquire(struct slot *slot)
{
    struct race *race = slot->race;
    char key[32], permit[48], tenant[8], tenant_limit[16], template_limit[16];
    snprintf(permit, sizeof permit, "permit-%d-%d", slot->client, ++race->permits);
    snprintf(tenant, sizeof tenant, "t%d", slot->job % 6);
    snprintf(tenant_limit, sizeof tenant_limit, "n:%s", tenant);
    snprintf(template_limit, sizeof template_limit, "t:%d", slot->job % 2);
    const struct ledger_limit limits[] = {
        {tenant_limit, MOST_TENANT}, {template_limit, MOST_TEMPLATE}, {"g", MOST_ALL}};
    struct ledger_acquire wish = desk_wish(key_of(slot->race, slot->job, key), permit);
    wish.tenant = tenant;
    wish.until_ms = 3600000;
    wish.limits = limits;
    wish.limit_count = ARRAY_LENGTH(limits);
    begin(slot);
    ledger_acquire(ledger_of(slot), &slot->call, &wish, on_acquired);
}

static void go_on_with_run(struct slot *slot)
{
    struct race *race = slot->race;
    char key[32];
    int what = pick(race, 100);
    (void)key_of(slot->race, slot->job, key);
    if (what < 25) {
        begin(slot);
        ledger_bind(ledger_of(slot), &slot->call,
                    &(struct ledger_bind){.job = key,
                                          .permit = slot->permit,
                                          .sandbox = "sandbox-1",
                                          .mode = "process",
                                          .plan = "abcd",
                                          .horizon_ms = 3600000,
                                          .until_ms = 3600000,
                                          .run_until_ms = 300000},
                    on_kept);
    } else if (what < 40) {
        begin(slot);
        ledger_extend(ledger_of(slot), &slot->call, slot->permit, 3600000, on_kept);
    } else if (what < 55) {
        begin(slot);
        gave(slot, MODEL_RUNNING, false);
        ledger_yield(ledger_of(slot), &slot->call, key, slot->permit, 3600000, on_yielded);
    } else if (what < 80) {
        gave(slot, MODEL_FREE, true);
        ledger_release(ledger_of(slot), slot->permit, key, BOTH);
        slot->job = -1;
        race->operations++;
        go_on(slot);
    } else {
        seal(slot);
    }
}

static void go_on(struct slot *slot)
{
    struct race *race = slot->race;
    if (race->is_draining)
        return;
    if (race->operations % QUIET_EVERY == 0 || race->operations >= OPERATIONS) {
        race->is_draining = true; /* what is under way ends, then the ledger is looked at */
        return;
    }
    if (slot->job >= 0) {
        go_on_with_run(slot);
        return;
    }
    char key[32];
    slot->job = pick(race, JOBS);
    if (pick(race, 60) == 0) {
        begin(slot);
        job_of(slot)->is_cancelled = true; /* from its sending on it may be found */
        ledger_cancel(ledger_of(slot), &slot->call, key_of(slot->race, slot->job, key), 3600000,
                      on_cancelled);
    } else {
        acquire(slot);
    }
}

/* ---- the ledger against the model ---- */

static void compare(struct race *race)
{
    static const char *const states[] = {"idle", "running", "sealed", "done"};
    char key[32];
    desk_flush(&race->scene->one);
    desk_flush(&race->scene->two);
    for (int i = 0; i < JOBS; i++) {
        const struct model_job *job = &race->jobs[i];
        const struct ledger_claim *claim = desk_look(&race->scene->one, key_of(race, i, key));
        if (job->state == MODEL_FREE && strcmp(claim->state, "none") == 0) {
            assert_int_equal(job->attempt, 0);
            continue;
        }
        assert_text(claim->state, states[job->state]);
        assert_text(claim->owner, job->holder ? ledger_worker(ledger_of(job->holder)) : "");
        if (job->state == MODEL_RUNNING)
            assert_text(claim->permit, job->permit);
        if (job->state != MODEL_DONE)
            assert_int_equal(claim->attempt, job->attempt);
        assert_true(job->state != MODEL_DONE || job->seals == 1);
        assert_int_equal(world_has_permit(race->scene->world, job->permit), job->permit[0] != '\0');
    }
    assert_int_equal(world_used(race->scene->world, "g"), race->live);
    assert_int_equal(live_under(race, 1, 0), race->live);
}

/* Most of what is done makes room for new jobs. */
static void renew(struct race *race)
{
    for (int i = 0; i < JOBS; i++)
        if (race->jobs[i].state == MODEL_DONE && pick(race, 8) > 0)
            race->jobs[i] = (struct model_job){.number = race->jobs[i].number + JOBS};
}

static void two_clients_race_10000_operations_against_a_model(void **state)
{
    struct race *race = base_alloc(sizeof *race);
    race->scene = *state;
    const char *seed_text = getenv("TEST_SEED");
    random_init_seed(&race->random, seed_text ? strtoull(seed_text, NULL, 10) : 20261121);
    for (int i = 0; i < JOBS; i++)
        race->jobs[i].number = i;
    for (int c = 0; c < CLIENTS; c++)
        for (int i = 0; i < SLOTS; i++) {
            struct slot *slot = &race->slots[c][i];
            *slot = (struct slot){.race = race, .client = c, .job = -1, .call = {.arg = slot}};
        }
    while (race->operations < OPERATIONS) {
        race->operations++; /* off the mark where it came to rest */
        race->is_draining = race->is_quiet = false;
        for (int i = 0; i < SLOTS; i++)
            for (int c = 0; c < CLIENTS; c++)
                go_on(&race->slots[c][i]);
        race->is_quiet = race->under_way == 0;
        world_wait(race->scene->world, &race->is_quiet);
        compare(race);
        renew(race);
    }
    print_message("%d granted, %d denied, %d elsewhere, %d adopted, %d done, %d cancelled\n",
                  race->verdicts[LEDGER_GRANTED], race->verdicts[LEDGER_DENIED],
                  race->verdicts[LEDGER_ELSEWHERE], race->verdicts[LEDGER_ADOPT], race->verdicts[LEDGER_DONE],
                  race->verdicts[LEDGER_CANCELLED]);
    assert_true(race->verdicts[LEDGER_GRANTED] > 300 && race->verdicts[LEDGER_DENIED] > 100 &&
                race->verdicts[LEDGER_ELSEWHERE] > 50 && race->verdicts[LEDGER_ADOPT] > 50 &&
                race->verdicts[LEDGER_DONE] > 50 && race->verdicts[LEDGER_CANCELLED] > 5);
    free(race);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IN_SCENE(two_clients_race_10000_operations_against_a_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
