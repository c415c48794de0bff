/* The part of the configuration by which jobs are planned. */
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
