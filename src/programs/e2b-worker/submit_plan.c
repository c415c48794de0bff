/* submit --dry-run: what a worker would do, for people and as JSON. */
#include "submit.h"

#include "codec/writer.h"
#include "core/limit.h"
#include "show.h"

#include <inttypes.h>
#include <stdio.h>

static void print_text(struct buffer *out)
{
    (void)fwrite(out->data, 1, out->length, stdout);
    buffer_release(out);
}

/* ---- for people ---- */

static void show_step(const struct plan *plan, size_t i, struct buffer *out)
{
    const struct step *step = &plan->steps[i];
    buffer_append_format(out, "  %-9s %zu. %-10s %-12s at most ",
                         i == 0                  ? "steps"
                         : i == plan->final_from ? "finally"
                                                 : "",
                         i + 1, step->name, step_verb_name(step->verb));
    show_duration(step->timeout_ms, out);
    if (step->verb == STEP_PUT_FILES)
        buffer_append_format(out, ", %zu file%s", step->as.put->count, step->as.put->count == 1 ? "" : "s");
    if (step->verb == STEP_RUN_CODE)
        buffer_append_format(out, ", %s", step->as.code->language);
    if (step->verb == STEP_RUN_PROCESS && step->as.process->argv.count > 0)
        buffer_append_format(out, ", %s", step->as.process->argv.items[0]);
    if (step->continue_on_failure)
        buffer_append_text(out, ", goes on after a failure");
    buffer_append_byte(out, '\n');
}

static void show_limits(const struct plan *plan, struct buffer *out)
{
    struct arena names;
    arena_init(&names, 256);
    buffer_append_text(out, "  limits    ");
    for (size_t i = 0; i < plan->limit_count; i++) {
        const struct plan_limit *limit = &plan->limits[i];
        buffer_append_format(out, "%s%s", i > 0 ? "  " : "", limit_name(limit->name, &names));
        if (limit->max != PLAN_UNBOUNDED)
            buffer_append_format(out, "=%lld", (long long)limit->max);
    }
    arena_release(&names);
    buffer_append_format(out, "\n  output    ");
    buffer_append_text(out, "stdout ");
    show_size(plan->outputs.stdout_bytes, out);
    buffer_append_text(out, ", stderr ");
    show_size(plan->outputs.stderr_bytes, out);
    buffer_append_format(out, ", %lld artifacts of ", (long long)plan->outputs.artifact_count);
    show_size(plan->outputs.artifact_bytes, out);
    buffer_append_byte(out, '\n');
}

static void show_plan(const struct submission *submission, const struct config *config, struct buffer *out)
{
    const struct plan *plan = &submission->plan;
    const struct template_entry *entry = plan->placement.entry;
    buffer_append_format(out, "job %s: what a worker would do (nothing was sent)\n", submission->job_id);
    buffer_append_format(out, "  topic     %s, key %s, tenant %s, %s\n", submission->topic, submission->key,
                         submission->tenant_id, priority_name(submission->job.priority));
    buffer_append_format(out, "  template  %s: %s\n", entry->name, plan->placement.reason);
    buffer_append_format(
        out, "            E2B's %s, %lld.%03lld vCPU, %lld MB, mode %s%s\n", entry->template_id,
        (long long)entry->cpu_milli / 1000, (long long)entry->cpu_milli % 1000, (long long)entry->memory_mb,
        run_mode_name(plan->run_mode), config->mode == MODE_SIMULATION ? ", in simulation (e2b-local)" : "");
    for (size_t i = 0; i < plan->step_count; i++)
        show_step(plan, i, out);
    buffer_append_text(out, "  clocks    ");
    show_duration(plan->main_ms, out);
    buffer_append_text(out, " for the steps, ");
    show_duration(plan->final_ms, out);
    buffer_append_format(out, " for what is done finally, %lld attempts at most\n",
                         (long long)plan->max_attempts);
    show_limits(plan, out);
    buffer_append_text(out, "  cost      at most ");
    show_cost(plan_highest_cost(plan), out);
    buffer_append_format(out, " an attempt (prices %s)\n  digest    %016" PRIx64 "\n",
                         config->catalog.price_version, plan->digest);
    for (size_t i = 0; i < submission->job.warnings.count; i++)
        buffer_append_format(out, "  warning   %s\n", submission->job.warnings.items[i]);
}

/* ---- as JSON ---- */

static void write_placement(struct writer *writer, const struct plan *plan)
{
    const struct template_entry *entry = plan->placement.entry;
    writer_key(writer, "placement");
    writer_begin_object(writer);
    writer_field_text(writer, "template", entry->name);
    writer_field_text(writer, "template_id", entry->template_id);
    writer_key(writer, "vcpu");
    writer_milli(writer, entry->cpu_milli);
    writer_field_int(writer, "memory_mb", entry->memory_mb);
    writer_field_text(writer, "reason", plan->placement.reason);
    writer_end_object(writer);
}

static void write_steps(struct writer *writer, const struct plan *plan)
{
    writer_key(writer, "steps");
    writer_begin_array(writer);
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct step *step = &plan->steps[i];
        writer_begin_object(writer);
        writer_field_text(writer, "name", step->name);
        writer_field_text(writer, "verb", step_verb_name(step->verb));
        writer_field_text(writer, "section", i < plan->final_from ? "main" : "final");
        writer_field_int(writer, "timeout_ms", step->timeout_ms);
        writer_field_bool(writer, "continue_on_failure", step->continue_on_failure);
        writer_end_object(writer);
    }
    writer_end_array(writer);
}

static void write_limits(struct writer *writer, const struct plan *plan)
{
    struct arena names;
    arena_init(&names, 256);
    writer_key(writer, "limits");
    writer_begin_array(writer);
    for (size_t i = 0; i < plan->limit_count; i++) {
        writer_begin_object(writer);
        writer_field_text(writer, "name", limit_name(plan->limits[i].name, &names));
        writer_field_count(writer, "max", plan->limits[i].max == PLAN_UNBOUNDED ? -1 : plan->limits[i].max);
        writer_end_object(writer);
    }
    writer_end_array(writer);
    arena_release(&names);
}

static void write_plan(const struct submission *submission, const struct config *config, struct buffer *out)
{
    const struct plan *plan = &submission->plan;
    struct writer writer = {.out = out};
    char digest[20];
    (void)snprintf(digest, sizeof digest, "%016" PRIx64, plan->digest);
    writer_begin_object(&writer);
    writer_field_text(&writer, "job_id", submission->job_id);
    writer_field_text(&writer, "tenant_id", submission->tenant_id);
    writer_field_text(&writer, "topic", submission->topic);
    writer_field_text(&writer, "key", submission->key);
    write_placement(&writer, plan);
    writer_field_text(&writer, "run_mode", run_mode_name(plan->run_mode));
    write_steps(&writer, plan);
    writer_field_int(&writer, "main_ms", plan->main_ms);
    writer_field_int(&writer, "final_ms", plan->final_ms);
    writer_field_int(&writer, "max_attempts", plan->max_attempts);
    write_limits(&writer, plan);
    writer_field_int(&writer, "highest_cost_nano_usd", plan_highest_cost(plan));
    writer_field_text(&writer, "price_version", config->catalog.price_version);
    writer_field_text(&writer, "digest", digest);
    writer_key(&writer, "warnings");
    writer_begin_array(&writer);
    for (size_t i = 0; i < submission->job.warnings.count; i++)
        writer_text(&writer, submission->job.warnings.items[i]);
    writer_end_array(&writer);
    writer_end_object(&writer);
    buffer_append_byte(out, '\n');
}

void submit_print_plan(const struct submission *submission, const struct config *config, bool is_json)
{
    struct buffer out = {0};
    if (is_json)
        write_plan(submission, config, &out);
    else
        show_plan(submission, config, &out);
    print_text(&out);
}
