/* The values in force as JSON, and the table of keys as Markdown. */
#include "config/keys.h"
#include "config/tree.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* ---- The values in force ---- */

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
        tree_set(object, list->items[i].name,
                 json_string(is_secret_property(list->items[i].name) ? "***" : list->items[i].value));
    return object;
}

static json_t *limits(const struct plan_limit *items, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; i < count; i++)
        tree_set(object, items[i].name, json_integer(items[i].max));
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
            tree_set(object, all[i].name, json_integer(all[i].value));
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
    tree_set(price, "nano_usd_per_vcpu_s", json_integer(entry->nano_usd_per_vcpu_s));
    tree_set(price, "nano_usd_per_gib_s", json_integer(entry->nano_usd_per_gib_s));
    tree_set(object, "template_id", json_string(entry->template_id));
    tree_set(object, "timeout_ms", json_integer(entry->timeout_ms));
    tree_set(object, "memory_mb", json_integer(entry->memory_mb));
    tree_set(object, "cpu_count", milli(entry->cpu_milli));
    tree_set(object, "cpu_percent", json_integer(entry->cpu_percent));
    tree_set(object, "run_mode", json_string(run_mode_name(entry->run_mode)));
    tree_set(object, "languages", languages);
    tree_set(object, "task_types", texts(&entry->task_types));
    tree_set(object, "packages", packages);
    tree_set(object, "limits", output_limits(&entry->limits));
    tree_set(object, "max_concurrent", json_integer(entry->max_concurrent));
    tree_set(object, "price", price);
    return object;
}

static json_t *templates(const struct catalog *catalog)
{
    json_t *object = json_object();
    for (size_t i = 0; i < catalog->count; i++)
        tree_set(object, catalog->entries[i].name, template(&catalog->entries[i]));
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
        tree_set(root, group, inner);
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
        tree_set(group, last, value_of(config, &config_keys[i]));
    }
    tree_dump(root, out);
}

/* ---- Markdown ---- */

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
