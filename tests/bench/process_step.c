/* What a process step costs beyond the bare command: each COUNT times, alternately, in one sandbox. Prints
 * the medians, the ninth deciles and the differences. process_step.py starts a service for it.
 *
 *   process_step API_URL SANDBOX_URL COUNT */
#include "worker/process_record.h"

#include <e2b/e2b.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define MARK "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"

enum { WARM_UP = 5, REPORT_MAX = 256 };
enum kind { BARE, STEP, KIND_COUNT };

struct bench {
    struct e2b_client *client;
    struct e2b_sandbox *sandbox;
    struct e2b_call call;
    long count, done; /* runs of either kind; the first WARM_UP pairs are not counted */
    uint64_t began_ns;
    double *ms[KIND_COUNT];
    char errors[REPORT_MAX]; /* standard error of this run */
    size_t error_length;
    int status;
};

static void run_next(struct bench *bench);

/* ---- The end ---- */

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    struct bench *bench = call->arg;
    (void)error;
    e2b_sandbox_free(bench->sandbox);
    e2b_client_close(bench->client, NULL, NULL);
}

static void stop(struct bench *bench, const char *complaint)
{
    if (complaint) {
        fprintf(stderr, "process_step: %s\n", complaint);
        bench->status = 1;
    }
    if (bench->sandbox)
        e2b_sandbox_kill(bench->client, &bench->call, e2b_sandbox_id(bench->sandbox), on_killed);
    else
        e2b_client_close(bench->client, NULL, NULL);
}

/* ---- One run ---- */

/* Every second pair the other way round. */
static enum kind kind_of(const struct bench *bench)
{
    return (bench->done / 2 + bench->done) % 2 ? STEP : BARE;
}

static bool is_well(const struct bench *bench, const struct e2b_exit *result)
{
    struct process_report report;
    size_t at;
    if (kind_of(bench) == BARE)
        return result->code == 0;
    return process_report_parse((struct bytes){bench->errors, bench->error_length}, MARK, &report, &at) &&
           report.end == PROCESS_EXITED && report.number == 0 &&
           report.out_bytes == (int64_t)strlen("hello\n");
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct bench *bench = call->arg;
    size_t room = sizeof bench->errors - bench->error_length;
    if (output->kind != E2B_OUTPUT_STDERR || output->bytes.length > room)
        return;
    memcpy(bench->errors + bench->error_length, output->bytes.data, output->bytes.length);
    bench->error_length += output->bytes.length;
}

static void on_exited(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *result)
{
    struct bench *bench = call->arg;
    double ms = (double)(uv_hrtime() - bench->began_ns) / 1e6;
    if (error || !is_well(bench, result)) {
        stop(bench, error ? error->message : "a run did not end as it should");
        return;
    }
    long pair = bench->done / 2 - WARM_UP;
    if (pair >= 0)
        bench->ms[kind_of(bench)][pair] = ms;
    bench->done++;
    run_next(bench);
}

/* The words of a step as step_process.c says them. */
static void run_next(struct bench *bench)
{
    if (bench->done == 2 * (bench->count + WARM_UP)) {
        stop(bench, NULL);
        return;
    }
    char record[64];
    (void)snprintf(record, sizeof record, ".e2b-worker/%06ld.run", bench->done);
    const char *const step[] = {"/bin/bash", "-c",    process_wrapper, "step", record, "60000", "0",
                                "0",         "32768", "32768",         MARK,   "50",   "",      "",
                                "--",        "echo",  "hello",         NULL};
    const char *const bare[] = {"echo", "hello", NULL};
    bench->error_length = 0;
    bench->began_ns = uv_hrtime();
    e2b_process_start(bench->sandbox, &bench->call,
                      &(struct e2b_process_options){.argv = kind_of(bench) == STEP ? step : bare}, on_output,
                      on_exited);
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct bench *bench = call->arg;
    bench->sandbox = sandbox;
    if (error)
        stop(bench, error->message);
    else
        run_next(bench);
}

/* ---- The numbers ---- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void print(struct bench *bench)
{
    static const char *const names[KIND_COUNT] = {"bare command", "process step"};
    double median[KIND_COUNT], decile[KIND_COUNT];
    printf("%ld of each, alternately, in one sandbox\n\n%-14s %10s %10s\n", bench->count, "", "median",
           "p90");
    for (enum kind kind = BARE; kind < KIND_COUNT; kind++) {
        qsort(bench->ms[kind], (size_t)bench->count, sizeof *bench->ms[kind], compare);
        median[kind] = bench->ms[kind][bench->count / 2];
        decile[kind] = bench->ms[kind][bench->count * 9 / 10];
        printf("%-14s %7.1f ms %7.1f ms\n", names[kind], median[kind], decile[kind]);
    }
    printf("%-14s %7.1f ms %7.1f ms\n", "difference", median[STEP] - median[BARE],
           decile[STEP] - decile[BARE]);
}

int main(int argc, char **argv)
{
    struct bench bench = {.count = argc == 4 ? strtol(argv[3], NULL, 10) : 0};
    if (bench.count < 1 || bench.count > 1000000) {
        fprintf(stderr, "usage: process_step API_URL SANDBOX_URL COUNT\n");
        return 2;
    }
    for (enum kind kind = BARE; kind < KIND_COUNT; kind++)
        bench.ms[kind] = base_alloc(sizeof *bench.ms[kind] * (size_t)bench.count);
    bench.call.arg = &bench;
    bench.client = e2b_client_new(
        uv_default_loop(),
        &(struct e2b_client_options){.api_key = "e2b_bench", .api_url = argv[1], .sandbox_url = argv[2]});
    e2b_sandbox_create(
        bench.client, &bench.call,
        &(struct e2b_sandbox_options){.template_id = "code-interpreter-v1", .live_ms = 3600000}, on_created);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    if (bench.status == 0)
        print(&bench);
    for (enum kind kind = BARE; kind < KIND_COUNT; kind++)
        free(bench.ms[kind]);
    uv_loop_close(uv_default_loop());
    return bench.status;
}
