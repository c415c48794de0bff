/* The JSON Schema of the configuration, from the table of keys. */
#include "config/keys.h"
#include "config/tree.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VARIABLE_PATTERN "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}"

/* A sentence goes with every property. */
static void say(json_t *schema, const char *help)
{
    CLEANUP(base_freep) char *sentence = base_printf("%s.", help);
    tree_set(schema, "description", json_string(sentence));
}

static void put(json_t *properties, const char *name, json_t *schema, const char *help)
{
    say(schema, help);
    tree_set(properties, name, schema);
}

static json_t *integer_schema(int64_t min, int64_t max)
{
    json_t *schema = json_object();
    tree_set(schema, "type", json_string("integer"));
    tree_set(schema, "minimum", json_integer(min));
    tree_set(schema, "maximum", json_integer(max));
    return schema;
}

/* A number, or a text that an environment variable becomes one from. */
static json_t *or_variable(json_t *schema)
{
    json_t *variable = json_pack("{ssss}", "type", "string", "pattern", VARIABLE_PATTERN);
    return json_pack("{s[oo]}", "anyOf", schema, variable);
}

static json_t *object_of(json_t *members)
{
    json_t *schema = json_object();
    tree_set(schema, "type", json_string("object"));
    tree_set(schema, "additionalProperties", members);
    return schema;
}

static json_t *array_of(json_t *items)
{
    json_t *schema = json_object();
    tree_set(schema, "type", json_string("array"));
    tree_set(schema, "items", items);
    return schema;
}

static json_t *choice_schema(const struct config_key *key)
{
    json_t *names = json_array();
    for (size_t i = 0; key->choices[i]; i++)
        (void)json_array_append_new(names, json_string(key->choices[i]));
    return json_pack("{so}", "enum", names);
}

static json_t *closed_object(json_t *properties)
{
    json_t *schema = json_object();
    tree_set(schema, "type", json_string("object"));
    tree_set(schema, "properties", properties);
    tree_set(schema, "additionalProperties", json_false());
    return schema;
}

static json_t *text_schema(void)
{
    return json_pack("{ss}", "type", "string");
}

static json_t *package_schema(void)
{
    json_t *properties = json_object();
    put(properties, "name", text_schema(), "as it is installed: scikit-learn");
    put(properties, "module", text_schema(), "as it is imported: sklearn; absent: by its name");
    json_t *named = closed_object(properties);
    tree_set(named, "required", json_pack("[s]", "name"));
    return json_pack("{s[oo]}", "anyOf", text_schema(), named);
}

static json_t *bounds_schema(void)
{
    json_t *properties = json_object();
    put(properties, "stdout_bytes", integer_schema(0, 1 << 30),
        "stdout kept of a job: its head and its tail");
    put(properties, "stderr_bytes", integer_schema(0, 1 << 30),
        "stderr kept of a job: its head and its tail");
    put(properties, "artifact_bytes", integer_schema(0, 1 << 30), "inline artifacts of a job, all together");
    put(properties, "artifact_count", integer_schema(0, 10000), "artifacts of a job, at most");
    return closed_object(properties);
}

static json_t *price_schema(void)
{
    json_t *properties = json_object();
    put(properties, "nano_usd_per_vcpu_s", integer_schema(0, 1000000000),
        "billionths of a dollar for each vCPU and second");
    put(properties, "nano_usd_per_gib_s", integer_schema(0, 1000000000),
        "billionths of a dollar for each GiB of memory and second");
    return closed_object(properties);
}

static json_t *languages_schema(void)
{
    return array_of(
        json_pack("{s[ssssss]}", "enum", "python", "javascript", "typescript", "bash", "r", "java"));
}

static json_t *template_schema(void)
{
    json_t *properties = json_object();
    put(properties, "template_id", text_schema(), "E2B's name or id of the template; a new entry needs one");
    put(properties, "timeout_ms", integer_schema(1000, 86400000), "longest run of a job");
    put(properties, "memory_mb", integer_schema(16, 1048576),
        "memory of the sandbox, as the template was built in E2B");
    put(properties, "cpu_count", json_pack("{sssf}", "type", "number", "exclusiveMinimum", 0.0),
        "vCPUs of the sandbox, as the template was built in E2B");
    put(properties, "cpu_percent", integer_schema(0, 100),
        "share of one core that a process may take; 0: no bound");
    put(properties, "run_mode", json_pack("{s[ss]}", "enum", "interpreter", "process"),
        "how jobs run that do not say it: by E2B's code interpreter, or as a process");
    put(properties, "languages", languages_schema(), "languages that it offers");
    put(properties, "task_types", array_of(text_schema()),
        "task types whose jobs run in it when they name no template");
    put(properties, "packages", array_of(package_schema()),
        "packages that are installed in it, for jobs that require them");
    put(properties, "limits", bounds_schema(),
        "what is kept of a job's output; replaces the values of outputs");
    put(properties, "max_concurrent", integer_schema(0, 1000000),
        "live sandboxes of it, at most, all workers together; 0: no such limit; limits.templates replaces "
        "it");
    put(properties, "price", price_schema(), "what a sandbox costs");
    return json_pack("{s[oo]}", "anyOf", closed_object(properties), json_pack("{ss}", "type", "null"));
}

static json_t *key_schema(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_TEXT: {
        json_t *schema = text_schema();
        tree_set(schema, "minLength", json_integer(key->min));
        tree_set(schema, "maxLength", json_integer(key->max));
        return schema;
    }
    case CONFIG_CHOICE:
    case CONFIG_ENUM:
        return choice_schema(key);
    case CONFIG_INTEGER:
        return or_variable(integer_schema(key->min, key->max));
    case CONFIG_RATE:
        return or_variable(json_pack("{sssIsI}", "type", "number", "minimum", (json_int_t)0, "maximum",
                                     (json_int_t)(key->max / 1000)));
    case CONFIG_BOOLEAN:
        return or_variable(json_pack("{ss}", "type", "boolean"));
    case CONFIG_LIST:
        return json_pack("{s[oo]}", "anyOf", text_schema(), array_of(text_schema()));
    case CONFIG_PAIRS:
        return object_of(key->choices ? choice_schema(key)
                                      : json_pack("{s[sss]}", "type", "string", "number", "boolean"));
    case CONFIG_LIMITS:
        return object_of(integer_schema(key->min, key->max));
    case CONFIG_TEMPLATES:
        return object_of(template_schema());
    }
    return json_object();
}

/* null stands for "not said", which is what an absent key means. */
static json_t *or_null(const struct config_key *key, json_t *schema)
{
    return key->absent ? json_pack("{s[oo]}", "anyOf", schema, json_pack("{ss}", "type", "null")) : schema;
}

static json_t *described(const struct config_key *key)
{
    json_t *schema = or_null(key, key_schema(key));
    CLEANUP(buffer_release) struct buffer text = {0};
    buffer_append_text(&text, key->help);
    buffer_append_byte(&text, '.');
    if (key->environment)
        buffer_append_format(&text, " Environment: %s.", key->environment);
    if (key->absent)
        buffer_append_format(&text, " Default: %s.", key->absent);
    tree_set(schema, "description", json_string(text.data));
    if (!key->default_text)
        return schema;
    json_auto_t *typed = key->type == CONFIG_INTEGER || key->type == CONFIG_BOOLEAN
                             ? json_loads(key->default_text, JSON_DECODE_ANY, NULL)
                             : json_string(key->default_text);
    tree_set(schema, "default", json_incref(typed));
    return schema;
}

static const char *help_of_group(const char *name)
{
    size_t i = 0;
    while (i < config_group_count && strcmp(config_groups[i].name, name) != 0)
        i++;
    assert(i < config_group_count);
    return config_groups[i].help;
}

/* The properties of the group that a key lies in, made where they are missing. */
static json_t *properties_of(json_t *schema, const char *name, const char **ret_last)
{
    json_t *properties = json_object_get(schema, "properties");
    const char *dot = strchr(name, '.');
    if (!dot) {
        *ret_last = name;
        return properties;
    }
    char *group = base_strndup(name, (size_t)(dot - name));
    json_t *inner = json_object_get(properties, group);
    if (!inner) {
        inner = closed_object(json_object());
        put(properties, group, inner, help_of_group(group));
    }
    free(group);
    return properties_of(inner, dot + 1, ret_last);
}

void config_schema(struct buffer *out)
{
    json_auto_t *root = json_object();
    tree_set(root, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    tree_set(root, "$id", json_string("urn:e2b-worker:config.v1"));
    tree_set(root, "title", json_string("Configuration of e2b-worker"));
    tree_set(
        root, "description",
        json_string(
            "The file given to --config. ${VAR} in a text is replaced by the environment's value. Every "
            "scalar can also be set by --set a.b=c, which wins over the environment, which wins over the "
            "file."));
    tree_set(root, "type", json_string("object"));
    json_t *properties = json_object();
    put(properties, "$schema", text_schema(), "for editors; not looked at");
    tree_set(root, "properties", properties);
    tree_set(root, "additionalProperties", json_false());
    for (size_t i = 0; i < config_key_count; i++) {
        const char *last;
        json_t *group = properties_of(root, config_keys[i].name, &last);
        tree_set(group, last, described(&config_keys[i]));
    }
    tree_dump(root, out);
}
