#ifndef WORKER_PROVIDER_H
#define WORKER_PROVIDER_H
#include "core/code.h"
#include "e2b/e2b.h"

/* Whether E2B can be used just now: the runner of core/breaker.h. Creates and lists tell it how they ended;
 * it asks at the start and while it is open, and says why nothing is pulled and nothing created meanwhile. No
 * job fails for what concerns all of them: such an attempt is not counted. */

struct worker;
struct provider;

struct provider *provider_new(struct worker *worker) MUST_USE;
void provider_free(struct provider *provider); /* its calls fall silent; NULL: nothing */

bool provider_is_usable(const struct provider *provider);
/* A sentence with the cause, the code where there is one, and since when; "" when usable. */
const char *provider_why(const struct provider *provider);

/* ---- Creates ---- */

/* Whether one could be sent now: any number when E2B is usable, one at a time when it is being tried. */
bool provider_has_room(const struct provider *provider);
/* One is sent now: true, and it ends in one of the two below; or false: it must not be. */
bool provider_admit(struct provider *provider) MUST_USE;
void provider_note_create(struct provider *provider, const struct e2b_error *error); /* NULL: a sandbox */
void provider_withdraw(struct provider *provider); /* nobody waits for its answer any more */

/* ---- Other calls ---- */

void provider_note_list(struct provider *provider, const struct e2b_error *error); /* NULL: an answer */
/* An error that any other call met: does nothing unless it concerns all jobs (AUTH). */
void provider_note(struct provider *provider, const struct e2b_error *error);

/* ---- What an error means for the attempt ---- */

/* Of a create. What does not tell the job's fault from E2B's counts against the job only if others got their
 * sandboxes since its last create failed: *mark is how many had at that time, -1 before the first. */
enum code provider_create_code(const struct provider *provider, const struct e2b_error *error, int64_t *mark);
/* Of a call inside a sandbox. */
enum code provider_call_code(const struct e2b_error *error);

#endif
