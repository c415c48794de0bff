/* A record's value as a job; the first byte says how it comes. Whatever it is, it is answered or has no
 * identity, and a job that is taken keeps its promises. */
#include "base/utf8.h"
#include "codec/hop.h"
#include "codec/job.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_so)
{
    if (!is_so)
        abort();
}

static void check_text(const char *text)
{
    require(!text || utf8_is_valid((struct bytes){text, strlen(text)}));
}

static void check_job(const struct job *job)
{
    require(job->code && job->code_length > 0 && strlen(job->code) == job->code_length);
    require(!job->has_input || job->run_mode == RUN_MODE_PROCESS);
    require(job->kind == JOB_CODE && job->network.mode == NETWORK_FULL);
    require(job->expires_unix_ms < 0 || job->expires_unix_ms > job->not_before_unix_ms);
    check_text(job->code);
    check_text(job->correlation_id);
    for (size_t i = 0; i < job->file_count; i++)
        require(job->files[i].path && !strstr(job->files[i].path, "/../"));
    for (size_t i = 0; i < job->env.count; i++)
        require(strncmp(job->env.items[i].name, "LD_", 3) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t how = size > 0 ? data[0] : 0;
    const struct header headers[] = {{"ce_id", {"e 1", 3}},
                                     {"content-type", {"application/cloudevents+json", 28}}};
    const struct hop hop = {
        .number = 2, .not_before_unix_ms = 5, .first_seen_unix_ms = 4, .job_id = "h", .topic = "e2b.jobs.y"};
    const struct job_record record = {.topic = "e2b.jobs.x",
                                      .headers = how & 2 ? headers + 1 : headers,
                                      .header_count = how & 3 ? 1 : 0,
                                      .value = {data + (size > 0), size > 0 ? size - 1 : 0},
                                      .hop = how & 16 ? &hop : NULL};
    const struct job_rules rules = {.cluster_id = "c",
                                    .task_type = how & 4 ? "x" : NULL,
                                    .tenant_of_topic = how & 8 ? "acme" : NULL,
                                    .max_value_bytes = 4096,
                                    .max_code_bytes = 1024,
                                    .now_unix_ms = 1769850000000}; /* 2026-01-31 */
    struct arena arena = {0};
    struct job job;
    enum code code;
    const char *message;
    enum job_verdict verdict = job_decode(&record, &rules, &arena, &job, &code, &message);
    require((verdict == JOB_ACCEPTED) == (code == CODE_NONE));
    check_text(message);
    for (size_t i = 0; i < job.warnings.count; i++)
        check_text(job.warnings.items[i]);
    if (verdict != JOB_UNREADABLE)
        require(job_is_name(job.job_id) && job_is_name(job.tenant_id));
    if (verdict == JOB_ACCEPTED)
        check_job(&job);
    arena_release(&arena);
    return 0;
}
