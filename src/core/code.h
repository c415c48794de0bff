#ifndef CORE_CODE_H
#define CORE_CODE_H
#include "base/base.h"

/* The error codes: stable strings that callers and dashboards depend on, never renamed, and for each what
 * follows from it. One row each in code.c; nothing else in the program decides these things. */

enum code {
    CODE_NONE = 0, /* all is well */
    /* the job is wrong: rejected before any permit */
    CODE_JOB_ID_CONFLICT,
    CODE_INVALID_JOB,
    CODE_UNKNOWN_TASK_TYPE,
    CODE_UNKNOWN_TEMPLATE,
    CODE_UNSUPPORTED_LANGUAGE,
    CODE_UNSUPPORTED_FEATURE,
    CODE_PAYLOAD_TOO_LARGE,
    CODE_FILE_PATH_INVALID,
    CODE_FILE_CONFLICT,
    CODE_NO_TEMPLATE_FITS,
    CODE_SECRET_DETECTED,
    CODE_SECRET_NOT_FOUND,
    CODE_POLICY_DENIED,
    CODE_BUDGET_EXCEEDED,
    /* the user's program failed: a result */
    CODE_SYNTAX_ERROR,
    CODE_RUNTIME_ERROR,
    CODE_NONZERO_EXIT,
    CODE_SIGNALED,
    CODE_OUT_OF_MEMORY,
    CODE_DISK_FULL,
    CODE_DEPENDENCY_INSTALL_FAILED,
    CODE_INPUT_FETCH_FAILED,
    CODE_RUN_TIMEOUT,
    CODE_STEP_TIMEOUT,
    CODE_REPO_NOT_FOUND,
    CODE_REPO_AUTH_FAILED,
    CODE_CLONE_FAILED,
    CODE_CLONE_TIMEOUT,
    CODE_AGENT_FAILED,
    CODE_AGENT_TIMEOUT,
    CODE_AGENT_NO_CHANGES,
    CODE_PUSH_FAILED,
    CODE_SESSION_LOST,
    CODE_SESSION_BUSY,
    CODE_CANCELLED,
    CODE_JOB_EXPIRED,
    CODE_QUEUE_TIMEOUT,
    /* the infrastructure failed */
    CODE_TEMPLATE_NOT_FOUND,
    CODE_TEMPLATE_MISCONFIGURED,
    CODE_SANDBOX_CREATE_FAILED,
    CODE_SANDBOX_LOST,
    CODE_SANDBOX_UNRESPONSIVE,
    CODE_STREAM_BROKEN,
    CODE_INTERNAL,
    CODE_ARTIFACT_FAILED,
    CODE_WORKER_CRASHED,
    /* never terminal: seen in attempts and in why a job waits */
    CODE_E2B_AUTH,
    CODE_E2B_RATE_LIMITED,
    CODE_E2B_QUOTA,
    CODE_E2B_CAPACITY,
    CODE_LIMITER_NOT_READY,
    CODE_COUNT
};

enum status {
    STATUS_SUCCEEDED,
    STATUS_FAILED,
    STATUS_TIMED_OUT,
    STATUS_CANCELLED,
    STATUS_REJECTED,
    STATUS_EXPIRED,
    STATUS_COUNT
};

/* Whose fault: decides whom to ask, and who is charged. */
enum category { CATEGORY_USER, CATEGORY_POLICY, CATEGORY_CAPACITY, CATEGORY_PROVIDER, CATEGORY_PLATFORM };

const char *code_name(enum code code);   /* "NONZERO_EXIT"; NONE: "" */
enum status code_status(enum code code); /* of a job that ends with it; NONE: SUCCEEDED */
enum category code_category(enum code code);
bool code_is_retried(
    enum code code); /* the whole attempt is worth repeating: nothing that the job did decided it */
bool code_waits(enum code code);       /* never terminal, never counted as an attempt: the job waits */
bool code_goes_to_dlq(enum code code); /* the record is copied there as well */
const char *code_hint(enum code code); /* what to do, one sentence; "" where the message says it all */
/* Returns: false, *ret untouched, for no code's name. */
bool code_parse(const char *name, enum code *ret) MUST_USE;

const char *status_name(enum status status); /* "timed_out" */
bool status_parse(const char *name, enum status *ret) MUST_USE;
const char *category_name(enum category category);

#endif
