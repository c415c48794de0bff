/* One value of one key: checked, then put into its place. */
#include "config/assign.h"
#include "codec/job.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS_MAX = 4096, TEXT_BYTES_MAX = 4096 };

static bool fail(struct assignment *assignment, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
static bool fail(struct assignment *assignment, const char *name, const char *format, ...)
{
    char sentence[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return error_set(assignment->reterr, ERROR_REJECTED, "config", 0, "%s (%s): %s", name, assignment->source,
                     sentence);
}

static void *place(struct assignment *assignment, const struct config_key *key)
{
    return (char *)assignment->config + key->offset;
}

/* What was found, for messages. Never a text: it may be a secret in the wrong place. */
static const char *found(const json_t *value, char text[48])
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return json_string_length(value) == 0 ? "an empty text" : "a text";
    case JSON_INTEGER:
        (void)snprintf(text, 48, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return text;
    case JSON_REAL:
        (void)snprintf(text, 48, "%g", json_real_value(value));
        return text;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return "?";
}

static const char *text_of(const json_t *value)
{
    return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value)
               ? json_string_value(value)
               : NULL;
}

static bool assign_string(struct assignment *assignment, const struct config_key *key, json_t *value)
{
    char buffer[48];
    const char *text = text_of(value);
    if (!text || (int64_t)strlen(text) < key->min || (int64_t)strlen(text) > key->max)
        return fail(assignment, key->name, "must be a text of %" PRId64 " to %" PRId64 " bytes, found %s",
                    key->min, key->max, found(value, buffer));
    *(const char **)place(assignment, key) = arena_strdup(assignment->arena, text);
    return true;
}

static void join_choices(const struct config_key *key, char *text, size_t size)
{
    size_t length = 0;
    for (size_t i = 0; key->choices[i] && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "", key->choices[i]);
}

static bool assign_choice(struct assignment *assignment, const struct config_key *key, json_t *value)
{
    char choices[100], buffer[48];
    const char *text = text_of(value);
    int index = 0;
    join_choices(key, choices, sizeof choices);
    if (!text || !config_choice_find(key, text, &index))
        return fail(assignment, key->name, "must be one of %s; found %.30s%s%.20s", choices, text ? "\"" : "",
                    text ? text : found(value, buffer), text ? "\"" : "");
    if (key->type == CONFIG_ENUM)
        *(int *)place(assignment, key) = index;
    else
        *(const char **)place(assignment, key) = key->choices[index];
    return true;
}

static bool check_number(struct assignment *assignment, const char *name, const struct config_key *key,
                         const json_t *value, int64_t *ret)
{
    char buffer[48];
    double real = json_is_real(value) ? json_real_value(value) : 0.5;
    bool is_whole = json_is_integer(value) || (fabs(real) < 1e15 && real == floor(real));
    int64_t number = json_is_integer(value) ? json_integer_value(value) : is_whole ? (int64_t)real : 0;
    if (!is_whole || number < key->min || number > key->max)
        return fail(assignment, name, "must be an integer from %" PRId64 " to %" PRId64 ", found %s",
                    key->min, key->max, found(value, buffer));
    *ret = number;
    return true;
}

static bool assign_rate(struct assignment *assignment, const struct config_key *key, const json_t *value)
{
    char buffer[48];
    double number = json_is_number(value) ? json_number_value(value) : -1;
    if (!(number >= 0 && number * 1000 <= (double)key->max) || (number > 0 && number < 0.001))
        return fail(assignment, key->name, "must be a number from 0.001 to %" PRId64 ", or 0, found %s",
                    key->max / 1000, found(value, buffer));
    *(int64_t *)place(assignment, key) = (int64_t)llround(number * 1000);
    return true;
}

static bool assign_list(struct assignment *assignment, const struct config_key *key, json_t *value)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;
    struct text_list list = {.items = ARENA_ARRAY(assignment->arena, const char *, MIN(count, MEMBERS_MAX))};
    for (size_t i = 0; i < count && i < MEMBERS_MAX; i++) {
        const char *text = text_of(json_is_array(value) ? json_array_get(value, i) : value);
        if (!text || !*text || strlen(text) > TEXT_BYTES_MAX)
            return fail(assignment, key->name, "must be a text, or an array of texts that are not empty");
        list.items[list.count++] = arena_strdup(assignment->arena, text);
    }
    if (count == 0 || count > MEMBERS_MAX)
        return fail(assignment, key->name, "must have 1 to %d elements", MEMBERS_MAX);
    *(struct text_list *)place(assignment, key) = list;
    return true;
}

/* Numbers and truth values are taken as texts: "acks": 1. */
static const char *pair_text(struct assignment *assignment, const json_t *value)
{
    char buffer[48];
    if (json_is_string(value))
        return text_of(value) ? arena_strdup(assignment->arena, text_of(value)) : NULL;
    return json_is_number(value) || json_is_boolean(value)
               ? arena_strdup(assignment->arena, found(value, buffer))
               : NULL;
}

static bool assign_pair(struct assignment *assignment, const struct config_key *key, const char *name,
                        const json_t *value)
{
    struct pair_list *list = place(assignment, key);
    const char *text = pair_text(assignment, value);
    int ignored;
    if (!text || strlen(text) > TEXT_BYTES_MAX || (key->choices && !config_choice_find(key, text, &ignored)))
        return fail(assignment, key->name, "%.60s: must be a text%s", name,
                    key->choices ? " out of debug, info, warn, error, none" : "");
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) {
            list->items[i].value = text;
            return true;
        }
    struct pair *grown = ARENA_ARRAY(assignment->arena, struct pair, list->count + 1);
    if (list->count > 0)
        memcpy(grown, list->items, sizeof *grown * list->count);
    grown[list->count] = (struct pair){arena_strdup(assignment->arena, name), text};
    *list = (struct pair_list){grown, list->count + 1};
    return true;
}

static bool assign_limit(struct assignment *assignment, const struct config_key *key, const char *name,
                         const json_t *value)
{
    struct config_limits *list = place(assignment, key);
    int64_t max = 0;
    char full[128];
    (void)snprintf(full, sizeof full, "%s.%.64s", key->name, name);
    if (!job_is_name(name))
        return fail(assignment, key->name,
                    "\"%.40s\" is no name: 1 to 64 characters out of A-Z a-z 0-9 . _ : -", name);
    if (!check_number(assignment, full, key, value, &max))
        return false;
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) {
            list->items[i].max = max;
            return true;
        }
    struct plan_limit *grown = ARENA_ARRAY(assignment->arena, struct plan_limit, list->count + 1);
    if (list->count > 0)
        memcpy(grown, list->items, sizeof *grown * list->count);
    grown[list->count] = (struct plan_limit){arena_strdup(assignment->arena, name), max};
    *list = (struct config_limits){grown, list->count + 1};
    return true;
}

static bool assign_map(struct assignment *assignment, const struct config_key *key, json_t *value)
{
    const char *name;
    json_t *member;
    char buffer[48];
    if (!json_is_object(value))
        return fail(assignment, key->name, "must be an object, found %s", found(value, buffer));
    if (json_object_size(value) > MEMBERS_MAX)
        return fail(assignment, key->name, "has %zu members; at most %d are allowed", json_object_size(value),
                    MEMBERS_MAX);
    json_object_foreach(value, name, member)
    {
        bool is_good = key->type == CONFIG_PAIRS ? assign_pair(assignment, key, name, member)
                                                 : assign_limit(assignment, key, name, member);
        if (!is_good)
            return false;
    }
    return true;
}

/* Fields over fields: checked as a whole when all sources have spoken (codec/catalog.c). */
static bool assign_templates(struct assignment *assignment, const struct config_key *key, json_t *value)
{
    const char *name;
    json_t *member;
    char buffer[48];
    if (!json_is_object(value))
        return fail(assignment, key->name, "must be an object, found %s", found(value, buffer));
    json_object_foreach(value, name, member)
    {
        json_t *before = json_object_get(assignment->templates, name);
        int failed = json_is_object(before) && json_is_object(member)
                         ? json_object_update_recursive(before, member)
                         : json_object_set_new(assignment->templates, name, json_deep_copy(member));
        if (failed)
            return fail(assignment, key->name, "%.60s cannot be taken over", name);
    }
    return true;
}

/* A text where the table says number or truth value: from --set, the environment, or "${VAR}".
 * Returns: a new value; NULL when it is none. */
static json_t *typed(const struct config_key *key, const char *text)
{
    char *end;
    errno = 0;
    if (key->type == CONFIG_BOOLEAN)
        return strcmp(text, "true") == 0 || strcmp(text, "false") == 0 ? json_boolean(*text == 't') : NULL;
    if (key->type == CONFIG_RATE) {
        double number = strtod(text, &end);
        return *text && !*end && isfinite(number) ? json_real(number) : NULL;
    }
    long long number = strtoll(text, &end, 10);
    return *text && !*end && errno == 0 ? json_integer(number) : NULL;
}

bool assign_json(struct assignment *assignment, const struct config_key *key, json_t *value)
{
    char buffer[48];
    bool is_typed = key->type == CONFIG_BOOLEAN || key->type == CONFIG_RATE || key->type == CONFIG_INTEGER;
    json_auto_t *converted = is_typed && text_of(value) ? typed(key, text_of(value)) : NULL;
    value = converted ? converted : value;
    switch (key->type) {
    case CONFIG_TEXT:
        return assign_string(assignment, key, value);
    case CONFIG_CHOICE:
    case CONFIG_ENUM:
        return assign_choice(assignment, key, value);
    case CONFIG_INTEGER:
        return check_number(assignment, key->name, key, value, place(assignment, key));
    case CONFIG_RATE:
        return assign_rate(assignment, key, value);
    case CONFIG_BOOLEAN:
        if (!json_is_boolean(value))
            return fail(assignment, key->name, "must be true or false, found %s", found(value, buffer));
        *(bool *)place(assignment, key) = json_is_true(value);
        return true;
    case CONFIG_LIST:
        return assign_list(assignment, key, value);
    case CONFIG_PAIRS:
    case CONFIG_LIMITS:
        return assign_map(assignment, key, value);
    case CONFIG_TEMPLATES:
        return assign_templates(assignment, key, value);
    }
    return false;
}

/* "data_analysis.memory_mb" and "2048" -> {"data_analysis": {"memory_mb": 2048}}. A value is JSON if it can
 * be read as JSON, and a text else. Returns: a new value. */
static json_t *nested(const char *path, const char *text)
{
    const char *dot = strchr(path, '.');
    json_t *inner = dot ? nested(dot + 1, text) : json_loads(text, JSON_DECODE_ANY, NULL);
    if (!dot && !inner)
        inner = json_string(text);
    json_t *object = json_object();
    char *name = base_strndup(path, dot ? (size_t)(dot - path) : strlen(path));
    if (inner && json_object_set_new(object, name, inner) != 0)
        base_die("jansson cannot build an object");
    free(name);
    return object;
}

static bool is_json_of(const char *text, char bracket)
{
    return *text == bracket;
}

bool assign_text(struct assignment *assignment, const struct config_key *key, const char *member,
                 const char *text)
{
    if (key->type == CONFIG_TEMPLATES && member) {
        json_auto_t *value = nested(member, text);
        return assign_json(assignment, key, value);
    }
    if (member) {
        json_auto_t *value = NULL;
        static const struct config_key number = {.type = CONFIG_INTEGER};
        if (key->type == CONFIG_LIMITS)
            value = typed(&number, text);
        if (!value)
            value = json_string(text);
        if (!value)
            return fail(assignment, key->name, "the value is no UTF-8");
        return key->type == CONFIG_LIMITS ? assign_limit(assignment, key, member, value)
                                          : assign_pair(assignment, key, member, value);
    }
    bool is_structure = (config_key_is_map(key) && is_json_of(text, '{')) ||
                        (key->type == CONFIG_LIST && is_json_of(text, '['));
    json_auto_t *value = is_structure ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : json_string(text);
    if (!value)
        return fail(assignment, key->name, is_structure ? "the value is not JSON" : "the value is no UTF-8");
    return assign_json(assignment, key, value);
}
