/* From foreign codes to kinds: the one place where a failure of E2B, of Connect or of the network
 * is judged. */
#include "e2b/error.h"

#include "e2b/answers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static bool is_data_plane(enum error_place place)
{
    return place == PLACE_ENVD || place == PLACE_INTERPRETER;
}

/* Nobody answered, or not to the end. */
static struct error_verdict judge_failure(const struct foreign_error *foreign)
{
    struct error_verdict verdict = {.kind = E2B_ERROR_BROKEN, .undecided = foreign->was_sent};
    switch (foreign->failure) {
    case HTTP_INVALID:
        verdict.kind = E2B_ERROR_INVALID;
        break;
    case HTTP_EXPIRED:
        verdict.kind = E2B_ERROR_EXPIRED;
        break;
    case HTTP_TIMED_OUT:
        verdict.kind = E2B_ERROR_TIMEOUT;
        break;
    case HTTP_TOO_LARGE:
        verdict.kind = E2B_ERROR_TOO_LARGE;
        break;
    case HTTP_UNREACHABLE:
    case HTTP_UNTRUSTED:
    case HTTP_CUT:
    case HTTP_SILENT:
        break;
    }
    return verdict;
}

/* Connect's codes mean the same in its streams and in its HTTP errors. */
static const struct {
    const char *code;
    enum e2b_error_kind kind;
} connect_kinds[] = {
    {"canceled", E2B_ERROR_BROKEN},
    {"unknown", E2B_ERROR_BROKEN},
    {"invalid_argument", E2B_ERROR_INVALID},
    {"deadline_exceeded", E2B_ERROR_TIMEOUT},
    {"not_found", E2B_ERROR_NOT_FOUND},
    {"already_exists", E2B_ERROR_CONFLICT},
    {"permission_denied", E2B_ERROR_INVALID}, /* of a user inside the sandbox, not of the account */
    {"resource_exhausted", E2B_ERROR_RATE_LIMITED},
    {"failed_precondition", E2B_ERROR_INVALID},
    {"out_of_range", E2B_ERROR_INVALID},
    {"aborted", E2B_ERROR_CONFLICT},
    {"unimplemented", E2B_ERROR_INVALID},
    {"internal", E2B_ERROR_BROKEN},
    {"data_loss", E2B_ERROR_BROKEN},
    {"unavailable", E2B_ERROR_BROKEN},
    {"unauthenticated", E2B_ERROR_AUTH},
};

static bool judge_connect(const struct foreign_error *foreign, struct error_verdict *ret)
{
    for (size_t i = 0; i < ARRAY_LENGTH(connect_kinds); i++)
        if (!strcmp(foreign->code, connect_kinds[i].code)) {
            *ret = (struct error_verdict){.kind = connect_kinds[i].kind};
            ret->undecided = ret->kind == E2B_ERROR_BROKEN || ret->kind == E2B_ERROR_TIMEOUT;
            return true;
        }
    return false;
}

/* Where only the words tell two failures apart. Returns: 0: the words say nothing. */
static enum e2b_error_kind judge_words(const struct foreign_error *foreign)
{
    const char *message = foreign->message;
    if (has(message, "no space left on device"))
        return E2B_ERROR_DISK_FULL;
    if (foreign->place == PLACE_INTERPRETER && has(message, "kernel is not available"))
        return E2B_ERROR_INVALID; /* a language that the template lacks comes as a 500 */
    if (foreign->place != PLACE_ENVD)
        return 0;
    if (has(message, "invalid username") || has(message, "error looking up user"))
        return E2B_ERROR_INVALID; /* a 401 that is not about the key */
    if (has(message, "stdin not enabled or closed"))
        return E2B_ERROR_INVALID;
    return 0;
}

static enum e2b_error_kind judge_bad_gateway(const struct foreign_error *foreign)
{
    if (is_data_plane(foreign->place) && has(foreign->message, "was not found"))
        return E2B_ERROR_GONE;
    if (is_data_plane(foreign->place) && has(foreign->message, "port is not open"))
        return E2B_ERROR_PORT_CLOSED;
    return E2B_ERROR_BROKEN;
}

static enum e2b_error_kind judge_too_many(const struct foreign_error *foreign)
{
    bool is_quota = foreign->place == PLACE_CREATE && !foreign->says_when &&
                    has(foreign->message, "maximum number of concurrent");
    return is_quota ? E2B_ERROR_QUOTA : E2B_ERROR_RATE_LIMITED;
}

static enum e2b_error_kind judge_status(const struct foreign_error *foreign)
{
    switch (foreign->status) {
    case 401:
    case 403:
        return E2B_ERROR_AUTH;
    case 404:
        return foreign->place == PLACE_SANDBOX ? E2B_ERROR_GONE : E2B_ERROR_NOT_FOUND;
    case 408:
        return E2B_ERROR_BROKEN;
    case 409:
        return E2B_ERROR_CONFLICT;
    case 429:
        return judge_too_many(foreign);
    case 502:
        return judge_bad_gateway(foreign);
    case 503:
    case 504:
        return foreign->place == PLACE_CREATE && foreign->is_explained ? E2B_ERROR_CAPACITY
                                                                       : E2B_ERROR_BROKEN;
    case 507:
        return E2B_ERROR_DISK_FULL;
    default:
        return foreign->status / 100 == 4 ? E2B_ERROR_INVALID : E2B_ERROR_BROKEN;
    }
}

struct error_verdict error_judge(const struct foreign_error *foreign)
{
    struct error_verdict verdict = {0};
    if (foreign->failure != 0)
        return judge_failure(foreign);
    enum e2b_error_kind by_words = judge_words(foreign);
    if (by_words != 0)
        return (struct error_verdict){.kind = by_words};
    if (is_data_plane(foreign->place) && judge_connect(foreign, &verdict))
        return verdict;
    verdict.kind = judge_status(foreign);
    /* An unclear answer: a server that failed in the middle, an edge that gave up waiting, a key in use. */
    verdict.undecided = verdict.kind == E2B_ERROR_BROKEN ||
                        !strcmp(foreign->code, "idempotency_in_progress") ||
                        !strcmp(foreign->code, "idempotency_outcome_unknown");
    return verdict;
}

/* ---- filling in ---- */

void error_fill(struct e2b_error *ret, enum e2b_error_kind kind, const char *message)
{
    *ret = (struct e2b_error){.kind = kind};
    base_copy_text(ret->message, sizeof ret->message, message);
}

static int64_t retry_after_ms(const struct http_response *response)
{
    const char *text = http_response_header(response, "Retry-After");
    if (!text)
        return 0;
    char *end;
    long long seconds = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || seconds < 0)
        return 0; /* the form with a date: E2B never sends it, and our clock is not theirs */
    return MIN(seconds, 86400) * 1000;
}

void error_of_exchange(enum error_place place, const struct error *transport,
                       const struct http_response *response, struct e2b_error *ret)
{
    *ret = (struct e2b_error){.http_status = response->status};
    struct foreign_error foreign = {.place = place,
                                    .failure = transport ? (enum http_failure)transport->code : 0,
                                    .was_sent = response->was_sent,
                                    .status = response->status,
                                    .code = ret->code,
                                    .message = ret->message};
    if (transport) {
        snprintf(ret->message, sizeof ret->message, "%.*s", (int)sizeof ret->message - 1, transport->text);
    } else {
        foreign.is_explained =
            answers_refusal(response->body, ret->code, sizeof ret->code, ret->message, sizeof ret->message);
        ret->retry_after_ms = retry_after_ms(response);
        foreign.says_when = ret->retry_after_ms > 0;
    }
    struct error_verdict verdict = error_judge(&foreign);
    ret->kind = verdict.kind;
    ret->undecided = verdict.undecided;
    if (ret->message[0] == '\0')
        snprintf(ret->message, sizeof ret->message, "HTTP %d without an explanation", response->status);
}

void error_of_stream(enum error_place place, const char *code, const char *message, struct e2b_error *ret)
{
    *ret = (struct e2b_error){0};
    base_copy_text(ret->code, sizeof ret->code, code);
    base_copy_text(ret->message, sizeof ret->message, message);
    struct foreign_error foreign = {
        .place = place, .was_sent = true, .status = 200, .code = ret->code, .message = ret->message};
    struct error_verdict verdict = error_judge(&foreign);
    ret->kind = verdict.kind;
    ret->undecided = verdict.undecided;
}
