/* The cost of libe2b alone: create, run, kill, JOBS times, CONCURRENCY at a time. Prints one JSON line with
 * the CPU per job and the memory per job in flight. Compare with floor_http against the same server.
 *
 *   e2b_jobs API_URL SANDBOX_URL JOBS CONCURRENCY [CA_FILE] */
#include "usage.h"

#include <e2b/e2b.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct bench {
    struct e2b_client *client;
    long left, active, failed, outputs;
};

struct job {
    struct bench *bench;
    struct e2b_sandbox *sandbox;
    struct e2b_call call;
};

static void begin(struct job *job);

static void finish(struct job *job, const char *what, const struct e2b_error *error)
{
    struct bench *bench = job->bench;
    if (error && bench->failed++ < 5)
        fprintf(stderr, "%s: kind %d: %s\n", what, (int)error->kind, error->message);
    e2b_sandbox_free(job->sandbox);
    job->sandbox = NULL;
    bench->active--;
    if (bench->left > 0)
        begin(job);
    else if (bench->active == 0)
        e2b_client_close(bench->client, NULL, NULL);
}

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    finish(call->arg, "kill", error);
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct job *job = call->arg;
    job->bench->outputs += output->kind == E2B_OUTPUT_STDOUT;
}

static void on_ran(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct job *job = call->arg;
    (void)exception;
    if (error)
        finish(job, "run", error);
    else
        e2b_sandbox_kill(job->bench->client, call, e2b_sandbox_id(job->sandbox), on_killed);
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct job *job = call->arg;
    job->sandbox = sandbox;
    if (error)
        finish(job, "create", error);
    else
        e2b_code_run(sandbox, call,
                     &(struct e2b_code){.text = "print('job 1')\nx = 1\nx = 1\nx = 1\nx = 1\nx = 1\nx = 1\n"},
                     on_output, on_ran);
}

static void begin(struct job *job)
{
    job->bench->left--;
    job->bench->active++;
    const struct e2b_pair metadata = {"job_id", "00000000-000000"};
    e2b_sandbox_create(job->bench->client, &job->call,
                       &(struct e2b_sandbox_options){.template_id = "code-interpreter-v1",
                                                     .live_ms = 90000,
                                                     .metadata = {.items = &metadata, .count = 1}},
                       on_created);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: e2b_jobs API_URL SANDBOX_URL JOBS CONCURRENCY [CA_FILE]\n");
        return 2;
    }
    struct bench bench = {.left = strtol(argv[3], NULL, 10)};
    long jobs = bench.left, concurrency = strtol(argv[4], NULL, 10);
    bench.client = e2b_client_new(uv_default_loop(), &(struct e2b_client_options){.api_key = "e2b_bench",
                                                                                  .api_url = argv[1],
                                                                                  .sandbox_url = argv[2],
                                                                                  .ca_file = argv[5],
                                                                                  .api_connections = 64});
    struct job *slots = calloc((size_t)concurrency, sizeof *slots);
    long idle_kib = usage_memory_kib("VmRSS:");
    struct usage start = usage_now();
    for (long i = 0; i < concurrency && bench.left > 0; i++) {
        slots[i].bench = &bench;
        slots[i].call.arg = &slots[i];
        begin(&slots[i]);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    struct usage used = usage_since(&start);
    printf("{\"name\":\"libe2b\",\"jobs\":%ld,\"concurrency\":%ld,\"failed\":%ld,\"outputs\":%ld,\"wall_s\":%"
           ".3f,"
           "\"user_us_per_job\":%.1f,\"system_us_per_job\":%.1f,\"rss_kib_per_slot\":%.1f}\n",
           jobs, concurrency, bench.failed, bench.outputs, used.wall_s, used.user_s / (double)jobs * 1e6,
           used.system_s / (double)jobs * 1e6,
           (double)(usage_memory_kib("VmHWM:") - idle_kib) / (double)concurrency);
    free(slots);
    uv_loop_close(uv_default_loop());
    return bench.failed ? 1 : 0;
}
