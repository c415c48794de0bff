/* Whole JSON answers. */
#include "e2b/answers.h"

#include "base/clock.h"
#include "base/utf8.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *load(struct bytes json)
{
    return json_loadb(json.data ? json.data : "", json.length, JSON_ALLOW_NUL, NULL);
}

/* Returns: NULL where the field is absent, null or no string. */
static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* int64 is a string in proto3's JSON and a number everywhere else. */
static int64_t number_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_string(value))
        return strtoll(json_string_value(value), NULL, 10);
    return json_integer_value(value);
}

static struct e2b_pairs pairs_of(json_t *object, struct arena *arena)
{
    size_t count = json_object_size(object), i = 0;
    struct e2b_pair *items = ARENA_ARRAY(arena, struct e2b_pair, count);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!json_is_string(value))
            continue;
        items[i++] = (struct e2b_pair){.name = arena_strdup(arena, name),
                                       .value = arena_strdup(arena, json_string_value(value))};
    }
    return (struct e2b_pairs){.items = items, .count = i};
}

bool answers_handle(struct bytes json, struct arena *arena, struct answer_handle *ret)
{
    json_auto_t *root = load(json);
    const char *id = text_of(root, "sandboxID");
    if (!id || !*id)
        return false;
    *ret = (struct answer_handle){
        .id = arena_strdup(arena, id),
        .token = arena_strdup(arena, text_of(root, "envdAccessToken")),
        .traffic_token = arena_strdup(arena, text_of(root, "trafficAccessToken")),
        .domain = arena_strdup(arena, text_of(root, "domain")),
    };
    return true;
}

static bool info_of(json_t *object, struct arena *arena, struct e2b_sandbox_info *ret)
{
    const char *id = text_of(object, "sandboxID"), *template_id = text_of(object, "templateID"),
               *state = text_of(object, "state"), *started = text_of(object, "startedAt"),
               *ends = text_of(object, "endAt");
    int64_t started_ms, ends_ms;
    if (!id || !*id || !started || !ends || !clock_parse(started, &started_ms) ||
        !clock_parse(ends, &ends_ms))
        return false;
    *ret = (struct e2b_sandbox_info){
        .id = arena_strdup(arena, id),
        .template_id = arena_strdup(arena, template_id ? template_id : ""),
        .alias = arena_strdup(arena, text_of(object, "alias")),
        .state = state && !strcmp(state, "paused") ? E2B_SANDBOX_PAUSED : E2B_SANDBOX_RUNNING,
        .started_unix_ms = started_ms,
        .ends_unix_ms = ends_ms,
        .cpu_count = number_of(object, "cpuCount"),
        .memory_mb = number_of(object, "memoryMB"),
        .metadata = pairs_of(json_object_get(object, "metadata"), arena),
    };
    return true;
}

bool answers_info(struct bytes json, struct arena *arena, struct e2b_sandbox_info *ret)
{
    json_auto_t *root = load(json);
    return info_of(root, arena, ret);
}

bool answers_page(struct bytes json, struct arena *arena, struct e2b_sandbox_page *ret)
{
    json_auto_t *root = load(json);
    if (!json_is_array(root))
        return false;
    size_t count = json_array_size(root);
    struct e2b_sandbox_info *items = ARENA_ARRAY(arena, struct e2b_sandbox_info, count);
    for (size_t i = 0; i < count; i++)
        if (!info_of(json_array_get(root, i), arena, &items[i]))
            return false; /* a list with a hole would hide a sandbox */
    ret->items = items;
    ret->count = count;
    return true;
}

static bool file_of(json_t *entry, struct arena *arena, struct e2b_file_info *ret)
{
    const char *name = text_of(entry, "name"), *path = text_of(entry, "path"), *type = text_of(entry, "type");
    if (!name || !path)
        return false;
    bool is_directory = type && !strcmp(type, "FILE_TYPE_DIRECTORY");
    bool is_symlink = type && !strcmp(type, "FILE_TYPE_SYMLINK");
    *ret = (struct e2b_file_info){
        .name = arena_strdup(arena, name),
        .path = arena_strdup(arena, path),
        .kind = is_directory ? E2B_FILE_DIRECTORY
                : is_symlink ? E2B_FILE_SYMLINK
                             : E2B_FILE_REGULAR,
        .bytes = number_of(entry, "size"),
        .mode = (unsigned)number_of(entry, "mode"),
    };
    return true;
}

bool answers_file(struct bytes json, struct arena *arena, struct e2b_file_info *ret)
{
    json_auto_t *root = load(json);
    return file_of(json_object_get(root, "entry"), arena, ret);
}

bool answers_files(struct bytes json, struct arena *arena, struct e2b_file_page *ret)
{
    json_auto_t *root = load(json);
    if (!json_is_object(root))
        return false;
    json_t *entries = json_object_get(root, "entries"); /* absent: none */
    size_t count = json_array_size(entries);
    struct e2b_file_info *items = ARENA_ARRAY(arena, struct e2b_file_info, count);
    for (size_t i = 0; i < count; i++)
        if (!file_of(json_array_get(entries, i), arena, &items[i]))
            return false;
    *ret = (struct e2b_file_page){.items = items, .count = count};
    return true;
}

/* ---- refusals ---- */

static void copy_text(char *out, size_t size, struct bytes text)
{
    struct buffer CLEANUP(buffer_release) clean = {0};
    utf8_append_repaired(&clean, (struct bytes){.data = text.data, .length = MIN(text.length, 4 * size)});
    size_t length = clean.length > 0 ? utf8_prefix(buffer_bytes(&clean), MIN(clean.length, size - 1)) : 0;
    for (size_t i = 0; i < length; i++)
        out[i] = (unsigned char)clean.data[i] < 0x20 ? ' ' : clean.data[i];
    while (length > 0 && out[length - 1] == ' ')
        length--;
    out[length] = '\0';
}

static void copy_string(char *out, size_t size, const char *text)
{
    copy_text(out, size, (struct bytes){.data = text, .length = text ? strlen(text) : 0});
}

bool answers_refusal(struct bytes body, char *code, size_t code_size, char *message, size_t message_size)
{
    json_auto_t *root = load(body);
    code[0] = message[0] = '\0';
    if (!json_is_object(root)) {
        copy_text(message, message_size, body);
        return false;
    }
    const char *by_name = text_of(root, "error_code"); /* E2B's; Connect's is a `code` that is a string */
    copy_string(code, code_size, by_name ? by_name : text_of(root, "code"));
    const char *says = text_of(root, "message");
    json_t *details = json_object_get(root, "detail"); /* the interpreter's framework */
    if (!says)
        says = text_of(json_array_get(details, 0), "msg");
    copy_string(message, message_size, says ? says : json_string_value(details));
    return true;
}
