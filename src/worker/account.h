#ifndef WORKER_ACCOUNT_H
#define WORKER_ACCOUNT_H
#include "base/base.h"

/* How much of the E2B account is left for this ledger, where others use the account as well. Their sandboxes
 * are subtracted from the limit, for a minute at a time (ledger_cut), and never touched.
 *
 * E2B says its limit only when it is met. Until then limits.global is taken for one below it; unless more
 * than that runs, for then the account is larger and the limit was chosen for other reasons. */

struct worker;
struct listing;
struct account;

struct account *account_new(struct worker *worker) MUST_USE;
void account_free(struct account *account); /* its calls fall silent; NULL: nothing */

/* E2B refused a create: so many sandboxes run that no other may. The message names the limit. */
void account_note_quota(struct account *account, const char *message);
/* What runs, by a whole listing. */
void account_note_listing(struct account *account, const struct listing *listing);

int64_t account_foreign(const struct account *account); /* as it was listed last */

#endif
