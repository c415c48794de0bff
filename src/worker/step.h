#ifndef WORKER_STEP_H
#define WORKER_STEP_H
#include "core/code.h"
#include "core/plan.h"
#include "e2b/e2b.h"

/* The carrying out of one step: each verb is a file step_<verb>.c with one `const struct step_kind`. A step
 * works on the sandbox with the run's call slot, puts what comes out into the outcome, and ends by step_ended
 * or step_broken, once, unless it was dropped. It decides nothing: the execution does. */

struct execution_runner;
struct worker;
struct outcome;

struct step_run {
    struct execution_runner *run; /* borrowed */
    const struct step *step;      /* borrowed from the plan */
    void *state;                  /* the verb's own; freed by drop */
};

struct step_kind {
    void (*start)(struct step_run *step);
    /* Asks it to stop; its end, well or not, still comes. */
    void (*stop)(struct step_run *step);
    /* Silence and no memory from now on; whatever runs in the sandbox is left to its fate. Also called after
     * the end. */
    void (*drop)(struct step_run *step);
};

extern const struct step_kind step_put_files, step_get_files, step_code, step_process;
const struct step_kind *step_kind_of(enum step_verb verb);

/* What steps use of the run. */
struct worker *step_worker(const struct step_run *step);
struct e2b_sandbox *step_sandbox(const struct step_run *step);
struct e2b_call *
step_call(const struct step_run *step); /* call->arg is the step; its deadline is the step's to set */
struct outcome *step_outcome(const struct step_run *step);
struct step_report *step_report(const struct step_run *step); /* the outcome's, of this step */
const struct job *step_job(const struct step_run *step);
const char *step_permit(const struct step_run *step);
int64_t step_remaining_ms(const struct step_run *step); /* until the execution's deadline; at least 1 */
bool step_is_cancelled(const struct step_run *step);    /* why it is stopped; else its time is over */

/* Where a process step keeps its record in the sandbox. Owns: the caller. */
char *step_process_record(const char *permit, const struct step *step);

/* What the user's exception means. */
enum code step_exception_code(const char *name, const char *value);

void step_ended(struct step_run *step, enum code code);
/* Notes the error for the outcome and the provider, then tells the execution. */
void step_broken(struct step_run *step, const struct e2b_error *error);

#endif
