/* Fields whose features come later: checked like all others, so that a mistake is told today, then answered
 * with UNSUPPORTED_FEATURE. */
#include "codec/job_fields.h"

#include <string.h>

enum {
    COMMANDS_MAX = 100,
    COMMAND_BYTES_MAX = 128 * 1024,
    PROMPT_BYTES_MAX = 1024 * 1024,
    SECRETS_MAX = 64,
    RULES_MAX = 256,
    LINE_BYTES_MAX = 1024,
    ENV_MAX = 64,
};
static const int64_t LONGEST_MS = 24LL * 60 * 60 * 1000;

static bool read_command_env(struct reader *reader, json_t *value, void *target)
{
    (void)target;
    const char *name, *text;
    json_t *member;
    if (!json_is_object(value))
        return reader_mismatch(reader, value, "an object of strings");
    if (json_object_size(value) > ENV_MAX)
        return reader_fail(reader, CODE_INVALID_JOB, "has %zu members; at most %d are allowed",
                           json_object_size(value), ENV_MAX);
    json_object_foreach(value, name, member)
    {
        reader_enter(reader, name, 0);
        if (!reader_line(reader, member, LINE_BYTES_MAX * 4, &text))
            return false;
        reader_leave(reader);
    }
    return true;
}

struct command {
    struct bytes run;
    const char *cwd, *user;
    int64_t timeout_ms;
    bool continue_on_error;
};

static bool read_run(struct reader *reader, json_t *value, void *target)
{
    struct command *command = target;
    return reader_text(reader, value, COMMAND_BYTES_MAX, &command->run);
}

bool job_commands_read(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {.name = "run", .read = read_run, .is_required = true},
        {"cwd", FIELD_TEXT, offsetof(struct command, cwd), .max = LINE_BYTES_MAX},
        {.name = "env", .read = read_command_env},
        {"user", FIELD_TEXT, offsetof(struct command, user), .max = 64},
        {"timeout_ms", FIELD_INTEGER, offsetof(struct command, timeout_ms), .min = 1, .max = LONGEST_MS},
        {"continue_on_error", FIELD_BOOLEAN, offsetof(struct command, continue_on_error),
         .is_required = false},
    };
    ((struct job_draft *)target)->has_commands = true;
    if (!reader_array(reader, value, COMMANDS_MAX))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct command command = {0};
        reader_enter(reader, NULL, i);
        if (!reader_object(reader, json_array_get(value, i), fields, ARRAY_LENGTH(fields), &command))
            return false;
        if (command.run.length == 0)
            return reader_fail(reader, CODE_INVALID_JOB, "\"run\", the command line, is empty");
        reader_leave(reader);
    }
    return true;
}

struct agent {
    struct bytes prompt;
    const char *url, *ref, *cli, *model, *branch, *message;
};

static bool read_prompt(struct reader *reader, json_t *value, void *target)
{
    return reader_text(reader, value, PROMPT_BYTES_MAX, &((struct agent *)target)->prompt);
}

static bool read_repo(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {"url", FIELD_TEXT, offsetof(struct agent, url), .max = LINE_BYTES_MAX, .is_required = true},
        {"ref", FIELD_TEXT, offsetof(struct agent, ref), .max = LINE_BYTES_MAX},
    };
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields), target);
}

static bool read_push_mode(struct reader *reader, json_t *value, void *target)
{
    static const char *const modes[] = {"none", "branch"};
    size_t ignored;
    (void)target;
    return reader_choice(reader, value, modes, ARRAY_LENGTH(modes), CODE_INVALID_JOB, &ignored);
}

static bool read_push(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {.name = "mode", .read = read_push_mode},
        {"branch", FIELD_TEXT, offsetof(struct agent, branch), .max = 256},
        {"message", FIELD_TEXT, offsetof(struct agent, message), .max = LINE_BYTES_MAX},
    };
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields), target);
}

bool job_agent_read(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {.name = "prompt", .read = read_prompt, .is_required = true},
        {.name = "repo", .read = read_repo},
        {"cli", FIELD_NAME, offsetof(struct agent, cli), .is_required = false},
        {"model", FIELD_TEXT, offsetof(struct agent, model), .max = 256},
        {.name = "push", .read = read_push},
    };
    struct agent agent = {0};
    ((struct job_draft *)target)->has_agent = true;
    if (!reader_object(reader, value, fields, ARRAY_LENGTH(fields), &agent))
        return false;
    if (agent.prompt.length == 0)
        return reader_fail(reader, CODE_INVALID_JOB, "\"prompt\" is empty");
    return true;
}

bool job_secrets_read(struct reader *reader, json_t *value, void *target)
{
    struct secret {
        const char *name, *env;
    };
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct secret, name), .max = 256, .is_required = true},
        {"env", FIELD_TEXT, offsetof(struct secret, env), .max = 128, .is_required = true},
    };
    (void)target;
    if (!reader_array(reader, value, SECRETS_MAX))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        struct secret secret = {0};
        reader_enter(reader, NULL, i);
        if (!reader_object(reader, json_array_get(value, i), fields, ARRAY_LENGTH(fields), &secret))
            return false;
        reader_leave(reader);
    }
    if (json_array_size(value) > 0)
        reader_unsupported(reader, "a secret by reference");
    return true;
}

bool job_session_read(struct reader *reader, json_t *value, void *target)
{
    struct session {
        const char *id;
        int64_t keep_ms;
        bool close;
    } session = {0};
    static const struct field fields[] = {
        {"id", FIELD_NAME, offsetof(struct session, id), .is_required = true},
        {"keep_ms", FIELD_INTEGER, offsetof(struct session, keep_ms), .max = LONGEST_MS},
        {"close", FIELD_BOOLEAN, offsetof(struct session, close), .is_required = false},
    };
    (void)target;
    reader_unsupported(reader, "a session");
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields), &session);
}

bool job_stream_read(struct reader *reader, json_t *value, void *target)
{
    bool is_on = false;
    (void)target;
    if (!reader_boolean(reader, value, &is_on))
        return false;
    if (is_on)
        reader_unsupported(reader, "output while the job runs");
    return true;
}

struct switches {
    size_t mode;
    int64_t ttl_ms;
};

static bool read_cache_mode(struct reader *reader, json_t *value, void *target)
{
    static const char *const modes[] = {"off", "read", "readwrite"};
    return reader_choice(reader, value, modes, ARRAY_LENGTH(modes), CODE_INVALID_JOB,
                         &((struct switches *)target)->mode);
}

bool job_cache_read(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {.name = "mode", .read = read_cache_mode},
        {"ttl_ms", FIELD_INTEGER, offsetof(struct switches, ttl_ms), .min = 1, .max = 366 * LONGEST_MS},
    };
    struct switches cache = {0};
    (void)target;
    bool is_good = json_is_string(value) ? read_cache_mode(reader, value, &cache)
                                         : reader_object(reader, value, fields, ARRAY_LENGTH(fields), &cache);
    if (is_good && cache.mode != 0)
        reader_unsupported(reader, "a cache of results");
    return is_good;
}

static bool read_secret_rule(struct reader *reader, json_t *value, void *target)
{
    static const char *const modes[] = {"off", "warn", "reject"};
    return reader_choice(reader, value, modes, ARRAY_LENGTH(modes), CODE_INVALID_JOB,
                         &((struct switches *)target)->mode);
}

bool job_validation_read(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {{.name = "secrets", .read = read_secret_rule}};
    struct switches validation = {0};
    (void)target;
    if (!reader_object(reader, value, fields, ARRAY_LENGTH(fields), &validation))
        return false;
    if (validation.mode != 0)
        reader_unsupported(reader, "the search for secrets in code");
    return true;
}

bool job_batch_id_read(struct reader *reader, json_t *value, void *target)
{
    reader_unsupported(reader, "a batch");
    return reader_line(reader, value, 256, &((struct job_draft *)target)->job->batch_id);
}

bool job_batch_size_read(struct reader *reader, json_t *value, void *target)
{
    int64_t ignored;
    (void)target;
    reader_unsupported(reader, "a batch");
    return reader_integer(reader, value, 1, 1000000, &ignored);
}

static bool read_allow(struct reader *reader, json_t *value, void *target)
{
    return reader_lines(reader, value, RULES_MAX, 256, &((struct network *)target)->allow);
}

static bool read_deny(struct reader *reader, json_t *value, void *target)
{
    return reader_lines(reader, value, RULES_MAX, 256, &((struct network *)target)->deny);
}

bool job_network_read(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {{.name = "allow", .read = read_allow},
                                          {.name = "deny", .read = read_deny}};
    static const char *const modes[] = {"full", "off"};
    struct network *network = &((struct job_draft *)target)->job->network;
    size_t mode = 0;
    if (!json_is_string(value) && !json_is_object(value))
        return reader_mismatch(reader, value, "\"full\", \"off\" or an object with \"allow\" and \"deny\"");
    bool is_good = json_is_string(value)
                       ? reader_choice(reader, value, modes, ARRAY_LENGTH(modes), CODE_INVALID_JOB, &mode)
                       : reader_object(reader, value, fields, ARRAY_LENGTH(fields), network);
    if (!is_good)
        return false;
    network->mode = json_is_object(value) ? NETWORK_RULES : mode == 0 ? NETWORK_FULL : NETWORK_OFF;
    if (network->mode != NETWORK_FULL)
        reader_unsupported(reader, "a network other than \"full\"");
    return true;
}
