#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"
#include "core/catalog.h"
#include "core/limit.h"
#include "core/plan.h"

/* The configuration: one table of keys (config.c) from which the struct, the defaults, --set, the
 * environment, `config print`, the JSON Schema and the README's table come. Sources in rising order: default,
 * file, environment, --set. Unknown keys are errors that name the key and the nearest known one; ${VAR} in
 * strings is replaced. */

enum worker_mode { MODE_AUTO, MODE_PRODUCTION, MODE_SIMULATION };

struct config_topics {
    struct text_list jobs;   /* default ^e2b\.jobs\.[^.]+$ */
    const char *jobs_prefix; /* "e2b.jobs.": what stands before the task type in a topic's name */
    const char *retry;       /* "e2b.retry.": what stands before the tier's name */
    const char *results, *stats, *control, *dlq;
};

struct config {
    enum worker_mode mode; /* never AUTO once loaded: SIMULATION without E2B_API_KEY and E2B_API_URL */
    const char *deployment, *ledger;

    const char *kafka_bootstrap_servers, *kafka_group_id, *kafka_assignor;
    struct pair_list kafka_properties;
    struct config_topics topics;

    const char *redis_url;

    const char *e2b_api_key, *e2b_domain, *e2b_api_url, *e2b_sandbox_url, *e2b_ca_file;

    const char *worker_name; /* default: the host's name */
    int64_t max_in_flight, max_bytes, drain_ms;

    int64_t limit_global, limit_tenant;       /* 0: none (tenant) */
    int64_t create_milli_per_s, create_burst; /* 0: unlimited */
    struct plan_limit *limit_tenants;         /* by tenant id */
    size_t limit_tenant_count;
    struct plan_limit *limit_templates; /* by template name */
    size_t limit_template_count;
    struct pair_list tenants_by_topic;
    struct plan_limit *tenant_weights;
    size_t tenant_weight_count;
    int64_t interactive_percent, batch_percent; /* of the global limit: kept free for, at most taken by */
    int64_t class_max[PRIORITY_COUNT];          /* derived: percent of the global limit, 0: all of it */
    int64_t interactive_reserve;                /* derived likewise */

    struct output_limits outputs;
    const char *results_delivery; /* "at_least_once", "transactional" */
    int64_t results_transaction_ms;
    int64_t results_max_bytes, job_max_bytes;
    int64_t queue_timeout_ms;
    bool lifecycle_events;
    int64_t stats_interval_ms;
    int64_t max_attempts, retry_max_crashes;
    int64_t redis_outage_hold_ms, ledger_readback_ms;

    const char *http_listen;
    enum log_level log_level;
    struct pair_list log_components; /* component -> level name */

    struct catalog catalog;
};

struct config_input {
    const char *file;        /* --config; NULL: none */
    const char *env_file;    /* --env-file; NULL: none */
    const char *const *sets; /* --set a.b=c */
    size_t set_count;
    char *const *environment; /* environ */
};

/* Everything in *ret lies in the arena. Returns: false with a sentence that names key, value and what is
 * allowed. */
bool config_load(const struct config_input *input, struct arena *arena, struct config *ret,
                 struct error *reterr) MUST_USE;

/* What is odd but works, one sentence each: for the log at start and for `doctor`. */
void config_warnings(const struct config *config, struct arena *arena, struct text_list *ret);

/* Where E2B is, for messages: the address that is set, else the domain. Borrows from the configuration. */
const char *config_e2b_place(const struct config *config);

/* Places that a limit has by the configuration. Returns: -1 for one without a bound of its own. */
int64_t config_limit_max(const struct config *config, const struct limit *limit);

/* What jobs are planned by. Borrows from the configuration. */
struct plan_rules config_plan_rules(const struct config *config);

/* The effective configuration as JSON, secrets masked. */
void config_print(const struct config *config, struct buffer *out);
/* The JSON Schema of the file, and the Markdown table of the README, from the same table. */
void config_schema(struct buffer *out);
void config_table(struct buffer *out);

#endif
