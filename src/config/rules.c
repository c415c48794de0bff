/* The part of the configuration by which jobs are planned, and held back. */
#include "config/config.h"

#include <string.h>

struct plan_rules config_plan_rules(const struct config *config)
{
    struct plan_rules rules = {.global_max = config->limit_global,
                               .tenant_max = config->limit_tenant,
                               .interactive_reserve = config->interactive_reserve,
                               .tenants = config->limit_tenants,
                               .tenant_count = config->limit_tenant_count,
                               .weights = config->tenant_weights,
                               .weight_count = config->tenant_weight_count,
                               .outputs = config->outputs,
                               .max_attempts = config->max_attempts};
    memcpy(rules.class_max, config->class_max, sizeof rules.class_max);
    return rules;
}

static int64_t tenant_max(const struct config *config, const char *tenant)
{
    for (size_t i = 0; i < config->limit_tenant_count; i++)
        if (strcmp(config->limit_tenants[i].name, tenant) == 0)
            return config->limit_tenants[i].max;
    return config->limit_tenant;
}

static int64_t template_max(const struct config *config, const char *name)
{
    const struct template_entry *entry = catalog_find(&config->catalog, name);
    return entry ? entry->max_concurrent : 0;
}

static int64_t class_max(const struct config *config, const char *name)
{
    enum priority priority;
    return priority_parse(name, &priority) ? config->class_max[priority] : 0;
}

static int64_t reserve_of(const struct config *config, const char *name)
{
    return strcmp(name, priority_name(PRIORITY_INTERACTIVE)) == 0 ? config->interactive_reserve : 0;
}

static int64_t or_none(int64_t max)
{
    return max > 0 ? max : -1;
}

int64_t config_limit_max(const struct config *config, const struct limit *limit)
{
    switch (limit->kind) {
    case LIMIT_GLOBAL:
        return config->limit_global;
    case LIMIT_TENANT:
        return or_none(tenant_max(config, limit->of));
    case LIMIT_TEMPLATE:
        return or_none(template_max(config, limit->of));
    case LIMIT_CLASS:
        return or_none(class_max(config, limit->of));
    case LIMIT_SESSION: /* its jobs run one after the other */
        return 1;
    case LIMIT_RESERVE:
        return or_none(reserve_of(config, limit->of));
    case LIMIT_CREATE_RATE: /* has no places */
        return -1;
    }
    return -1;
}
