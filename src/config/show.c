/* The table of keys, and the values in force, for people and for tools: print, JSON Schema, Markdown. */
#include "config/keys.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define VARIABLE_PATTERN "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}"

/* jansson fails here only for lack of memory or for a text that is no UTF-8, which loading has refused. */
static void set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        base_die("jansson cannot set \"%s\"", name);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

static void dump(const json_t *root, struct buffer *out)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    if (!text)
        base_die("jansson cannot write the configuration");
    buffer_append_text(out, text);
    buffer_append_byte(out, '\n');
    free(text);
}

/* ---- The values in force ---------------------------------------------------------------------------------
 */

/* Whether the value of a property of librdkafka is nobody's business. */
static bool is_secret_property(const char *name)
{
    static const char *const marks[] = {"password", "secret", "token", "sasl.jaas", "key.pem", "oauthbearer"};
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++)
        if (strcasestr(name, marks[i]))
            return true;
    return false;
}

/* "redis://user:***@host/0": what is no secret of a URL is worth seeing. */
static json_t *masked(const char *text)
{
    const char *scheme = strstr(text, "://"), *at = strrchr(text, '@');
    const char *start = scheme ? scheme + 3 : text;
    const char *colon = scheme && at && at > start ? memchr(start, ':', (size_t)(at - start)) : NULL;
    if (scheme && !at)
        return json_string(text);
    if (!colon)
        return json_string("***");
    CLEANUP(buffer_release) struct buffer shown = {0};
    buffer_append(&shown, text, (size_t)(colon + 1 - text));
    buffer_append_text(&shown, "***");
    buffer_append_text(&shown, at);
    return json_string(shown.data);
}

static json_t *texts(const struct text_list *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        if (json_array_append_new(array, json_string(list->items[i])) != 0)
            base_die("jansson cannot append");
    return array;
}

static json_t *pairs(const struct pair_list *list)
{
    json_t *object = json_object();
    for (size_t i = 0; i < list->count; i++)
        set(object, list->items[i].name,
            json_string(is_secret_property(list->items[i].name) ? "***" : list->items[i].value));
    return object;
}

static json_t *limits(const struct plan_limit *items, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++)
        set(object, items[i].name, json_integer(items[i].max));
    return object;
}

static json_t *milli(int64_t value)
{
    return value % 1000 == 0 ? json_integer(value / 1000) : json_real((double)value / 1000);
}

static json_t *output_limits(const struct output_limits *said)
{
    json_t *object = json_object();
    const struct {
        const char *name;
        int64_t value;
    } all[] = {{"stdout_bytes", said->stdout_bytes},
               {"stderr_bytes", said->stderr_bytes},
               {"artifact_bytes", said->artifact_bytes},
               {"artifact_count", said->artifact_count}};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++)
        if (all[i].value >= 0)
            set(object, all[i].name, json_integer(all[i].value));
    return object;
}

static json_t *template(const struct template_entry *entry)
{
    json_t *object = json_object(), *languages = json_array(), *packages = json_array(),
           *price = json_object();
    for (int i = 0; i < LANGUAGE_COUNT; i++)
        if (entry->languages & 1u << i)
            (void)json_array_append_new(languages, json_string(language_name((enum language)i)));
    for (size_t i = 0; i < entry->package_count; i++)
        (void)json_array_append_new(packages, json_pack("{ssss}", "name", entry->packages[i].name, "module",
                                                        entry->packages[i].module));
    set(price, "nano_usd_per_vcpu_s", json_integer(entry->nano_usd_per_vcpu_s));
    set(price, "nano_usd_per_gib_s", json_integer(entry->nano_usd_per_gib_s));
    set(object, "template_id", json_string(entry->template_id));
    set(object, "timeout_ms", json_integer(entry->timeout_ms));
    set(object, "memory_mb", json_integer(entry->memory_mb));
    set(object, "cpu_count", milli(entry->cpu_milli));
    set(object, "cpu_percent", json_integer(entry->cpu_percent));
    set(object, "run_mode", json_string(run_mode_name(entry->run_mode)));
    set(object, "languages", languages);
    set(object, "task_types", texts(&entry->task_types));
    set(object, "packages", packages);
    set(object, "limits", output_limits(&entry->limits));
    set(object, "max_concurrent", json_integer(entry->max_concurrent));
    set(object, "price", price);
    return object;
}

static json_t *templates(const struct catalog *catalog)
{
    json_t *object = json_object();
    for (size_t i = 0; i < catalog->count; i++)
        set(object, catalog->entries[i].name, template(&catalog->entries[i]));
    return object;
}

static json_t *value_of(const struct config *config, const struct config_key *key)
{
    const void *place = (const char *)config + key->offset;
    switch (key->type) {
    case CONFIG_TEXT:
    case CONFIG_CHOICE: {
        const char *text = *(const char *const *)place;
        return key->is_secret && text ? masked(text) : text_or_null(text);
    }
    case CONFIG_ENUM:
        return json_string(key->choices[*(const int *)place]);
    case CONFIG_INTEGER:
        return json_integer(*(const int64_t *)place);
    case CONFIG_RATE:
        return milli(*(const int64_t *)place);
    case CONFIG_BOOLEAN:
        return json_boolean(*(const bool *)place);
    case CONFIG_LIST:
        return texts(place);
    case CONFIG_PAIRS:
        return pairs(place);
    case CONFIG_LIMITS: {
        const struct config_limits *list = place;
        return limits(list->items, list->count);
    }
    case CONFIG_TEMPLATES:
        return templates(&config->catalog);
    }
    return json_null();
}

/* The object that holds the last part of a dotted name, made where it is missing: *ret_last is that part. */
static json_t *group_of(json_t *root, const char *name, const char **ret_last)
{
    const char *dot = strchr(name, '.');
    if (!dot) {
        *ret_last = name;
        return root;
    }
    char *group = base_strndup(name, (size_t)(dot - name));
    json_t *inner = json_object_get(root, group);
    if (!inner) {
        inner = json_object();
        set(root, group, inner);
    }
    free(group);
    return group_of(inner, dot + 1, ret_last);
}

void config_print(const struct config *config, struct buffer *out)
{
    json_auto_t *root = json_object();
    for (size_t i = 0; i < config_key_count; i++) {
        const char *last;
        json_t *group = group_of(root, config_keys[i].name, &last);
        set(group, last, value_of(config, &config_keys[i]));
    }
    dump(root, out);
}

/* ---- JSON Schema -----------------------------------------------------------------------------------------
 */

static json_t *integer_schema(int64_t min, int64_t max)
{
    json_t *schema = json_object();
    set(schema, "type", json_string("integer"));
    set(schema, "minimum", json_integer(min));
    set(schema, "maximum", json_integer(max));
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
    set(schema, "type", json_string("object"));
    set(schema, "additionalProperties", members);
    return schema;
}

static json_t *array_of(json_t *items)
{
    json_t *schema = json_object();
    set(schema, "type", json_string("array"));
    set(schema, "items", items);
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
    set(schema, "type", json_string("object"));
    set(schema, "properties", properties);
    set(schema, "additionalProperties", json_false());
    return schema;
}

static json_t *text_schema(void)
{
    return json_pack("{ss}", "type", "string");
}

static json_t *package_schema(void)
{
    json_t *properties = json_object();
    set(properties, "name", text_schema());
    set(properties, "module", text_schema());
    json_t *named = closed_object(properties);
    set(named, "required", json_pack("[s]", "name"));
    return json_pack("{s[oo]}", "anyOf", text_schema(), named);
}

static json_t *template_schema(void)
{
    json_t *properties = json_object(), *limit_names = json_object(), *prices = json_object();
    static const char *const bounds[] = {"stdout_bytes", "stderr_bytes", "artifact_bytes", "artifact_count"};
    for (size_t i = 0; i < ARRAY_LENGTH(bounds); i++)
        set(limit_names, bounds[i], integer_schema(0, i == 3 ? 10000 : 1 << 30));
    set(prices, "nano_usd_per_vcpu_s", integer_schema(0, 1000000000));
    set(prices, "nano_usd_per_gib_s", integer_schema(0, 1000000000));
    set(properties, "template_id", text_schema());
    set(properties, "timeout_ms", integer_schema(1000, 86400000));
    set(properties, "memory_mb", integer_schema(16, 1048576));
    set(properties, "cpu_count", json_pack("{sssf}", "type", "number", "exclusiveMinimum", 0.0));
    set(properties, "cpu_percent", integer_schema(0, 100));
    set(properties, "run_mode", json_pack("{s[ss]}", "enum", "interpreter", "process"));
    set(properties, "languages",
        array_of(
            json_pack("{s[ssssss]}", "enum", "python", "javascript", "typescript", "bash", "r", "java")));
    set(properties, "task_types", array_of(text_schema()));
    set(properties, "packages", array_of(package_schema()));
    set(properties, "limits", closed_object(limit_names));
    set(properties, "max_concurrent", integer_schema(0, 1000000));
    set(properties, "price", closed_object(prices));
    return json_pack("{s[oo]}", "anyOf", closed_object(properties), json_pack("{ss}", "type", "null"));
}

static json_t *key_schema(const struct config_key *key)
{
    switch (key->type) {
    case CONFIG_TEXT: {
        json_t *schema = text_schema();
        set(schema, "minLength", json_integer(key->min));
        set(schema, "maxLength", json_integer(key->max));
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
    set(schema, "description", json_string(text.data));
    if (!key->default_text)
        return schema;
    json_auto_t *typed = key->type == CONFIG_INTEGER || key->type == CONFIG_BOOLEAN
                             ? json_loads(key->default_text, JSON_DECODE_ANY, NULL)
                             : json_string(key->default_text);
    set(schema, "default", json_incref(typed));
    return schema;
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
        set(properties, group, inner);
    }
    free(group);
    return properties_of(inner, dot + 1, ret_last);
}

void config_schema(struct buffer *out)
{
    json_auto_t *root = json_object();
    set(root, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    set(root, "$id", json_string("urn:e2b-worker:config.v1"));
    set(root, "title", json_string("Configuration of e2b-worker"));
    set(root, "description",
        json_string(
            "The file given to --config. ${VAR} in a text is replaced by the environment's value. Every "
            "scalar can also be set by --set a.b=c, which wins over the environment, which wins over the "
            "file."));
    set(root, "type", json_string("object"));
    json_t *properties = json_object();
    set(properties, "$schema", text_schema());
    set(root, "properties", properties);
    set(root, "additionalProperties", json_false());
    for (size_t i = 0; i < config_key_count; i++) {
        const char *last;
        json_t *group = properties_of(root, config_keys[i].name, &last);
        set(group, last, described(&config_keys[i]));
    }
    dump(root, out);
}

/* ---- Markdown --------------------------------------------------------------------------------------------
 */

static void append_default(const struct config_key *key, struct buffer *out)
{
    if (key->absent)
        buffer_append_text(out, key->absent);
    else if (key->default_text)
        buffer_append_format(out, "`%s`", key->default_text);
    else
        buffer_append_text(out, "–");
}

void config_table(struct buffer *out)
{
    buffer_append_text(out, "| key | default | meaning |\n|---|---|---|\n");
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        buffer_append_format(out, "| `%s%s` | ", key->name, config_key_is_map(key) ? "{}" : "");
        append_default(key, out);
        buffer_append_format(out, " | %s", key->help);
        if (key->environment)
            buffer_append_format(out, "; environment `%s`", key->environment);
        buffer_append_text(out, " |\n");
    }
}
