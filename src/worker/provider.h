#ifndef WORKER_PROVIDER_H
#define WORKER_PROVIDER_H
#include "core/code.h"
#include "e2b/e2b.h"

/* Whether E2B can be used just now. It asks at the start and, after a refusal that concerns every job (a
 * wrong key, an unreachable API), every few seconds until an answer is good again; meanwhile nothing is
 * pulled and nothing is created. */

struct worker;
struct provider;

struct provider *provider_new(struct worker *worker) MUST_USE;
void provider_free(struct provider *provider); /* its calls fall silent; NULL: nothing */

bool provider_is_usable(const struct provider *provider);
const char *
provider_why(const struct provider *provider); /* a sentence with the code in it, "" when usable */

/* An error that some call of a job met: does nothing unless it concerns all of them (AUTH). */
void provider_note(struct provider *provider, const struct e2b_error *error);

/* What an error of a create means for the attempt. */
enum code provider_create_code(const struct e2b_error *error);
/* What an error of a call inside a sandbox means. */
enum code provider_call_code(const struct e2b_error *error);

#endif
