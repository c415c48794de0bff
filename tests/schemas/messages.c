/* Writes what the codec makes of many cases into a directory, one file per message, named <type>.<case>.json:
 * for a validator that is not ours. Also the schema of the configuration and a configuration in force. */
#include "codec/control.h"
#include "codec/event.h"
#include "codec/job.h"
#include "codec/result.h"
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void save(const char *directory, const char *name, struct buffer *text)
{
    CLEANUP(base_freep) char *path = base_printf("%s/%s", directory, name);
    FILE *file = fopen(path, "we");
    if (!file || fwrite(text->data, 1, text->length, file) != text->length || fclose(file) != 0)
        base_die("cannot write %s", path);
    buffer_release(text);
}

static const struct output_limits limits = {65536, 65536, 524288, 16};
static struct template_entry entry = {
    .name = "data_analysis", .template_id = "code-interpreter-v1", .memory_mb = 1024, .cpu_milli = 1500};
static struct plan plan = {.placement = {.entry = &entry, .reason = "task type data_analysis"},
                           .run_mode = RUN_MODE_PROCESS};
static struct pair labels[] = {{"team", "bl\xc3\xbc"}, {"run", "7"}};
static struct job full_job = {.job_id = "j1",
                              .tenant_id = "acme",
                              .key = "acme/j1",
                              .task_type = "data_analysis",
                              .labels = {labels, 2},
                              .correlation_id = "c1",
                              .batch_id = "b1",
                              .from = {.topic = "e2b.jobs.data_analysis", .partition = 2, .offset = 7}};
static struct job bare_job = {
    .job_id = "j2", .tenant_id = "default", .key = "default/j2", .from = {.topic = "t"}};

static void save_result(const char *directory, const char *name, const struct job *job,
                        const struct plan *its_plan, const struct outcome *outcome, size_t max_bytes)
{
    struct buffer out = {0};
    struct result_source source = {.job = job,
                                   .plan = its_plan,
                                   .outcome = outcome,
                                   .worker_id = "worker-1",
                                   .worker_version = "0.1.0",
                                   .price_version = "e2b-2026-08"};
    (void)result_encode(&source, max_bytes, &out);
    save(directory, name, &out);
}

static void fill(struct outcome *outcome)
{
    static struct step_report steps[] = {
        {.name = "files", .exit_code = -1, .ms = 3},
        {.name = "run", .code = CODE_RUNTIME_ERROR, .exit_code = 1, .ms = 120}};
    static const char bundle[] = "{\"text\":\"<Figure>\",\"png\":\"iVBORw0KGgo=\",\"is_main_result\":false}";
    static const char printed[] = "line\n\xff\x01";
    capture_append(&outcome->out, (struct bytes){printed, strlen(printed)});
    outcome_add_result(outcome, (struct bytes){bundle, strlen(bundle)});
    outcome->steps = steps;
    outcome->step_count = 2;
    *outcome_attempt(outcome) =
        (struct attempt_report){.n = 1, .sandbox_id = "sb1", .code = CODE_SANDBOX_LOST, .ms = 9};
    outcome_count_attempt(outcome);
    *outcome_attempt(outcome) =
        (struct attempt_report){.n = 2, .ms = 800, .nano_usd = 40000, .is_adopted = true};
    outcome_count_attempt(outcome);
    outcome->timing = (struct timing){1, 2, 3, 4, 5, 6, 21, 1700000000000, 1700000000021};
    outcome->usage = (struct usage){12, 4096, 0, "sandbox"};
    outcome->nano_usd = 40000;
    outcome->sandbox_ms = 800;
    struct buffer content = {0};
    buffer_append_text(&content, "a,b\n1,2\n");
    if (!outcome_add_artifact(outcome, "out/table.csv", &content, limits.artifact_bytes,
                              limits.artifact_count))
        base_die("the artifact does not fit");
    outcome_warn(outcome, "something odd");
}

static void save_results(const char *directory)
{
    for (int code = CODE_NONE; code < CODE_COUNT; code++) {
        CLEANUP(outcome_release) struct outcome outcome;
        outcome_init(&outcome, &limits);
        fill(&outcome);
        if (code != CODE_NONE)
            outcome_blame(&outcome, (enum code)code, "run", "what happened");
        if (code == CODE_RUNTIME_ERROR)
            outcome_set_exception(&outcome, "ModuleNotFoundError", "No module named 'x'", "Traceback");
        if (code == CODE_SANDBOX_CREATE_FAILED)
            outcome_blame_provider(&outcome, 503, "unavailable");
        outcome.exit_code = code == CODE_NONZERO_EXIT ? 1 : -1;
        CLEANUP(base_freep) char *name = base_printf("job.finished.v1.code-%d.json", code);
        save_result(directory, name, &full_job, &plan, &outcome, 65536);
    }
    CLEANUP(outcome_release) struct outcome rejected, cut;
    outcome_init(&rejected, &limits);
    outcome_blame(&rejected, CODE_INVALID_JOB, "", "/code: is missing");
    save_result(directory, "job.finished.v1.bare.json", &bare_job, NULL, &rejected, 65536);
    outcome_init(&cut, &limits);
    fill(&cut);
    static char large[100000];
    memset(large, 'x', sizeof large);
    capture_append(&cut.out, (struct bytes){large, sizeof large});
    save_result(directory, "job.finished.v1.cut.json", &full_job, &plan, &cut, 4096);
}

static void save_events(const char *directory)
{
    const struct job *jobs[] = {&full_job, &bare_job};
    const struct event_waiting waiting[] = {
        {"limit", "19 of 19 places are taken", "global", 19, 19, 0, 100, 1000},
        {"elsewhere", "the worker worker-2 has this job", NULL, -1, -1, -1, 100, -1}};
    for (size_t i = 0; i < ARRAY_LENGTH(jobs); i++) {
        struct buffer out = {0};
        char name[64];
        event_started(jobs[i], &(struct event_started){"worker-1", i ? NULL : "sb1", &plan, 1}, &out);
        (void)snprintf(name, sizeof name, "job.started.v1.%zu.json", i);
        save(directory, name, &out);
        event_waiting(jobs[i], &waiting[i], &out);
        (void)snprintf(name, sizeof name, "job.waiting.v1.%zu.json", i);
        save(directory, name, &out);
        event_retrying(jobs[i],
                       &(struct event_retrying){2, 3, 1500, CODE_SANDBOX_LOST, "the sandbox is gone"}, &out);
        (void)snprintf(name, sizeof name, "job.retrying.v1.%zu.json", i);
        save(directory, name, &out);
        event_duplicate(jobs[i],
                        &(struct event_duplicate){i ? CODE_NONE : CODE_JOB_ID_CONFLICT,
                                                  i ? "succeeded" : NULL, i ? 3 : -1, i ? 4 : -1},
                        &out);
        (void)snprintf(name, sizeof name, "job.duplicate.v1.%zu.json", i);
        save(directory, name, &out);
    }
}

static void save_reaped(const char *directory)
{
    struct buffer out = {0};
    event_reaped(&(struct event_reaped){.worker_id = "worker-2",
                                        .sandbox_id = "sb1",
                                        .permit = "p1",
                                        .job_id = "j1",
                                        .tenant_id = "acme",
                                        .template_name = "data_analysis",
                                        .template_id = "code-interpreter-v1",
                                        .reason = "worker_dead",
                                        .age_ms = 74210,
                                        .nano_usd = 2411825,
                                        .cpu_milli = 1500,
                                        .memory_mb = 1024,
                                        .price_version = "e2b-2026-08"},
                 &out);
    save(directory, "sandbox.reaped.v1.full.json", &out);
    event_reaped(&(struct event_reaped){.sandbox_id = "sb1", .permit = "p1", .reason = "no_permit"}, &out);
    save(directory, "sandbox.reaped.v1.bare.json", &out);
}

static void save_stats(const char *directory)
{
    struct histogram histogram = {0};
    struct buffer out = {0};
    for (int64_t ms = 1; ms < 100000; ms *= 3)
        histogram_add(&histogram, ms);
    const struct stats_group groups[] = {{"data_analysis", 3, 4}};
    const struct stats_permit permits[] = {{"global", 3, 19}, {"tenant:acme", 1, -1}};
    struct worker_stats stats = {.worker_id = "worker-1",
                                 .worker_version = "0.1.0",
                                 .deployment = "default",
                                 .mode = "simulation",
                                 .started_unix_ms = 1700000000000,
                                 .now_unix_ms = 1700000010000,
                                 .interval_ms = 10000};
    event_stats(&stats, &out);
    save(directory, "worker.stats.v1.empty.json", &out);
    stats.templates = stats.task_types = groups;
    stats.template_count = stats.task_type_count = 1;
    stats.permits = permits;
    stats.permit_count = 2;
    stats.by_status[STATUS_SUCCEEDED] = 5;
    stats.by_status[STATUS_FAILED] = 2;
    stats.by_code[CODE_RUNTIME_ERROR] = 1;
    stats.by_code[CODE_SANDBOX_LOST] = 1;
    stats.queued_ms = stats.permit_wait_ms = stats.create_ms = stats.run_ms = stats.total_ms = &histogram;
    event_stats(&stats, &out);
    save(directory, "worker.stats.v1.full.json", &out);
}

static void save_controls(const char *directory)
{
    struct buffer out = {0};
    control_encode(&(struct control){CONTROL_CANCEL, "j1", "acme"}, &out);
    save(directory, "control.v1.cancel.json", &out);
    control_encode(&(struct control){CONTROL_CANCEL, "j2", NULL}, &out);
    save(directory, "control.v1.default.json", &out);
}

static void save_config(const char *directory)
{
    struct buffer out = {0};
    struct arena arena;
    struct config config;
    struct error error;
    const char *const sets[] = {"limits.tenants.acme=3", "kafka.properties.security.protocol=SSL"};
    arena_init(&arena, 0);
    config_schema(&out);
    save(directory, "config.v1.schema.json", &out);
    config_table(&out);
    save(directory, "config.md", &out);
    if (!config_load(&(struct config_input){.sets = sets, .set_count = 2}, &arena, &config, &error))
        base_die("%s", error.text);
    config_print(&config, &out);
    save(directory, "config.v1.printed.json", &out);
    arena_release(&arena);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    save_results(argv[1]);
    save_events(argv[1]);
    save_reaped(argv[1]);
    save_stats(argv[1]);
    save_controls(argv[1]);
    save_config(argv[1]);
    return 0;
}
