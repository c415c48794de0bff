/* The table: what others say, and what we make of it. */
#include "e2b/error.h"
#include "test.h"

struct row {
    const char *what;
    struct foreign_error foreign;
    struct error_verdict expected;
};

#define NO_ANSWER(place_, failure_, sent_)                                                                   \
    {                                                                                                        \
        .place = (place_), .failure = (failure_), .was_sent = (sent_), .code = "", .message = ""             \
    }
#define ANSWER(place_, status_, message_)                                                                    \
    {                                                                                                        \
        .place = (place_), .was_sent = true, .status = (status_), .is_explained = true, .code = "",          \
        .message = (message_)                                                                                \
    }
#define PLAIN(place_, status_)                                                                               \
    {                                                                                                        \
        .place = (place_), .was_sent = true, .status = (status_), .code = "", .message = "<html>"            \
    }
#define CONNECT(code_, message_)                                                                             \
    {                                                                                                        \
        .place = PLACE_ENVD, .was_sent = true, .status = 200, .is_explained = true, .code = (code_),         \
        .message = (message_)                                                                                \
    }
#define CODED(place_, status_, code_)                                                                        \
    {                                                                                                        \
        .place = (place_), .was_sent = true, .status = (status_), .is_explained = true, .code = (code_),     \
        .message = "m"                                                                                       \
    }

static const struct row rows[] = {
    /* Nobody answered. */
    {"refused", NO_ANSWER(PLACE_CREATE, HTTP_UNREACHABLE, false), {E2B_ERROR_BROKEN, false}},
    {"certificate", NO_ANSWER(PLACE_CREATE, HTTP_UNTRUSTED, false), {E2B_ERROR_BROKEN, false}},
    {"cut after sending", NO_ANSWER(PLACE_CREATE, HTTP_CUT, true), {E2B_ERROR_BROKEN, true}},
    {"silent", NO_ANSWER(PLACE_ENVD, HTTP_SILENT, true), {E2B_ERROR_BROKEN, true}},
    {"timeout before sending", NO_ANSWER(PLACE_CREATE, HTTP_TIMED_OUT, false), {E2B_ERROR_TIMEOUT, false}},
    {"timeout after sending", NO_ANSWER(PLACE_CREATE, HTTP_TIMED_OUT, true), {E2B_ERROR_TIMEOUT, true}},
    {"too late to send", NO_ANSWER(PLACE_CREATE, HTTP_EXPIRED, false), {E2B_ERROR_EXPIRED, false}},
    {"too large", NO_ANSWER(PLACE_CREATE, HTTP_TOO_LARGE, true), {E2B_ERROR_TOO_LARGE, true}},
    {"no URL", NO_ANSWER(PLACE_CREATE, HTTP_INVALID, false), {E2B_ERROR_INVALID, false}},

    /* The control plane. */
    {"400", ANSWER(PLACE_CREATE, 400, "Timeout must be greater than 0"), {E2B_ERROR_INVALID, false}},
    {"401", ANSWER(PLACE_CREATE, 401, "Invalid API key"), {E2B_ERROR_AUTH, false}},
    {"403", ANSWER(PLACE_CREATE, 403, "team is blocked"), {E2B_ERROR_AUTH, false}},
    {"404 template", ANSWER(PLACE_CREATE, 404, "template 'x' not found"), {E2B_ERROR_NOT_FOUND, false}},
    {"404 sandbox", ANSWER(PLACE_SANDBOX, 404, "Sandbox \"i\" doesn't exist"), {E2B_ERROR_GONE, false}},
    {"404 list", ANSWER(PLACE_ACCOUNT, 404, ""), {E2B_ERROR_NOT_FOUND, false}},
    {"409", ANSWER(PLACE_SANDBOX, 409, "already paused"), {E2B_ERROR_CONFLICT, false}},
    {"409 key in use", CODED(PLACE_CREATE, 409, "idempotency_in_progress"), {E2B_ERROR_CONFLICT, true}},
    {"409 key's fate unknown",
     CODED(PLACE_CREATE, 409, "idempotency_outcome_unknown"),
     {E2B_ERROR_CONFLICT, true}},
    {"422 key reused", CODED(PLACE_CREATE, 422, "idempotency_request_mismatch"), {E2B_ERROR_INVALID, false}},
    {"429 quota",
     ANSWER(PLACE_CREATE, 429, "you have reached the maximum number of concurrent E2B sandboxes (20)."),
     {E2B_ERROR_QUOTA, false}},
    {"429 rate", ANSWER(PLACE_CREATE, 429, "Rate limit exceeded"), {E2B_ERROR_RATE_LIMITED, false}},
    {"429 with a time is a rate whatever it says",
     {.place = PLACE_CREATE,
      .was_sent = true,
      .status = 429,
      .is_explained = true,
      .code = "",
      .message = "maximum number of concurrent requests",
      .says_when = true},
     {E2B_ERROR_RATE_LIMITED, false}},
    {"500", ANSWER(PLACE_CREATE, 500, "Failed to place sandbox"), {E2B_ERROR_BROKEN, true}},
    {"500 kill", ANSWER(PLACE_SANDBOX, 500, "Error killing sandbox"), {E2B_ERROR_BROKEN, true}},
    {"502", PLAIN(PLACE_CREATE, 502), {E2B_ERROR_BROKEN, true}},
    {"503 create", CODED(PLACE_CREATE, 503, "sandbox_capacity_unavailable"), {E2B_ERROR_CAPACITY, false}},
    {"504 create", CODED(PLACE_CREATE, 504, "sandbox_placement_timeout"), {E2B_ERROR_CAPACITY, false}},
    {"503 of a load balancer", PLAIN(PLACE_CREATE, 503), {E2B_ERROR_BROKEN, true}},
    {"504 of a load balancer", PLAIN(PLACE_CREATE, 504), {E2B_ERROR_BROKEN, true}},
    {"503 elsewhere", ANSWER(PLACE_SANDBOX, 503, "busy"), {E2B_ERROR_BROKEN, true}},
    {"a redirect", PLAIN(PLACE_CREATE, 302), {E2B_ERROR_BROKEN, true}},

    /* The proxy in front of sandboxes. */
    {"502 gone", ANSWER(PLACE_ENVD, 502, "The sandbox was not found"), {E2B_ERROR_GONE, false}},
    {"502 gone code", ANSWER(PLACE_INTERPRETER, 502, "The sandbox was not found"), {E2B_ERROR_GONE, false}},
    {"502 port",
     ANSWER(PLACE_INTERPRETER, 502, "The sandbox is running but port is not open"),
     {E2B_ERROR_PORT_CLOSED, false}},
    {"502 edge", PLAIN(PLACE_ENVD, 502), {E2B_ERROR_BROKEN, true}},
    {"502 of the control plane is no dead sandbox",
     ANSWER(PLACE_SANDBOX, 502, "The sandbox was not found"),
     {E2B_ERROR_BROKEN, true}},
    {"429 connections", ANSWER(PLACE_ENVD, 429, "too many connections"), {E2B_ERROR_RATE_LIMITED, false}},
    {"409 resuming", ANSWER(PLACE_ENVD, 409, "still resuming"), {E2B_ERROR_CONFLICT, false}},

    /* envd. */
    {"file missing", ANSWER(PLACE_ENVD, 404, "path '/x' does not exist"), {E2B_ERROR_NOT_FOUND, false}},
    {"directory", ANSWER(PLACE_ENVD, 400, "path '/home/user' is a directory"), {E2B_ERROR_INVALID, false}},
    {"507", ANSWER(PLACE_ENVD, 507, "not enough space"), {E2B_ERROR_DISK_FULL, false}},
    {"500 no space", ANSWER(PLACE_ENVD, 500, "write: no space left on device"), {E2B_ERROR_DISK_FULL, false}},
    {"token", ANSWER(PLACE_ENVD, 401, "unauthorized access"), {E2B_ERROR_AUTH, false}},
    {"user of /files",
     ANSWER(PLACE_ENVD, 401, "error looking up user 'x': unknown"),
     {E2B_ERROR_INVALID, false}},
    {"user of Start", CONNECT("unauthenticated", "invalid username: 'x'"), {E2B_ERROR_INVALID, false}},
    {"deadline", CONNECT("deadline_exceeded", ""), {E2B_ERROR_TIMEOUT, true}},
    {"no such pid", CONNECT("not_found", "process with pid 9 not found"), {E2B_ERROR_NOT_FOUND, false}},
    {"exists", CONNECT("already_exists", ""), {E2B_ERROR_CONFLICT, false}},
    {"argument", CONNECT("invalid_argument", "cwd"), {E2B_ERROR_INVALID, false}},
    {"permission", CONNECT("permission_denied", ""), {E2B_ERROR_INVALID, false}},
    {"exhausted", CONNECT("resource_exhausted", ""), {E2B_ERROR_RATE_LIMITED, false}},
    {"unavailable", CONNECT("unavailable", ""), {E2B_ERROR_BROKEN, true}},
    {"internal", CONNECT("internal", "boom"), {E2B_ERROR_BROKEN, true}},
    {"stdin", CONNECT("internal", "stdin not enabled or closed"), {E2B_ERROR_INVALID, false}},
    {"a code from the future", CONNECT("new_code", ""), {E2B_ERROR_BROKEN, true}},

    /* The interpreter. */
    {"language", PLAIN(PLACE_INTERPRETER, 500), {E2B_ERROR_BROKEN, true}},
    {"language known",
     ANSWER(PLACE_INTERPRETER, 500, "The 'ruby' kernel is not available."),
     {E2B_ERROR_INVALID, false}},
    {"422", ANSWER(PLACE_INTERPRETER, 422, "Field required"), {E2B_ERROR_INVALID, false}},
};

static void judges_as_the_table_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error_verdict verdict = error_judge(&rows[i].foreign);
        if (verdict.kind != rows[i].expected.kind || verdict.undecided != rows[i].expected.undecided)
            fail_msg("%s: kind %d undecided %d, expected %d %d", rows[i].what, (int)verdict.kind,
                     verdict.undecided, (int)rows[i].expected.kind, rows[i].expected.undecided);
    }
}

static void no_status_is_without_a_kind(void **state)
{
    (void)state;
    for (int place = PLACE_CREATE; place <= PLACE_INTERPRETER; place++)
        for (int status = 100; status < 600; status++) {
            struct foreign_error foreign = PLAIN((enum error_place)place, status);
            assert_int_not_equal(error_judge(&foreign).kind, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(judges_as_the_table_says),
        cmocka_unit_test(no_status_is_without_a_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
