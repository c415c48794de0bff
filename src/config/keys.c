/* The keys of the configuration, each with all that is to be known of it. */
#include "config/keys.h"
#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(struct config, member)
#define MIB        (1024LL * 1024)
#define DAY_MS     (24LL * 60 * 60 * 1000)

static const char *const modes[] = {"auto", "production", "simulation", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", "none", NULL};
static const char *const assignors[] = {"eager", "cooperative-sticky", NULL};
static const char *const deliveries[] = {"at_least_once", "transactional", NULL};

/* In the order of enum worker_mode and enum log_level. */
_Static_assert(MODE_AUTO == 0 && MODE_PRODUCTION == 1 && MODE_SIMULATION == 2, "order of modes");
_Static_assert(LOG_LEVEL_DEBUG == 0 && LOG_LEVEL_NONE == 4, "order of levels");

/* clang-format off */
const struct config_key config_keys[] = {
    {"mode", CONFIG_ENUM, AT(mode), "auto", .choices = modes,
     .help = "production needs E2B; simulation uses the local service; auto is simulation without E2B_API_KEY and E2B_API_URL"},
    {"deployment", CONFIG_TEXT, AT(deployment), "default", 1, 64,
     .help = "name of this installation in events, metadata of sandboxes and metrics"},
    {"ledger", CONFIG_TEXT, AT(ledger), "default", 1, 64,
     .help = "name of the records in Redis; one per E2B account"},

    {"kafka.bootstrap_servers", CONFIG_TEXT, AT(kafka_bootstrap_servers), "127.0.0.1:9092", 1, 4096,
     .environment = "KAFKA_BOOTSTRAP_SERVERS", .help = "brokers, host:port with commas between"},
    {"kafka.group_id", CONFIG_TEXT, AT(kafka_group_id), "e2b-worker", 1, 249,
     .help = "consumer group of all workers of a deployment"},
    {"kafka.assignor", CONFIG_CHOICE, AT(kafka_assignor), "eager", .choices = assignors,
     .help = "how partitions are handed over; cooperative-sticky needs librdkafka 2.10, and members must not mix"},
    {"kafka.properties", CONFIG_PAIRS, AT(kafka_properties),
     .help = "any property of librdkafka, as security.protocol; wins over ours"},

    {"topics.jobs", CONFIG_LIST, AT(topics.jobs), "^e2b\\.jobs\\.[^.]+$",
     .help = "topics to take jobs from; a name that begins with ^ is a pattern"},
    {"topics.jobs_prefix", CONFIG_TEXT, AT(topics.jobs_prefix), "e2b.jobs.", 1, 240,
     .help = "what stands before the task type in the name of a job topic"},
    {"topics.retry", CONFIG_TEXT, AT(topics.retry), "e2b.retry.", 1, 240,
     .help = "what stands before 1m, 10m and 1h in the names of the topics in which jobs wait"},
    {"topics.results", CONFIG_TEXT, AT(topics.results), "e2b.results", 1, 249,
     .help = "results and lifecycle events of jobs"},
    {"topics.stats", CONFIG_TEXT, AT(topics.stats), NULL, 1, 249,
     .help = "statistics of workers", .absent = "topics.results"},
    {"topics.control", CONFIG_TEXT, AT(topics.control), "e2b.control", 1, 249, .help = "cancellations"},
    {"topics.dlq", CONFIG_TEXT, AT(topics.dlq), "e2b.dlq", 1, 249,
     .help = "records that can never become a job, and jobs that keep killing workers"},

    {"redis.url", CONFIG_TEXT, AT(redis_url), "redis://127.0.0.1:6379/0", 1, 4096, .environment = "REDIS_URL",
     .help = "redis://[user:password@]host[:port][/database] or unix:/path; no TLS", .is_secret = true},

    {"e2b.api_key", CONFIG_TEXT, AT(e2b_api_key), NULL, 1, 1024, .environment = "E2B_API_KEY",
     .help = "key of the E2B account", .absent = "simulation", .is_secret = true},
    {"e2b.domain", CONFIG_TEXT, AT(e2b_domain), NULL, 1, 253, .environment = "E2B_DOMAIN",
     .help = "domain of the E2B installation", .absent = "e2b.app"},
    {"e2b.api_url", CONFIG_TEXT, AT(e2b_api_url), NULL, 1, 2048, .environment = "E2B_API_URL",
     .help = "replaces https://api.DOMAIN", .absent = "from the domain; in simulation http://127.0.0.1:3010"},
    {"e2b.sandbox_url", CONFIG_TEXT, AT(e2b_sandbox_url), NULL, 1, 2048, .environment = "E2B_SANDBOX_URL",
     .help = "replaces the host of every sandbox", .absent = "from the domain; in simulation http://127.0.0.1:3010"},
    {"e2b.ca_file", CONFIG_TEXT, AT(e2b_ca_file), NULL, 1, 4096,
     .help = "certificates that E2B's are checked against", .absent = "the system's"},

    {"worker.name", CONFIG_TEXT, AT(worker_name), NULL, 1, 128,
     .help = "name of this worker in logs and events", .absent = "the host's name"},
    {"worker.max_in_flight", CONFIG_INTEGER, AT(max_in_flight), "256", 1, 100000,
     .help = "jobs past the queue and not finished, at most; twice that with runs that dead workers left, where open files allow; as many again may wait in memory"},
    {"worker.max_bytes", CONFIG_INTEGER, AT(max_bytes), "268435456", 16 * MIB, 1024 * 1024 * MIB,
     .help = "memory of all jobs, in flight and waiting, at most; twice that with what dead workers left"},
    {"worker.drain_ms", CONFIG_INTEGER, AT(drain_ms), "620000", 0, 7 * DAY_MS,
     .help = "how long running jobs may go on after SIGTERM; the rest is handed over"},

    {"limits.global", CONFIG_INTEGER, AT(limit_global), "19", 1, 100000,
     .help = "live sandboxes of the ledger, at most; keep it one below E2B's own limit"},
    {"limits.tenant", CONFIG_INTEGER, AT(limit_tenant), "0", 0, 100000,
     .help = "live sandboxes of each tenant, at most; 0: no such limit"},
    {"limits.create_per_second", CONFIG_RATE, AT(create_milli_per_s), NULL, 0, 1000000000,
     .help = "sandboxes created per second by all workers together, at most; 0: unlimited",
     .absent = "1; unlimited in simulation"},
    {"limits.create_burst", CONFIG_INTEGER, AT(create_burst), NULL, 1, 100000,
     .help = "creates that may come at once after a pause", .absent = "as many as come in a second"},
    {"limits.interactive_percent", CONFIG_INTEGER, AT(interactive_percent), "20", 0, 100,
     .help = "share of the global limit that other classes leave free for interactive jobs"},
    {"limits.batch_percent", CONFIG_INTEGER, AT(batch_percent), "70", 1, 100,
     .help = "share of the global limit that batch jobs take, at most"},
    {"limits.tenants", CONFIG_LIMITS, AT(limit_tenants), .min = 1, .max = 100000,
     .help = "live sandboxes of single tenants, at most, by tenant id"},
    {"limits.templates", CONFIG_LIMITS, AT(limit_templates), .min = 1, .max = 100000,
     .help = "live sandboxes of single templates, at most, by name"},

    {"tenants.by_topic", CONFIG_PAIRS, AT(tenants_by_topic),
     .help = "tenant of all jobs of a topic, by topic; the jobs' own word is not trusted then"},
    {"tenants.weights", CONFIG_LIMITS, AT(tenant_weights), .min = 1, .max = 1000,
     .help = "share of a tenant where limits are contended, by tenant id; 1 where not named"},

    {"templates", CONFIG_TEMPLATES, 0,
     .help = "templates over the built-in catalogue: fields override, new names add, null removes"},

    {"jobs.max_bytes", CONFIG_INTEGER, AT(job_max_bytes), "1048576", 1024, 64 * MIB,
     .help = "size of a job's record, at most"},
    {"queue.timeout_ms", CONFIG_INTEGER, AT(queue_timeout_ms), "86400000", 1000, 30 * DAY_MS,
     .help = "a job that waited longer than this ends with QUEUE_TIMEOUT"},

    {"outputs.stdout_bytes", CONFIG_INTEGER, AT(outputs.stdout_bytes), "65536", 0, 64 * MIB,
     .help = "stdout kept of a job: its head and its tail"},
    {"outputs.stderr_bytes", CONFIG_INTEGER, AT(outputs.stderr_bytes), "65536", 0, 64 * MIB,
     .help = "stderr kept of a job: its head and its tail"},
    {"outputs.artifact_bytes", CONFIG_INTEGER, AT(outputs.artifact_bytes), "524288", 0, 64 * MIB,
     .help = "inline artifacts of a job, all together"},
    {"outputs.artifact_count", CONFIG_INTEGER, AT(outputs.artifact_count), "16", 0, 1000,
     .help = "artifacts of a job, at most"},

    {"results.delivery", CONFIG_CHOICE, AT(results_delivery), "at_least_once", .choices = deliveries,
     .help = "at_least_once: a repeated result has the same ce_id and verdict; transactional: who reads read_committed sees none"},
    {"results.transaction_ms", CONFIG_INTEGER, AT(results_transaction_ms), "200", 100, 500,
     .help = "results are gathered for so long before a transaction, where results.delivery is transactional"},
    {"results.max_bytes", CONFIG_INTEGER, AT(results_max_bytes), "921600", 4096, 64 * MIB,
     .help = "size of a result's record, at most; what is large is left out first, the verdict never"},

    {"events.lifecycle", CONFIG_BOOLEAN, AT(lifecycle_events), "true",
     .help = "publish started, waiting and retrying events"},
    {"stats.interval_ms", CONFIG_INTEGER, AT(stats_interval_ms), "10000", 100, DAY_MS,
     .help = "time between two statistics events"},
    {"retry.max_attempts", CONFIG_INTEGER, AT(max_attempts), "3", 1, 10,
     .help = "attempts of a job when the infrastructure fails"},
    {"retry.max_crashes", CONFIG_INTEGER, AT(retry_max_crashes), "3", 1, 100,
     .help = "a job over which so many workers died ends with WORKER_CRASHED"},
    {"redis.outage_hold_ms", CONFIG_INTEGER, AT(redis_outage_hold_ms), "60000", 1000, DAY_MS,
     .help = "Redis away for so long: a finished result is published without its seal, and says so; with transactions at once"},
    {"redis.readback_ms", CONFIG_INTEGER, AT(ledger_readback_ms), "600000", 60000, DAY_MS,
     .help = "a ledger that lost its memory learns what is done from so much of the results topic, at least"},

    {"http.listen", CONFIG_TEXT, AT(http_listen), "127.0.0.1:9464", 1, 256,
     .help = "address of /healthz, /readyz, /metrics and /stats; port 0: any free one"},
    {"log.level", CONFIG_ENUM, AT(log_level), "info", .choices = levels, .help = "what is logged"},
    {"log.components", CONFIG_PAIRS, AT(log_components), .choices = levels,
     .help = "level of single components: worker, kafka, redis"},
};
/* clang-format on */
const size_t config_key_count = ARRAY_LENGTH(config_keys);

const struct config_group config_groups[] = {
    {"kafka", "the cluster, and how this worker takes part in it"},
    {"topics", "names of topics"},
    {"redis", "where claims and limits are kept"},
    {"e2b", "the account, and where its service is"},
    {"worker", "this worker itself"},
    {"limits", "how many sandboxes may live, and be created, at once; all workers of a ledger need the same"},
    {"tenants", "who a job belongs to, and what share that is"},
    {"jobs", "what is taken in"},
    {"queue", "jobs that wait for their turn"},
    {"outputs", "what is kept of a job's output; a template may replace it, a job may ask for less"},
    {"results", "the terminal event of a job"},
    {"events", "the other events of a job"},
    {"stats", "statistics of this worker"},
    {"retry", "attempts after a failure of the infrastructure"},
    {"http", "the worker over HTTP"},
    {"log", "lines on standard error"},
};
const size_t config_group_count = ARRAY_LENGTH(config_groups);

bool config_key_is_map(const struct config_key *key)
{
    return key->type == CONFIG_PAIRS || key->type == CONFIG_LIMITS || key->type == CONFIG_TEMPLATES;
}

static bool is_below(const char *name, const char *group)
{
    size_t length = strlen(group);
    return strncmp(name, group, length) == 0 && name[length] == '.' && name[length + 1];
}

const struct config_key *config_key_find(const char *name, const char **ret_member)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        bool is_member = config_key_is_map(key) && is_below(name, key->name);
        if (!is_member && strcmp(key->name, name) != 0)
            continue;
        *ret_member = is_member ? name + strlen(key->name) + 1 : NULL;
        return key;
    }
    return NULL;
}

bool config_key_is_group(const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (is_below(config_keys[i].name, name))
            return true;
    return false;
}

const char *config_key_near(const char *name)
{
    const char *names[ARRAY_LENGTH(config_keys)];
    for (size_t i = 0; i < config_key_count; i++)
        names[i] = config_keys[i].name;
    const char *near = nearest_name(name, names, config_key_count);
    if (near || strchr(name, '.'))
        return near;
    const char *groups[ARRAY_LENGTH(config_groups)];
    for (size_t i = 0; i < config_group_count; i++)
        groups[i] = config_groups[i].name;
    return nearest_name(name, groups, config_group_count);
}

bool config_choice_find(const struct config_key *key, const char *text, int *ret)
{
    for (int i = 0; key->choices[i]; i++)
        if (strcmp(key->choices[i], text) == 0) {
            *ret = i;
            return true;
        }
    return false;
}
