/* From the sources to the configuration that is in force: what follows from what, and what cannot be. */
#include "config/config.h"
#include "codec/catalog.h"
#include "config/builtin.h"
#include "config/sources.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCAL_URL "http://127.0.0.1:3010"
static const char local_key[] = "e2b_local"; /* the local service takes any */
enum { USUAL_CREATE_MILLI = 1000 };          /* E2B's Hobby plan: one a second */

static bool is_local(const char *url)
{
    return url && (strncmp(url, "http://127.0.0.1", 16) == 0 || strncmp(url, "http://localhost", 16) == 0 ||
                   strncmp(url, "http://[::1]", 12) == 0);
}

/* Which E2B: the real one, or the local service. */
static bool settle_mode(struct config *config, struct error *reterr)
{
    bool is_bare = !config->e2b_api_key && (!config->e2b_api_url || is_local(config->e2b_api_url));
    if (config->mode == MODE_AUTO)
        config->mode = is_bare ? MODE_SIMULATION : MODE_PRODUCTION;
    if (config->mode == MODE_PRODUCTION && !config->e2b_api_key)
        return error_set(
            reterr, ERROR_REJECTED, "config", 0,
            "e2b.api_key: production needs a key; set E2B_API_KEY, or mode=simulation for the local "
            "service");
    if (config->mode != MODE_SIMULATION)
        return true;
    if (!config->e2b_api_key)
        config->e2b_api_key = local_key;
    if (!config->e2b_api_url)
        config->e2b_api_url = LOCAL_URL;
    if (!config->e2b_sandbox_url)
        config->e2b_sandbox_url = config->e2b_api_url;
    return true;
}

static void settle_creates(struct config *config)
{
    if (config->create_milli_per_s < 0)
        config->create_milli_per_s = config->mode == MODE_SIMULATION ? 0 : USUAL_CREATE_MILLI;
    if (config->create_burst == 0)
        config->create_burst = MAX((config->create_milli_per_s + 999) / 1000, 1);
}

/* Interactive jobs find a share free, batch jobs leave one; where the limit is small no place is kept at
 * all. */
static void settle_classes(struct config *config)
{
    config->interactive_reserve = config->limit_global * config->interactive_percent / 100;
    config->class_max[PRIORITY_BATCH] = MAX(config->limit_global * config->batch_percent / 100, 1);
}

static void settle_names(struct config *config, struct arena *arena)
{
    char host[256] = "";
    if (gethostname(host, sizeof host - 1) != 0 || !*host)
        (void)snprintf(host, sizeof host, "worker");
    if (!config->worker_name)
        config->worker_name = arena_strndup(arena, host, strnlen(host, 128));
    if (!config->topics.stats)
        config->topics.stats = config->topics.results;
}

static struct template_entry *find_template(struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (strcmp(catalog->entries[i].name, name) == 0)
            return &catalog->entries[i];
    return NULL;
}

static bool settle_catalog(struct config *config, const json_t *templates, struct arena *arena,
                           struct error *reterr)
{
    char *overrides = json_dumps(templates, JSON_COMPACT);
    if (!overrides)
        base_die("jansson cannot write back what it has read");
    bool is_good =
        catalog_decode((struct bytes){builtin_catalog, builtin_catalog_length},
                       (struct bytes){overrides, strlen(overrides)}, arena, &config->catalog, reterr);
    free(overrides);
    for (size_t i = 0; is_good && i < config->limit_template_count; i++) {
        struct template_entry *entry = find_template(&config->catalog, config->limit_templates[i].name);
        if (!entry)
            return error_set(reterr, ERROR_REJECTED, "config", 0,
                             "limits.templates.%.64s: there is no template of this name",
                             config->limit_templates[i].name);
        entry->max_concurrent = config->limit_templates[i].max;
    }
    return is_good;
}

static bool read_sources(const struct config_input *input, struct assignment *assignment)
{
    struct environment environment = {.process = input->environment};
    if (input->env_file &&
        !source_env_file(input->env_file, assignment->arena, &environment.file, assignment->reterr))
        return false;
    return source_defaults(assignment) &&
           (!input->file || source_file(assignment, input->file, &environment)) &&
           source_environment(assignment, &environment) &&
           source_sets(assignment, input->sets, input->set_count);
}

bool config_load(const struct config_input *input, struct arena *arena, struct config *ret,
                 struct error *reterr)
{
    struct config config = {.create_milli_per_s = -1};
    json_auto_t *templates = json_object();
    struct assignment assignment = {
        .config = &config, .arena = arena, .templates = templates, .source = "default", .reterr = reterr};
    if (!read_sources(input, &assignment) || !settle_mode(&config, reterr) ||
        !settle_catalog(&config, templates, arena, reterr))
        return false;
    settle_creates(&config);
    settle_classes(&config);
    settle_names(&config, arena);
    *ret = config;
    return true;
}

/* ---- What is odd ---- */

enum { WARNINGS_MAX = 64, DRAIN_MARGIN_MS = 20000 };

struct warnings {
    struct arena *arena;
    const char **items;
    size_t count;
};

static void warn(struct warnings *warnings, const char *text)
{
    if (warnings->count < WARNINGS_MAX)
        warnings->items[warnings->count++] = text;
}

static void warn_of_templates(const struct config *config, struct warnings *warnings)
{
    for (size_t i = 0; i < config->catalog.count; i++) {
        const struct template_entry *entry = &config->catalog.entries[i];
        if (entry->run_mode == RUN_MODE_INTERPRETER && entry->timeout_ms + DRAIN_MARGIN_MS > config->drain_ms)
            warn(
                warnings,
                arena_printf(
                    warnings->arena,
                    "template %s: an interpreter run of up to %lld ms may outlast worker.drain_ms (%lld) and "
                    "start anew elsewhere; raise it, or use run_mode process",
                    entry->name, (long long)entry->timeout_ms, (long long)config->drain_ms));
    }
}

static void warn_of_limits(const struct config *config, struct warnings *warnings)
{
    struct arena *arena = warnings->arena;
    int64_t global = config->limit_global;
    if (config->limit_tenant > global)
        warn(warnings,
             arena_printf(arena, "limits.tenant (%lld) is above limits.global (%lld) and has no effect",
                          (long long)config->limit_tenant, (long long)global));
    for (size_t i = 0; i < config->limit_tenant_count; i++)
        if (config->limit_tenants[i].max > global)
            warn(warnings,
                 arena_printf(arena, "limits.tenants.%s is above limits.global (%lld) and has no effect",
                              config->limit_tenants[i].name, (long long)global));
    if (config->results_max_bytes < config->outputs.stdout_bytes + config->outputs.stderr_bytes)
        warn(warnings, arena_printf(arena,
                                    "results.max_bytes (%lld) is below outputs.stdout_bytes and "
                                    "outputs.stderr_bytes together: long outputs will be cut",
                                    (long long)config->results_max_bytes));
}

const char *config_e2b_place(const struct config *config)
{
    if (config->e2b_api_url)
        return config->e2b_api_url;
    return config->e2b_domain ? config->e2b_domain : "e2b.app";
}

void config_warnings(const struct config *config, struct arena *arena, struct text_list *ret)
{
    struct warnings warnings = {.arena = arena, .items = ARENA_ARRAY(arena, const char *, WARNINGS_MAX)};
    if (config->mode == MODE_SIMULATION)
        warn(&warnings,
             arena_printf(arena, "mode=simulation: sandboxes come from the local service at %s, not from E2B",
                          config->e2b_api_url));
    if (config->mode == MODE_PRODUCTION && config->e2b_api_url && !is_local(config->e2b_api_url) &&
        strncmp(config->e2b_api_url, "https://", 8) != 0)
        warn(&warnings, "e2b.api_url is not https: the key and all code travel in the clear");
    warn_of_templates(config, &warnings);
    warn_of_limits(config, &warnings);
    *ret = (struct text_list){warnings.items, warnings.count};
}
