#ifndef E2B_LOCAL_FAULTS_H
#define E2B_LOCAL_FAULTS_H
#include "base/base.h"

#include <jansson.h>

/* Misbehaviour on demand, for tests: POST /__faults sets what the JSON object names and leaves the rest, GET
 * shows, DELETE clears. No key is needed.
 *
 * - create_fail
 * {"count":n,"status":s[,"message":"..."][,"error_code":"..."][,"headers":{..}][,"body":"raw"]}: the next n
 * creates answer s and make nothing; {"count":n,"kind":"concurrency"} and
 *   {"count":n,"kind":"rate"[,"retry_after":s]} are the two kinds of 429
 * - create_silent {"count":n[,"after_ms":ms]}: the next n creates make their sandbox and answer nothing; the
 *   connection closes after ms (0: at once)
 * - create_delay_ms, execute_delay_ms, keep_delay_ms, kill_delay_ms: ms before each of these is carried out
 *   (0: none), whether its client is still there or not; keep sets a sandbox's end
 * - kill_fail {"count":n,"status":s}: the next n kills answer s and kill nothing
 * - cut_stream {"count":n,"after_bytes":b[,"plane":"interpreter"|"process"|"any"]}: the next n streams stop
 *   without their end after b bytes of body
 * - lose "<sandbox id>" | "any": that sandbox, or the oldest, ends at once without a trace
 * - expire "<sandbox id>" | "any": likewise, counted as expired
 * - idempotency "honour" | "ignore": what is made of Idempotency-Key
 * - v2 true | false: false: POST /v2/sandboxes answers 405
 * - reject_all true | false: true: every control-plane call answers 401 */

struct http_exchange;
struct service;

enum stream_plane { STREAM_INTERPRETER = 1, STREAM_PROCESS = 2, STREAM_ANY = 3 };

struct faults {
    json_t *create_fail; /* owned; NULL: none */
    int64_t create_fail_count;
    int64_t create_silent_count, create_silent_after_ms;
    int64_t create_delay_ms, execute_delay_ms, keep_delay_ms, kill_delay_ms;
    int64_t kill_fail_count, kill_fail_status;
    int64_t cut_stream_count, cut_stream_bytes;
    enum stream_plane cut_stream_plane;
    bool ignores_idempotency, lacks_v2, rejects_all;
};

void faults_release(struct faults *faults);
void faults_handle(struct service *service, struct http_exchange *exchange);

/* Each takes one from its count. Returns: whether the fault was due, and then has answered the exchange. */
bool faults_fail_create(struct service *service, struct http_exchange *exchange);
bool faults_fail_kill(struct service *service, struct http_exchange *exchange);

/* Returns: after how many bytes a stream that starts now shall be cut; -1: not at all. */
int64_t faults_stream_budget(struct service *service, enum stream_plane plane);

/* Calls fn(arg) after the delay, or at once when it is 0. */
void faults_delay(struct service *service, int64_t delay_ms, void (*fn)(void *arg), void *arg);

#endif
