/* Compiling a job into a plan: what all kinds have in common, and the digest. */
#include "core/plan.h"
#include "base/digest.h"
#include "core/cost.h"
#include "core/limit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { DIGEST_VERSION = 1, LIMITS_MAX = 5 };

static const char *const verb_names[] = {
    [STEP_PUT_FILES] = "put_files",
    [STEP_RUN_CODE] = "run_code",
    [STEP_RUN_PROCESS] = "run_process",
    [STEP_GET_FILES] = "get_files",
};

const char *step_verb_name(enum step_verb verb)
{
    assert((size_t)verb < ARRAY_LENGTH(verb_names));
    return verb_names[verb];
}

/* ---- Limits and bounds ---- */

/* Returns: the value under this name, or `otherwise`. */
static int64_t value_of(const struct plan_limit *values, size_t count, const char *name, int64_t otherwise)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].max;
    return otherwise;
}

static struct plan_limit limit_of(enum limit_kind kind, const char *of, int64_t max, struct arena *arena)
{
    return (struct plan_limit){limit_key(kind, of, arena), max > 0 ? max : PLAN_UNBOUNDED};
}

/* In the order in which the ledger checks them, so that a job waits at the narrowest that denies it. Tenant,
 * template and class are always there, if need be without a bound: fairness counts by them, and an operator
 * may give them one. */
static void add_limits(const struct job *job, const struct plan_rules *rules, struct arena *arena,
                       struct plan *plan)
{
    struct plan_limit *limits = ARENA_ARRAY(arena, struct plan_limit, LIMITS_MAX);
    const struct template_entry *entry = plan->placement.entry;
    int64_t tenant_max = value_of(rules->tenants, rules->tenant_count, job->tenant_id, rules->tenant_max);
    size_t count = 0;
    limits[count++] = limit_of(LIMIT_TENANT, job->tenant_id, tenant_max, arena);
    limits[count++] = limit_of(LIMIT_TEMPLATE, entry->name, entry->max_concurrent, arena);
    limits[count++] =
        limit_of(LIMIT_CLASS, priority_name(job->priority), rules->class_max[job->priority], arena);
    limits[count++] = (struct plan_limit){LIMIT_KEY_GLOBAL, rules->global_max};
    if (rules->interactive_reserve > 0)
        limits[count++] =
            limit_of(LIMIT_RESERVE, priority_name(PRIORITY_INTERACTIVE), rules->interactive_reserve, arena);
    plan->limits = limits;
    plan->limit_count = count;
    int64_t weight = value_of(rules->weights, rules->weight_count, job->tenant_id, 1);
    plan->tenant_weight = MAX(weight, 1);
}

/* The template's word, else the configuration's, is the bound; a job may only ask for less. */
static int64_t merged_bound(int64_t asked, int64_t of_template, int64_t of_rules)
{
    int64_t bound = of_template >= 0 ? of_template : of_rules;
    return asked >= 0 ? MIN(asked, bound) : bound;
}

static struct output_limits merged_outputs(const struct output_limits *asked,
                                           const struct output_limits *of_template,
                                           const struct output_limits *of_rules)
{
    return (struct output_limits){
        .stdout_bytes = merged_bound(asked->stdout_bytes, of_template->stdout_bytes, of_rules->stdout_bytes),
        .stderr_bytes = merged_bound(asked->stderr_bytes, of_template->stderr_bytes, of_rules->stderr_bytes),
        .artifact_bytes =
            merged_bound(asked->artifact_bytes, of_template->artifact_bytes, of_rules->artifact_bytes),
        .artifact_count =
            merged_bound(asked->artifact_count, of_template->artifact_count, of_rules->artifact_count),
    };
}

static int64_t merged_attempts(const struct job *job, const struct plan_rules *rules)
{
    int64_t most = MAX(rules->max_attempts, 1);
    return job->max_attempts > 0 ? MIN(job->max_attempts, most) : most;
}

static enum code merge_network(const struct job *job, struct arena *arena, const struct network **ret,
                               const char **ret_message)
{
    const struct requirements *needed = &job->requirements;
    if (needed->needs_network && job->network.mode == NETWORK_OFF) {
        *ret_message = "/requirements/network needs the network that /network turns off";
        return CODE_INVALID_JOB;
    }
    if (needed->forbids_network && job->network.mode == NETWORK_RULES) {
        *ret_message = "/requirements/network forbids the network that /network has rules for";
        return CODE_INVALID_JOB;
    }
    struct network *off = ARENA_NEW(arena, struct network);
    *off = (struct network){.mode = NETWORK_OFF};
    *ret = needed->forbids_network ? off : &job->network;
    return CODE_NONE;
}

/* ---- Digest ---- */

static void add_texts(struct digest *digest, const struct text_list *texts)
{
    digest_add_int(digest, (int64_t)texts->count);
    for (size_t i = 0; i < texts->count; i++)
        digest_add_text(digest, texts->items[i]);
}

static void add_pairs(struct digest *digest, const struct pair_list *pairs)
{
    digest_add_int(digest, (int64_t)pairs->count);
    for (size_t i = 0; i < pairs->count; i++) {
        digest_add_text(digest, pairs->items[i].name);
        digest_add_text(digest, pairs->items[i].value);
    }
}

static void add_files(struct digest *digest, const struct put_files *put)
{
    digest_add_int(digest, (int64_t)put->count);
    for (size_t i = 0; i < put->count; i++) {
        digest_add_text(digest, put->items[i].path);
        digest_add(digest, put->items[i].content);
        digest_add_int(digest, put->items[i].mode);
    }
}

static void add_process(struct digest *digest, const struct process_spec *process)
{
    add_texts(digest, &process->argv);
    digest_add_text(digest, process->cwd);
    digest_add_int(digest, process->input != NULL);
    digest_add(digest, (struct bytes){.data = process->input, .length = process->input_length});
    add_pairs(digest, &process->env);
    digest_add_int(digest, process->cpu_percent);
    digest_add_int(digest, process->has_rich_results);
}

static void add_step(struct digest *digest, const struct step *step)
{
    digest_add_text(digest, step->name);
    digest_add_int(digest, step->timeout_ms);
    digest_add_int(digest, step->continue_on_failure);
    digest_add_text(digest, code_name(step->on_failure));
    digest_add_text(digest, code_name(step->on_timeout));
    digest_add_text(digest, step_verb_name(step->verb));
    switch (step->verb) {
    case STEP_PUT_FILES:
        add_files(digest, step->as.put);
        break;
    case STEP_RUN_CODE:
        digest_add_text(digest, step->as.code->text);
        digest_add_text(digest, step->as.code->language);
        break;
    case STEP_RUN_PROCESS:
        add_process(digest, step->as.process);
        break;
    case STEP_GET_FILES:
        add_texts(digest, step->as.get->globs);
        digest_add_int(digest, step->as.get->max_bytes);
        digest_add_int(digest, step->as.get->max_count);
        break;
    }
}

/* Over everything that decides what is executed and how, and what is kept of it; not over limits, weights,
 * prices and attempts, which may change while it runs. */
static uint64_t plan_digest(const struct plan *plan)
{
    struct digest *digest = digest_new();
    digest_add_int(digest, DIGEST_VERSION);
    digest_add_text(digest, plan->placement.entry->template_id);
    add_pairs(digest, &plan->sandbox_env);
    digest_add_int(digest, (int64_t)plan->network->mode);
    add_texts(digest, &plan->network->allow);
    add_texts(digest, &plan->network->deny);
    digest_add_int(digest, (int64_t)plan->run_mode);
    digest_add_int(digest, plan->main_ms);
    digest_add_int(digest, plan->final_ms);
    digest_add_int(digest, plan->outputs.stdout_bytes);
    digest_add_int(digest, plan->outputs.stderr_bytes);
    digest_add_int(digest, (int64_t)plan->final_from);
    digest_add_int(digest, (int64_t)plan->step_count);
    for (size_t i = 0; i < plan->step_count; i++)
        add_step(digest, &plan->steps[i]);
    return digest_finish64(digest);
}

/* ---- The whole ---- */

static enum code plan_kind(const struct job *job, struct arena *arena, struct plan *plan,
                           const char **ret_message)
{
    switch (job->kind) {
    case JOB_CODE:
        return plan_code(job, arena, plan, ret_message);
    case JOB_COMMANDS:
    case JOB_AGENT:
        break;
    }
    *ret_message =
        arena_printf(arena, "/kind: this version runs jobs of kind code, not %s", job_kind_name(job->kind));
    return CODE_UNSUPPORTED_FEATURE;
}

enum code plan_compile(const struct job *job, const struct catalog *catalog, const struct plan_rules *rules,
                       struct arena *arena, struct plan *ret, const char **ret_message)
{
    struct plan plan = {.max_attempts = merged_attempts(job, rules)};
    enum code code = catalog_choose(catalog, job, arena, &plan.placement, ret_message);
    if (code == CODE_NONE)
        code = merge_network(job, arena, &plan.network, ret_message);
    if (code != CODE_NONE)
        return code;
    plan.outputs = merged_outputs(&job->limits, &plan.placement.entry->limits, &rules->outputs);
    add_limits(job, rules, arena, &plan);
    code = plan_kind(job, arena, &plan, ret_message);
    if (code != CODE_NONE)
        return code;
    plan.digest = plan_digest(&plan);
    *ret = plan;
    return CODE_NONE;
}

int64_t plan_highest_cost(const struct plan *plan)
{
    bool has_final = plan->step_count > plan->final_from;
    return cost_nano_usd(plan->placement.entry, plan->main_ms + (has_final ? plan->final_ms : 0));
}

void plan_digest_text(const struct plan *plan, char text[PLAN_DIGEST_SIZE])
{
    base_hex_text(plan->digest, PLAN_DIGEST_SIZE - 1, text);
}
