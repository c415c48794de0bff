#ifndef CORE_PLAN_H
#define CORE_PLAN_H
#include "core/catalog.h"
#include "core/code.h"
#include "core/job.h"

/* A plan: what will be done, as data, compiled once from a job and the catalogue, never changed. A try and a
 * finally: main steps stop at the first failure (unless the step says otherwise); final steps run whatever
 * happened, as long as the sandbox lives and the attempt's outcome will stand. Everything lies in the job's
 * arena. */

/* What belongs to us in the sandbox, below the working directory: no input file may lie there. */
#define PLAN_STATE_DIR ".e2b-worker"
/* In the argv of a Python process: to be replaced by the driver that keeps rich results, as
 * python3 -c takes it. */
#define PLAN_DRIVER "{driver}"

enum step_verb { STEP_PUT_FILES, STEP_RUN_CODE, STEP_RUN_PROCESS, STEP_GET_FILES };

struct put_files {
    const struct input_file *items;
    size_t count;
};

struct get_files {
    const struct text_list *globs; /* relative to the working directory, or absolute */
    int64_t max_bytes, max_count;  /* of all together */
};

struct code_spec { /* by the interpreter: dies with its stream */
    const char *text;
    const char *language;
};

/* By start-or-attach: asked twice it runs once; its record lies in the sandbox under the attempt's permit and
 * `name`. */
struct process_spec {
    struct text_list argv; /* the element PLAN_DRIVER stands for the driver: argv[2], has_rich_results only */
    const char *cwd;       /* NULL: the home directory */
    const char *input;     /* stdin; NULL: closed */
    size_t input_length;
    struct pair_list env;
    int64_t cpu_percent;   /* of one core, 0: no bound */
    bool has_rich_results; /* Python: a driver file keeps them */
};

struct step {
    const char *name;         /* "files", "run", "artifacts": the stage in errors, timing, logs */
    int64_t timeout_ms;       /* of this step; the budget of its section binds as well */
    bool continue_on_failure; /* note the failure and go on */
    enum code on_failure;     /* what it means when it ends badly ... */
    enum code on_timeout;     /* ... or not in time */
    enum step_verb verb;      /* selects the member of `as` */
    union {
        const struct put_files *put;
        const struct code_spec *code;
        const struct process_spec *process;
        const struct get_files *get;
    } as;
};

/* The maximum of a limit that has none of its own: more than any configuration allows. Only what is wider
 * binds then, an operator's live value for it included. */
enum { PLAN_UNBOUNDED = 1000000 };

struct plan_limit {
    const char *name; /* the limit's key (core/limit.h); in rules the bare id */
    int64_t max;      /* of tenant, template and class: maybe PLAN_UNBOUNDED */
};

struct plan {
    struct placement placement;
    struct pair_list sandbox_env; /* into create's envVars */
    const struct network *network;
    const struct plan_limit *limits; /* in the order tenant, template, class, global, reserve */
    size_t limit_count;
    int64_t tenant_weight;
    const struct step *steps;
    size_t step_count, final_from; /* steps[final_from..] are the finally */
    int64_t main_ms, final_ms;     /* budgets of the two sections */
    enum run_mode run_mode;        /* INTERPRETER or PROCESS */
    struct output_limits outputs;  /* all said */
    int64_t max_attempts;
    uint64_t digest; /* equal plans, equal digests: guards adoption by another version */
};

/* What the planner needs to know beyond job and catalogue. */
struct plan_rules {
    int64_t global_max, tenant_max;    /* tenant_max 0: no bound */
    int64_t class_max[PRIORITY_COUNT]; /* of the global limit, 0: all of it */
    int64_t interactive_reserve;       /* places of the global limit that other classes leave free, 0: none */
    const struct plan_limit *tenants;  /* by bare tenant id: its own maximum */
    size_t tenant_count;
    const struct plan_limit *weights; /* by bare tenant id: its weight; 1 where not named */
    size_t weight_count;
    struct output_limits outputs; /* all said */
    int64_t max_attempts;
};

/* Compiles `job`. Everything from the arena.
 * Returns: CODE_NONE, or why the job is rejected, with a sentence in *ret_message. */
enum code plan_compile(const struct job *job, const struct catalog *catalog, const struct plan_rules *rules,
                       struct arena *arena, struct plan *ret, const char **ret_message) MUST_USE;

/* The digest as 16 hex digits. */
enum { PLAN_DIGEST_SIZE = 17 };
void plan_digest_text(const struct plan *plan, char text[PLAN_DIGEST_SIZE]);

/* Upper bound of what one attempt costs, in nano-USD: the main and final budgets at the template's price. */
int64_t plan_highest_cost(const struct plan *plan);

/* One planner per job kind (core/plan_<kind>.c): fills steps, budgets, run mode. */
enum code plan_code(const struct job *job, struct arena *arena, struct plan *plan,
                    const char **ret_message) MUST_USE;

const char *step_verb_name(enum step_verb verb);

#endif
