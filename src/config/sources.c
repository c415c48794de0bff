/* The sources of a configuration, each walked by the table of keys. */
#include "config/sources.h"
#include "base/utf8.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 4 * 1024 * 1024, NAME_BYTES_MAX = 256 };

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

static bool fail(struct error *reterr, const char *format, ...) PRINTF_LIKE(2, 3);
static bool fail(struct error *reterr, const char *format, ...)
{
    char sentence[200];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return error_set(reterr, ERROR_REJECTED, "config", 0, "%s", sentence);
}

const char *environment_find(const struct environment *environment, const char *name)
{
    size_t length = strlen(name);
    for (char *const *entry = environment->process; entry && *entry; entry++)
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=')
            return (*entry)[length + 1] ? *entry + length + 1 : NULL;
    for (size_t i = environment->file.count; i-- > 0;)
        if (strcmp(environment->file.items[i].name, name) == 0)
            return *environment->file.items[i].value ? environment->file.items[i].value : NULL;
    return NULL;
}

static bool read_file(const char *path, struct buffer *ret, struct error *reterr)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return fail(reterr, "cannot open %.120s: %s", path, strerror(errno));
    char piece[8192];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, file)) > 0 && ret->length <= FILE_BYTES_MAX)
        buffer_append(ret, piece, length);
    bool is_broken = ferror(file) != 0;
    (void)fclose(file);
    if (is_broken)
        return fail(reterr, "cannot read %.120s", path);
    if (ret->length > FILE_BYTES_MAX)
        return fail(reterr, "%.120s is larger than %d bytes", path, FILE_BYTES_MAX);
    return true;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    return text;
}

/* One line. Returns: false when it is neither blank, a comment nor NAME=VALUE. */
static bool read_line(char *line, struct arena *arena, struct pair_list *list)
{
    line = trim(line);
    if (strncmp(line, "export ", 7) == 0)
        line = trim(line + 7);
    if (*line == '\0' || *line == '#')
        return true;
    size_t name_length = strspn(line, letters);
    if (name_length == 0 || line[name_length] != '=')
        return false;
    char *value = trim(line + name_length + 1);
    size_t length = strlen(value);
    if (length >= 2 && (*value == '"' || *value == '\'') && value[length - 1] == *value) {
        value[length - 1] = '\0';
        value++;
    }
    list->items[list->count++] =
        (struct pair){arena_strndup(arena, line, name_length), arena_strdup(arena, value)};
    return true;
}

bool source_env_file(const char *path, struct arena *arena, struct pair_list *ret, struct error *reterr)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    if (!read_file(path, &text, reterr))
        return false;
    size_t lines = 1, number = 0;
    for (size_t i = 0; i < text.length; i++)
        lines += text.data[i] == '\n';
    struct pair_list list = {.items = ARENA_ARRAY(arena, struct pair, lines)};
    for (char *rest = text.data, *line; (line = strsep(&rest, "\n"));) {
        number++;
        if (!read_line(line, arena, &list))
            return fail(reterr, "%.120s, line %zu: must be NAME=VALUE", path, number);
    }
    *ret = list;
    return true;
}

bool source_defaults(struct assignment *assignment)
{
    assignment->source = "default";
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].default_text &&
            !assign_text(assignment, &config_keys[i], /* member= */ NULL, config_keys[i].default_text))
            return false;
    return true;
}

/* ---- The file ---- */

/* Appends the value of the ${NAME} at `text`. Returns: what stands behind it; NULL on failure. */
static const char *append_variable(const char *text, const char *path, const struct environment *environment,
                                   struct buffer *out, struct error *reterr)
{
    const char *name = text + 2;
    size_t length = strspn(name, letters);
    if (length == 0 || length > NAME_BYTES_MAX || name[length] != '}') {
        (void)fail(
            reterr,
            "%s: \"${\" must be followed by the name of a variable and \"}\"; write \"$${\" for itself",
            path);
        return NULL;
    }
    char variable[NAME_BYTES_MAX + 1];
    (void)snprintf(variable, sizeof variable, "%.*s", (int)length, name);
    const char *value = environment_find(environment, variable);
    if (!value) {
        (void)fail(reterr, "%s: the environment has no variable %.100s; set it or remove ${...}", path,
                   variable);
        return NULL;
    }
    buffer_append_text(out, value);
    return name + length + 1;
}

/* Returns: a new string; NULL on failure. */
static json_t *expand_text(const char *text, const char *path, const struct environment *environment,
                           struct error *reterr)
{
    CLEANUP(buffer_release) struct buffer out = {0};
    buffer_reserve(&out, 0);
    while (*text) {
        if (strncmp(text, "$${", 3) == 0) {
            buffer_append_text(&out, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            text = append_variable(text, path, environment, &out, reterr);
            if (!text)
                return NULL;
        } else {
            buffer_append_byte(&out, *text++);
        }
    }
    json_t *expanded = json_stringn(out.data, out.length);
    if (!expanded)
        (void)fail(reterr, "%s: a variable's value is no UTF-8", path);
    return expanded;
}

/* Replaces ${VAR} in all strings of `value`. Returns: the new value; NULL on failure. */
static json_t *expand(json_t *value, const char *path, const struct environment *environment,
                      struct error *reterr)
{
    if (json_is_string(value))
        return expand_text(json_string_value(value), path, environment, reterr);
    if (!json_is_object(value) && !json_is_array(value))
        return json_incref(value);
    json_auto_t *copy = json_is_object(value) ? json_object() : json_array();
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        json_t *expanded = expand(member, path, environment, reterr);
        if (!expanded || json_object_set_new(copy, name, expanded) != 0)
            return NULL;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        json_t *expanded = expand(json_array_get(value, i), path, environment, reterr);
        if (!expanded || json_array_append_new(copy, expanded) != 0)
            return NULL;
    }
    return json_incref(copy);
}

static bool fail_unknown(struct assignment *assignment, const char *name)
{
    const char *near = config_key_near(name);
    return fail(assignment->reterr, "%.80s (%.60s): there is no such key%s%s%s", name, assignment->source,
                near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static bool assign_member(struct assignment *assignment, const char *name, json_t *value,
                          const struct environment *environment)
{
    const char *member, *inner_name;
    json_t *inner;
    const struct config_key *key = config_key_find(name, &member);
    if (key && json_is_null(value))
        return true; /* as if it were not there */
    if (key && !member) {
        json_auto_t *expanded = expand(value, name, environment, assignment->reterr);
        return expanded && assign_json(assignment, key, expanded);
    }
    if (!config_key_is_group(name))
        return fail_unknown(assignment, name);
    if (!json_is_object(value))
        return fail(assignment->reterr, "%s (%.60s): must be an object", name, assignment->source);
    json_object_foreach(value, inner_name, inner)
    {
        char path[NAME_BYTES_MAX];
        (void)snprintf(path, sizeof path, "%s.%.100s", name, inner_name);
        if (!assign_member(assignment, path, inner, environment))
            return false;
    }
    return true;
}

bool source_file(struct assignment *assignment, const char *path, const struct environment *environment)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    if (!read_file(path, &text, assignment->reterr))
        return false;
    json_error_t why;
    json_auto_t *root = json_loadb(text.data ? text.data : "", text.length, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return fail(assignment->reterr, "%.80s is not JSON: %.80s (line %d, column %d)", path, why.text,
                    why.line, why.column);
    if (!json_is_object(root))
        return fail(assignment->reterr, "%.80s must hold a JSON object", path);
    const char *name;
    json_t *value;
    assignment->source = path;
    json_object_foreach(root, name, value)
    {
        bool is_schema = strcmp(name, "$schema") == 0; /* editors look for it */
        if (!is_schema && !assign_member(assignment, name, value, environment))
            return false;
    }
    return true;
}

bool source_environment(struct assignment *assignment, const struct environment *environment)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *value = key->environment ? environment_find(environment, key->environment) : NULL;
        if (!value)
            continue;
        assignment->source = arena_printf(assignment->arena, "%s in the environment", key->environment);
        if (!assign_text(assignment, key, /* member= */ NULL, value))
            return false;
    }
    return true;
}

bool source_sets(struct assignment *assignment, const char *const *sets, size_t count)
{
    assignment->source = "--set";
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(sets[i], '='), *member;
        if (!equals || equals == sets[i] || equals - sets[i] > NAME_BYTES_MAX)
            return fail(assignment->reterr, "--set %.100s: must be KEY=VALUE", sets[i]);
        if (!utf8_is_valid((struct bytes){sets[i], strlen(sets[i])}))
            return fail(assignment->reterr, "--set %.*s: is no UTF-8", (int)strcspn(sets[i], "="), sets[i]);
        const char *name = arena_strndup(assignment->arena, sets[i], (size_t)(equals - sets[i]));
        const struct config_key *key = config_key_find(name, &member);
        if (!key)
            return fail_unknown(assignment, name);
        if (!assign_text(assignment, key, member, equals + 1))
            return false;
    }
    return true;
}
