/* The fields of a job: one table, a reader for each that needs one, and what concerns several at once. */
#include "codec/job_fields.h"
#include "codec/job.h"

#include <math.h>
#include <string.h>

enum {
    ARGS_MAX = 256,
    ARG_BYTES_MAX = 128 * 1024 - 1, /* what Linux takes for one argument */
    INPUT_BYTES_MAX = 1024 * 1024,
    ENV_MAX = 64,
    ENV_NAME_BYTES_MAX = 128,
    ENV_VALUE_BYTES_MAX = 4096,
    LABELS_MAX = 16,
    LABEL_NAME_BYTES_MAX = 64,
    LABEL_VALUE_BYTES_MAX = 256,
    PACKAGES_MAX = 64,
    ID_BYTES_MAX = 256,
    ATTEMPTS_MAX = 10,
};
static const int64_t LONGEST_MS = 24LL * 60 * 60 * 1000;
static const int64_t OUTPUT_BYTES_MAX = 1LL << 30; /* the template and the worker's own bounds are lower */

static bool already_read(struct reader *reader, json_t *value, void *target)
{
    (void)reader, (void)value, (void)target;
    return true;
}

static bool read_kind(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"code", "commands", "agent"};
    size_t index;
    if (!reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_INVALID_JOB, &index))
        return false;
    if (!job_kind_parse(names[index], &((struct job_draft *)target)->job->kind))
        return reader_fail(reader, CODE_INVALID_JOB, "is unknown");
    if (index != 0)
        reader_unsupported(reader, "a kind other than \"code\"");
    return true;
}

static bool read_priority(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"interactive", "standard", "batch"};
    size_t index;
    return reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_INVALID_JOB, &index) &&
           priority_parse(names[index], &((struct job_draft *)target)->job->priority);
}

static bool read_run_mode(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"interpreter", "process"};
    size_t index;
    return reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_INVALID_JOB, &index) &&
           run_mode_parse(names[index], &((struct job_draft *)target)->run_mode);
}

static bool read_language(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"python", "javascript", "typescript", "bash", "r", "java"};
    size_t index;
    if (json_is_string(value) &&
        language_parse(json_string_value(value), &((struct job_draft *)target)->job->language))
        return true;
    return reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_UNSUPPORTED_LANGUAGE, &index);
}

static bool read_code(struct reader *reader, json_t *value, void *target)
{
    struct job_draft *draft = target;
    if (!json_is_string(value))
        return reader_mismatch(reader, value, "a string");
    const char *code = json_string_value(value);
    size_t length = json_string_length(value);
    if (memchr(code, '\0', length))
        return reader_fail(reader, CODE_INVALID_JOB,
                           "contains the character U+0000, which no text may hold; remove it");
    if (length > draft->max_code_bytes)
        return reader_fail(reader, CODE_PAYLOAD_TOO_LARGE, "is %zu bytes long; at most %zu are allowed",
                           length, draft->max_code_bytes);
    struct text_list removed;
    draft->job->code = code_clean(code, length, reader->arena, &draft->job->code_length, &removed);
    draft->has_code = true;
    for (size_t i = 0; i < removed.count; i++)
        if (reader->warning_count < READER_WARNINGS_MAX)
            reader->warnings[reader->warning_count++] = removed.items[i];
    return true;
}

static bool read_args(struct reader *reader, json_t *value, void *target)
{
    struct text_list args = {0};
    if (!reader_array(reader, value, ARGS_MAX))
        return false;
    args.items = ARENA_ARRAY(reader->arena, const char *, json_array_size(value));
    for (; args.count < json_array_size(value); args.count++) {
        struct bytes text;
        reader_enter(reader, NULL, args.count);
        if (!reader_text(reader, json_array_get(value, args.count), ARG_BYTES_MAX, &text))
            return false;
        args.items[args.count] = text.data;
        reader_leave(reader);
    }
    ((struct job_draft *)target)->job->args = args;
    return true;
}

static bool read_stdin(struct reader *reader, json_t *value, void *target)
{
    struct job *job = ((struct job_draft *)target)->job;
    struct bytes text;
    if (!reader_text(reader, value, INPUT_BYTES_MAX, &text))
        return false;
    job->input = text.data;
    job->input_length = text.length;
    job->has_input = true;
    return true;
}

/* Whether it may be set: these decide which programs and libraries run, also those of the sandbox's own. */
static bool check_env_name(struct reader *reader, const char *name)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    size_t length = strlen(name);
    bool begins_well = length > 0 && strchr(letters, *name) && !strchr("0123456789", *name);
    if (!begins_well || length > ENV_NAME_BYTES_MAX || strspn(name, letters) != length)
        return reader_fail(reader, CODE_INVALID_JOB,
                           "is no name of an environment variable: letters, digits and _ are allowed, "
                           "not beginning with a digit, at most %d",
                           ENV_NAME_BYTES_MAX);
    if (strcmp(name, "PATH") == 0 || strncmp(name, "LD_", 3) == 0)
        return reader_fail(reader, CODE_INVALID_JOB, "may not be set by a job (PATH and LD_* are reserved)");
    return true;
}

static bool read_env(struct reader *reader, json_t *value, void *target)
{
    if (!json_is_object(value))
        return reader_mismatch(reader, value, "an object of strings");
    if (json_object_size(value) > ENV_MAX)
        return reader_fail(reader, CODE_INVALID_JOB, "has %zu members; at most %d are allowed",
                           json_object_size(value), ENV_MAX);
    struct pair_list env = {.items = ARENA_ARRAY(reader->arena, struct pair, json_object_size(value))};
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        struct bytes text;
        reader_enter(reader, name, 0);
        if (!check_env_name(reader, name) || !reader_text(reader, member, ENV_VALUE_BYTES_MAX, &text))
            return false;
        env.items[env.count++] = (struct pair){arena_strdup(reader->arena, name), text.data};
        reader_leave(reader);
    }
    ((struct job_draft *)target)->job->env = env;
    return true;
}

static bool read_labels(struct reader *reader, json_t *value, void *target)
{
    if (!json_is_object(value))
        return reader_mismatch(reader, value, "an object of strings");
    if (json_object_size(value) > LABELS_MAX)
        return reader_fail(reader, CODE_INVALID_JOB, "has %zu members; at most %d are allowed",
                           json_object_size(value), LABELS_MAX);
    struct pair_list labels = {.items = ARENA_ARRAY(reader->arena, struct pair, json_object_size(value))};
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        const char *text;
        reader_enter(reader, name, 0);
        if (*name == '\0' || strlen(name) > LABEL_NAME_BYTES_MAX)
            return reader_fail(reader, CODE_INVALID_JOB, "a label's name has 1 to %d bytes",
                               LABEL_NAME_BYTES_MAX);
        if (!reader_line(reader, member, LABEL_VALUE_BYTES_MAX, &text))
            return false;
        labels.items[labels.count++] = (struct pair){arena_strdup(reader->arena, name), text};
        reader_leave(reader);
    }
    ((struct job_draft *)target)->job->labels = labels;
    return true;
}

static bool read_cpu_count(struct reader *reader, json_t *value, void *target)
{
    double cores = json_is_number(value) ? json_number_value(value) : 0;
    if (!(cores >= 0.001 && cores <= 1024))
        return reader_mismatch(reader, value, "a number of cores from 0.001 to 1024");
    ((struct requirements *)target)->cpu_milli = (int64_t)ceil(cores * 1000 - 1e-6);
    return true;
}

static bool read_packages(struct reader *reader, json_t *value, void *target)
{
    return reader_lines(reader, value, PACKAGES_MAX, 128, &((struct requirements *)target)->packages);
}

static bool read_needed_network(struct reader *reader, json_t *value, void *target)
{
    struct requirements *requirements = target;
    static const char *const names[] = {"full", "off"};
    size_t index = json_is_false(value);
    if (!json_is_boolean(value) && !json_is_string(value))
        return reader_mismatch(reader, value, "true, false, \"full\" or \"off\"");
    if (json_is_string(value) &&
        !reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_INVALID_JOB, &index))
        return false;
    requirements->needs_network = index == 0;
    requirements->forbids_network = index == 1;
    if (index == 1)
        reader_unsupported(reader, "a sandbox without network");
    return true;
}

static bool read_requirements(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {"memory_mb", FIELD_INTEGER, offsetof(struct requirements, memory_mb), .min = 1, .max = 1024 * 1024},
        {.name = "cpu_count", .read = read_cpu_count},
        {.name = "packages", .read = read_packages},
        {"timeout_ms", FIELD_INTEGER, offsetof(struct requirements, timeout_ms), .min = 1, .max = LONGEST_MS},
        {.name = "network", .read = read_needed_network},
    };
    struct requirements *requirements = &((struct job_draft *)target)->job->requirements;
    requirements->is_given = true;
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields), requirements);
}

static bool read_limits(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {"stdout_bytes", FIELD_INTEGER, offsetof(struct output_limits, stdout_bytes),
         .max = OUTPUT_BYTES_MAX},
        {"stderr_bytes", FIELD_INTEGER, offsetof(struct output_limits, stderr_bytes),
         .max = OUTPUT_BYTES_MAX},
        {"artifact_bytes", FIELD_INTEGER, offsetof(struct output_limits, artifact_bytes),
         .max = OUTPUT_BYTES_MAX},
        {"artifact_count", FIELD_INTEGER, offsetof(struct output_limits, artifact_count), .max = 10000},
    };
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields),
                         &((struct job_draft *)target)->job->limits);
}

static bool read_after_start(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"always", "never"};
    size_t index;
    if (!reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_INVALID_JOB, &index))
        return false;
    ((struct job *)target)->never_after_start = index == 1;
    return true;
}

static bool read_retry(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {"max_attempts", FIELD_INTEGER, offsetof(struct job, max_attempts), .min = 1, .max = ATTEMPTS_MAX},
        {.name = "after_start", .read = read_after_start},
    };
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields), ((struct job_draft *)target)->job);
}

static bool read_created(struct reader *reader, json_t *value, void *target)
{
    return reader_time(reader, value, &((struct job_draft *)target)->job->created_unix_ms);
}

static bool read_expires(struct reader *reader, json_t *value, void *target)
{
    return reader_time(reader, value, &((struct job_draft *)target)->job->expires_unix_ms);
}

/* The wait is made of copies of the record, one an hour at least. */
static bool read_not_before(struct reader *reader, json_t *value, void *target)
{
    const struct job_draft *draft = target;
    int64_t *not_before = &draft->job->not_before_unix_ms;
    if (!reader_time(reader, value, not_before))
        return false;
    if (*not_before - draft->now_unix_ms > JOB_NOT_BEFORE_MAX_MS)
        return reader_fail(reader, CODE_INVALID_JOB, "lies more than 31 days ahead; submit the job later");
    return true;
}

static bool read_template(struct reader *reader, json_t *value, void *target)
{
    return reader_name(reader, value, &((struct job_draft *)target)->job->template_name);
}

static bool read_timeout(struct reader *reader, json_t *value, void *target)
{
    return reader_integer(reader, value, 1, LONGEST_MS, &((struct job_draft *)target)->job->timeout_ms);
}

static bool read_correlation_id(struct reader *reader, json_t *value, void *target)
{
    return reader_line(reader, value, ID_BYTES_MAX, &((struct job_draft *)target)->job->correlation_id);
}

static const struct field job_fields[] = {
    {.name = "job_id", .read = already_read},
    {.name = "tenant_id", .read = already_read},
    {.name = "kind", .read = read_kind},
    {"task_type", FIELD_NAME, offsetof(struct job_draft, task_type), .is_required = false},
    {.name = "priority", .read = read_priority},
    {.name = "created_at", .read = read_created},
    {.name = "expires_at", .read = read_expires},
    {.name = "not_before", .read = read_not_before},
    {.name = "language", .read = read_language},
    {.name = "code", .read = read_code},
    {.name = "commands", .read = job_commands_read},
    {.name = "agent", .read = job_agent_read},
    {.name = "args", .read = read_args},
    {.name = "stdin", .read = read_stdin},
    {.name = "env", .read = read_env},
    {.name = "files", .read = job_files_read},
    {.name = "artifacts", .read = job_artifacts_read},
    {.name = "secrets", .read = job_secrets_read},
    {.name = "template", .read = read_template},
    {.name = "requirements", .read = read_requirements},
    {.name = "timeout_ms", .read = read_timeout},
    {.name = "run_mode", .read = read_run_mode},
    {.name = "limits", .read = read_limits},
    {.name = "network", .read = job_network_read},
    {.name = "session", .read = job_session_read},
    {.name = "stream", .read = job_stream_read},
    {.name = "retry", .read = read_retry},
    {.name = "cache", .read = job_cache_read},
    {.name = "validation", .read = job_validation_read},
    {.name = "labels", .read = read_labels},
    {.name = "correlation_id", .read = read_correlation_id},
    {.name = "batch_id", .read = job_batch_id_read},
    {.name = "batch_size", .read = job_batch_size_read},
};

static bool fail_at(struct reader *reader, const char *name, const char *sentence)
{
    reader_enter(reader, name, 0);
    (void)reader_fail(reader, CODE_INVALID_JOB, "%s", sentence);
    reader_leave(reader);
    return false;
}

static bool fail_missing(struct reader *reader, const json_t *root, const char *name)
{
    reader_enter(reader, name, 0);
    (void)reader_fail(reader, CODE_INVALID_JOB, "is missing: a job of this kind needs it%s",
                      reader_misspelt(reader, root, job_fields, ARRAY_LENGTH(job_fields), name));
    reader_leave(reader);
    return false;
}

/* Each kind has its own body, and no other's. */
static bool check_body(struct reader *reader, const json_t *root, const struct job_draft *draft)
{
    const struct {
        enum job_kind kind;
        const char *name;
        bool is_given;
    } bodies[] = {{JOB_CODE, "code", draft->has_code},
                  {JOB_COMMANDS, "commands", draft->has_commands},
                  {JOB_AGENT, "agent", draft->has_agent}};
    for (size_t i = 0; i < ARRAY_LENGTH(bodies); i++) {
        bool is_own = bodies[i].kind == draft->job->kind;
        if (is_own && !bodies[i].is_given)
            return fail_missing(reader, root, bodies[i].name);
        if (!is_own && bodies[i].is_given)
            return fail_at(reader, bodies[i].name,
                           "belongs to another kind of job; set \"kind\" or leave it out");
    }
    if (draft->has_code && draft->job->code_length == 0)
        return fail_at(reader, "code", "is empty: there is nothing to run");
    return true;
}

/* Arguments and input need a process of their own: the interpreter has neither. */
static void settle_run_mode(struct reader *reader, struct job_draft *draft)
{
    bool needs_process = draft->job->args.count > 0 || draft->job->has_input;
    if (needs_process && draft->run_mode == RUN_MODE_INTERPRETER)
        (void)fail_at(
            reader, "run_mode",
            "\"interpreter\" takes neither \"args\" nor \"stdin\"; use \"process\" or leave them out");
    draft->job->run_mode = needs_process ? RUN_MODE_PROCESS : draft->run_mode;
}

static bool check_times(struct reader *reader, const struct job *job)
{
    bool can_start = job->expires_unix_ms < 0 || job->expires_unix_ms > job->not_before_unix_ms;
    return can_start ||
           fail_at(reader, "expires_at", "must lie after \"not_before\": the job could never start");
}

void job_fields_read(struct reader *reader, json_t *root, struct job_draft *draft)
{
    if (!reader_object(reader, root, job_fields, ARRAY_LENGTH(job_fields), draft))
        return;
    if (draft->job->template_name && draft->job->requirements.is_given) {
        reader_enter(reader, "requirements", 0);
        reader_warn(reader, "not looked at, since \"template\" names the template");
        reader_leave(reader);
    }
    if (check_body(reader, root, draft) && check_times(reader, draft->job))
        settle_run_mode(reader, draft);
}
