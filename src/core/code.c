/* The table of error codes. */
#include "core/code.h"

#include <assert.h>
#include <string.h>

enum { RETRIED = 1, WAITS = 2, DLQ = 4 };

struct row {
    const char *name;
    enum status status;
    enum category category;
    unsigned flags;
    const char *hint;
};

#define ROW(code, status, category, flags, hint)                                                             \
    [CODE_##code] = {#code, STATUS_##status, CATEGORY_##category, (flags), (hint)}

/* JOB_ID_CONFLICT ends no job (the first one of that id has its own result); ARTIFACT_FAILED leaves the
 * verdict as it is; the last five never end a job. Their status is what a caller should fear. */
static const struct row rows[CODE_COUNT] = {
    [CODE_NONE] = {"", STATUS_SUCCEEDED, CATEGORY_USER, 0, ""},
    ROW(JOB_ID_CONFLICT, REJECTED, USER, DLQ, "Give every job its own job_id."),
    ROW(INVALID_JOB, REJECTED, USER, DLQ, ""),
    ROW(UNKNOWN_TASK_TYPE, REJECTED, USER, 0, "Name a template, or give a template this task type."),
    ROW(UNKNOWN_TEMPLATE, REJECTED, USER, 0, ""),
    ROW(UNSUPPORTED_LANGUAGE, REJECTED, USER, 0, ""),
    ROW(UNSUPPORTED_FEATURE, REJECTED, USER, 0, ""),
    ROW(PAYLOAD_TOO_LARGE, REJECTED, USER, 0, "Let the program fetch large inputs by itself."),
    ROW(FILE_PATH_INVALID, REJECTED, USER, 0, ""),
    ROW(FILE_CONFLICT, REJECTED, USER, 0, ""),
    ROW(NO_TEMPLATE_FITS, REJECTED, USER, 0, "Ask for less, or add a template that offers it."),
    ROW(SECRET_DETECTED, REJECTED, POLICY, 0, "Refer to secrets by name in secrets[]."),
    ROW(SECRET_NOT_FOUND, REJECTED, USER, 0, "Store the secret under this name for this tenant."),
    ROW(POLICY_DENIED, REJECTED, POLICY, 0, ""),
    ROW(BUDGET_EXCEEDED, REJECTED, POLICY, 0, "Raise the tenant's budget or wait for the next period."),
    ROW(SYNTAX_ERROR, FAILED, USER, 0, ""),
    ROW(RUNTIME_ERROR, FAILED, USER, 0, ""),
    ROW(NONZERO_EXIT, FAILED, USER, 0, ""),
    ROW(SIGNALED, FAILED, USER, 0, ""),
    ROW(OUT_OF_MEMORY, FAILED, USER, 0, "Use less memory or a template that has more."),
    ROW(DISK_FULL, FAILED, USER, 0, "Write less or use a template with a larger disk."),
    ROW(DEPENDENCY_INSTALL_FAILED, FAILED, USER, 0, "Use a template that has the package installed."),
    ROW(INPUT_FETCH_FAILED, FAILED, USER, 0, "Check the file's URL, its sha256 and the job's network."),
    ROW(RUN_TIMEOUT, TIMED_OUT, USER, 0, "Raise timeout_ms or use a template with a longer timeout."),
    ROW(STEP_TIMEOUT, TIMED_OUT, USER, 0, ""),
    ROW(REPO_NOT_FOUND, FAILED, USER, 0, "Check the repository's URL and ref."),
    ROW(REPO_AUTH_FAILED, FAILED, USER, 0, "Check the credential that the job refers to."),
    ROW(CLONE_FAILED, FAILED, PROVIDER, RETRIED, ""),
    ROW(CLONE_TIMEOUT, TIMED_OUT, USER, 0, "Use a smaller repository or a shallower ref."),
    ROW(AGENT_FAILED, FAILED, USER, 0, ""),
    ROW(AGENT_TIMEOUT, TIMED_OUT, USER, 0, "Raise timeout_ms or ask for less in one prompt."),
    ROW(AGENT_NO_CHANGES, FAILED, USER, 0, ""),
    ROW(PUSH_FAILED, FAILED, USER, 0, "Check the credential's right to push this branch."),
    ROW(SESSION_LOST, FAILED, PROVIDER, 0, "Start a new session."),
    ROW(SESSION_BUSY, FAILED, CAPACITY, 0, "Send the session's jobs one after the other."),
    ROW(CANCELLED, CANCELLED, USER, 0, ""),
    ROW(JOB_EXPIRED, EXPIRED, CAPACITY, 0, "Give the job more time or the workers more capacity."),
    ROW(QUEUE_TIMEOUT, EXPIRED, CAPACITY, 0, "Raise the limits or publish fewer jobs."),
    ROW(TEMPLATE_NOT_FOUND, FAILED, PLATFORM, 0,
        "Build the template in the E2B account, or name another in templates.<name>.template_id."),
    ROW(TEMPLATE_MISCONFIGURED, FAILED, PLATFORM, 0,
        "Build the template with a code interpreter that starts with it (port 49999)."),
    ROW(SANDBOX_CREATE_FAILED, FAILED, PROVIDER, RETRIED, ""),
    ROW(SANDBOX_LOST, FAILED, PROVIDER, RETRIED, ""),
    ROW(SANDBOX_UNRESPONSIVE, FAILED, PROVIDER, RETRIED, ""),
    ROW(STREAM_BROKEN, FAILED, PROVIDER, RETRIED, "Long jobs survive this with run_mode process."),
    ROW(INTERNAL, FAILED, PLATFORM, RETRIED, "Please report this."),
    ROW(ARTIFACT_FAILED, FAILED, PROVIDER, 0, ""),
    ROW(WORKER_CRASHED, FAILED, PLATFORM, DLQ, "The job's record is in the dead-letter topic."),
    ROW(E2B_AUTH, FAILED, PLATFORM, WAITS, "Check E2B_API_KEY."),
    ROW(E2B_RATE_LIMITED, FAILED, CAPACITY, WAITS, "Lower limits.create_per_second to the account's rate."),
    ROW(E2B_QUOTA, FAILED, CAPACITY, WAITS, "Lower limits.global below the account's concurrent sandboxes."),
    ROW(E2B_CAPACITY, FAILED, CAPACITY, WAITS, ""),
    ROW(LIMITER_NOT_READY, FAILED, PLATFORM, WAITS, "Check Redis: e2b-worker doctor."),
};

static const char *const status_names[STATUS_COUNT] = {
    [STATUS_SUCCEEDED] = "succeeded", [STATUS_FAILED] = "failed",     [STATUS_TIMED_OUT] = "timed_out",
    [STATUS_CANCELLED] = "cancelled", [STATUS_REJECTED] = "rejected", [STATUS_EXPIRED] = "expired",
};

static const char *const category_names[] = {
    [CATEGORY_USER] = "user",         [CATEGORY_POLICY] = "policy",     [CATEGORY_CAPACITY] = "capacity",
    [CATEGORY_PROVIDER] = "provider", [CATEGORY_PLATFORM] = "platform",
};

static const struct row *row_of(enum code code)
{
    assert(code < CODE_COUNT);
    return &rows[code];
}

const char *code_name(enum code code)
{
    return row_of(code)->name;
}

enum status code_status(enum code code)
{
    return row_of(code)->status;
}

enum category code_category(enum code code)
{
    return row_of(code)->category;
}

bool code_is_retried(enum code code)
{
    return (row_of(code)->flags & RETRIED) != 0;
}

bool code_waits(enum code code)
{
    return (row_of(code)->flags & WAITS) != 0;
}

bool code_goes_to_dlq(enum code code)
{
    return (row_of(code)->flags & DLQ) != 0;
}

const char *code_hint(enum code code)
{
    return row_of(code)->hint;
}

bool code_parse(const char *name, enum code *ret)
{
    for (unsigned code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        if (strcmp(rows[code].name, name) == 0) {
            *ret = (enum code)code;
            return true;
        }
    }
    return false;
}

const char *status_name(enum status status)
{
    assert(status < STATUS_COUNT);
    return status_names[status];
}

bool status_parse(const char *name, enum status *ret)
{
    for (unsigned status = 0; status < STATUS_COUNT; status++) {
        if (strcmp(status_names[status], name) == 0) {
            *ret = (enum status)status;
            return true;
        }
    }
    return false;
}

const char *category_name(enum category category)
{
    assert((size_t)category < ARRAY_LENGTH(category_names));
    return category_names[category];
}
