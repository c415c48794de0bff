/* The catalogue of templates from JSON: the built-in one, and the configuration's words over it. */
#include "codec/catalog.h"
#include "codec/reader.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { TEMPLATES_MAX = 256, LIST_MAX = 64, LINE_BYTES_MAX = 256 };
static const int64_t LONGEST_MS = 24LL * 60 * 60 * 1000;

/* What a template has that is not told: E2B's usual sandbox at E2B's price. */
static const struct template_entry usual = {
    .timeout_ms = 300000,
    .memory_mb = 512,
    .cpu_milli = 2000,
    .run_mode = RUN_MODE_INTERPRETER,
    .languages = 1u << LANGUAGE_PYTHON | 1u << LANGUAGE_JAVASCRIPT | 1u << LANGUAGE_BASH,
    .limits = {-1, -1, -1, -1},
    .nano_usd_per_vcpu_s = 14000,
    .nano_usd_per_gib_s = 4500,
};

struct draft {
    struct arena *arena;
    struct template_entry entries[TEMPLATES_MAX];
    bool claims_task_types[TEMPLATES_MAX]; /* an override says which they are */
    size_t count;
    const char *price_version;
};

static bool read_cpu_count(struct reader *reader, json_t *value, void *target)
{
    double cores = json_is_number(value) ? json_number_value(value) : 0;
    if (!(cores >= 0.001 && cores <= 1024))
        return reader_mismatch(reader, value, "a number of cores from 0.001 to 1024");
    ((struct template_entry *)target)->cpu_milli = (int64_t)ceil(cores * 1000 - 1e-6);
    return true;
}

static bool read_run_mode(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"interpreter", "process"};
    size_t index;
    return reader_choice(reader, value, names, ARRAY_LENGTH(names), CODE_INVALID_JOB, &index) &&
           run_mode_parse(names[index], &((struct template_entry *)target)->run_mode);
}

static bool read_languages(struct reader *reader, json_t *value, void *target)
{
    static const char *const names[] = {"python", "javascript", "typescript", "bash", "r", "java"};
    unsigned languages = 0;
    if (!reader_array(reader, value, ARRAY_LENGTH(names)))
        return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        size_t index;
        enum language language;
        reader_enter(reader, NULL, i);
        if (!reader_choice(reader, json_array_get(value, i), names, ARRAY_LENGTH(names), CODE_INVALID_JOB,
                           &index) ||
            !language_parse(names[index], &language))
            return false;
        languages |= 1u << language;
        reader_leave(reader);
    }
    ((struct template_entry *)target)->languages = languages;
    return true;
}

static bool read_task_types(struct reader *reader, json_t *value, void *target)
{
    struct text_list list;
    if (!reader_lines(reader, value, LIST_MAX, LINE_BYTES_MAX, &list))
        return false;
    for (size_t i = 0; i < list.count; i++)
        if (!job_is_name(list.items[i]))
            return reader_fail(reader, CODE_INVALID_JOB,
                               "task types are 1 to 64 characters out of A-Z a-z 0-9 . _ : -");
    ((struct template_entry *)target)->task_types = list;
    return true;
}

/* "pandas", or {"name": "scikit-learn", "module": "sklearn"}. */
static bool read_package(struct reader *reader, json_t *value, struct package *ret)
{
    static const struct field fields[] = {
        {"name", FIELD_TEXT, offsetof(struct package, name), .max = LINE_BYTES_MAX, .is_required = true},
        {"module", FIELD_TEXT, offsetof(struct package, module), .max = LINE_BYTES_MAX},
    };
    struct package package = {0};
    bool is_read = json_is_string(value)
                       ? reader_line(reader, value, LINE_BYTES_MAX, &package.name)
                       : reader_object(reader, value, fields, ARRAY_LENGTH(fields), &package);
    if (!is_read)
        return false;
    if (!package.module)
        package.module = package.name;
    *ret = package;
    return true;
}

static bool read_packages(struct reader *reader, json_t *value, void *target)
{
    struct template_entry *entry = target;
    if (!reader_array(reader, value, LIST_MAX))
        return false;
    size_t count = json_array_size(value);
    struct package *packages = ARENA_ARRAY(reader->arena, struct package, count);
    for (size_t i = 0; i < count; i++) {
        reader_enter(reader, NULL, i);
        if (!read_package(reader, json_array_get(value, i), &packages[i]))
            return false;
        reader_leave(reader);
    }
    entry->packages = packages;
    entry->package_count = count;
    return true;
}

static bool read_limits(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {"stdout_bytes", FIELD_INTEGER, offsetof(struct output_limits, stdout_bytes), .max = 1 << 30},
        {"stderr_bytes", FIELD_INTEGER, offsetof(struct output_limits, stderr_bytes), .max = 1 << 30},
        {"artifact_bytes", FIELD_INTEGER, offsetof(struct output_limits, artifact_bytes), .max = 1 << 30},
        {"artifact_count", FIELD_INTEGER, offsetof(struct output_limits, artifact_count), .max = 10000},
    };
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields),
                         &((struct template_entry *)target)->limits);
}

static bool read_price(struct reader *reader, json_t *value, void *target)
{
    static const struct field fields[] = {
        {"nano_usd_per_vcpu_s", FIELD_INTEGER, offsetof(struct template_entry, nano_usd_per_vcpu_s),
         .max = 1000000000},
        {"nano_usd_per_gib_s", FIELD_INTEGER, offsetof(struct template_entry, nano_usd_per_gib_s),
         .max = 1000000000},
    };
    return reader_object(reader, value, fields, ARRAY_LENGTH(fields), target);
}

static bool read_entry(struct reader *reader, json_t *value, struct template_entry *entry)
{
    const struct field fields[] = {
        {"template_id", FIELD_TEXT, offsetof(struct template_entry, template_id), .max = 128},
        {"timeout_ms", FIELD_INTEGER, offsetof(struct template_entry, timeout_ms), .min = 1000,
         .max = LONGEST_MS},
        {"memory_mb", FIELD_INTEGER, offsetof(struct template_entry, memory_mb), .min = 16,
         .max = 1024 * 1024},
        {.name = "cpu_count", .read = read_cpu_count},
        {"cpu_percent", FIELD_INTEGER, offsetof(struct template_entry, cpu_percent), .max = 100},
        {.name = "run_mode", .read = read_run_mode},
        {.name = "languages", .read = read_languages},
        {.name = "task_types", .read = read_task_types},
        {.name = "packages", .read = read_packages},
        {.name = "limits", .read = read_limits},
        {"max_concurrent", FIELD_INTEGER, offsetof(struct template_entry, max_concurrent), .max = 1000000},
        {.name = "price", .read = read_price},
    };
    if (!reader_object(reader, value, fields, ARRAY_LENGTH(fields), entry))
        return false;
    if (!entry->template_id || !*entry->template_id)
        return reader_fail(reader, CODE_INVALID_JOB,
                           "lacks \"template_id\", E2B's name or id of the template");
    return true;
}

static size_t find_entry(const struct draft *draft, const char *name)
{
    size_t i = 0;
    while (i < draft->count && strcmp(draft->entries[i].name, name) != 0)
        i++;
    return i;
}

static void remove_entry(struct draft *draft, size_t index)
{
    draft->count--;
    for (size_t i = index; i < draft->count; i++) {
        draft->entries[i] = draft->entries[i + 1];
        draft->claims_task_types[i] = draft->claims_task_types[i + 1];
    }
}

static bool read_named(struct reader *reader, struct draft *draft, const char *name, json_t *value,
                       bool is_override)
{
    size_t index = find_entry(draft, name);
    if (json_is_null(value)) {
        if (index < draft->count)
            remove_entry(draft, index);
        return true;
    }
    if (!job_is_name(name))
        return reader_fail(reader, CODE_INVALID_JOB,
                           "a template's name is 1 to 64 characters out of A-Z a-z 0-9 . _ : -");
    if (index == TEMPLATES_MAX)
        return reader_fail(reader, CODE_INVALID_JOB, "is one template too many; at most %d are allowed",
                           TEMPLATES_MAX);
    if (index == draft->count) {
        draft->entries[index] = usual;
        draft->entries[index].name = arena_strdup(draft->arena, name);
        draft->claims_task_types[index] = false;
        draft->count++;
    }
    draft->claims_task_types[index] |= is_override && json_is_array(json_object_get(value, "task_types"));
    return read_entry(reader, value, &draft->entries[index]);
}

static bool read_templates(struct reader *reader, struct draft *draft, json_t *templates, bool is_override)
{
    const char *name;
    json_t *value;
    reader_enter(reader, "templates", 0);
    if (!json_is_object(templates))
        return reader_mismatch(reader, templates, "an object of templates");
    json_object_foreach(templates, name, value)
    {
        reader_enter(reader, name, 0);
        if (!read_named(reader, draft, name, value, is_override))
            return false;
        reader_leave(reader);
    }
    reader_leave(reader);
    return true;
}

static void drop_task_type(struct template_entry *entry, const char *task_type, struct arena *arena)
{
    struct text_list kept = {.items = ARENA_ARRAY(arena, const char *, entry->task_types.count)};
    for (size_t i = 0; i < entry->task_types.count; i++)
        if (strcmp(entry->task_types.items[i], task_type) != 0)
            kept.items[kept.count++] = entry->task_types.items[i];
    entry->task_types = kept;
}

static bool has_task_type(const struct template_entry *entry, const char *task_type)
{
    for (size_t i = 0; i < entry->task_types.count; i++)
        if (strcmp(entry->task_types.items[i], task_type) == 0)
            return true;
    return false;
}

/* A task type has one template. The configuration's claim is stronger than the built-in catalogue's. */
static bool settle_task_types(struct reader *reader, struct draft *draft)
{
    for (size_t i = 0; i < draft->count; i++)
        for (size_t t = 0; draft->claims_task_types[i] && t < draft->entries[i].task_types.count; t++) {
            const char *task_type = draft->entries[i].task_types.items[t];
            for (size_t other = 0; other < draft->count; other++) {
                if (other == i || !has_task_type(&draft->entries[other], task_type))
                    continue;
                if (draft->claims_task_types[other])
                    return reader_fail(reader, CODE_INVALID_JOB,
                                       "task type \"%s\" is claimed by two templates, \"%s\" and \"%s\"",
                                       task_type, draft->entries[i].name, draft->entries[other].name);
                drop_task_type(&draft->entries[other], task_type, draft->arena);
            }
        }
    return true;
}

static json_t *load(struct reader *reader, struct bytes text, const char *what)
{
    json_error_t why;
    json_t *root = json_loadb(text.length > 0 ? text.data : "", text.length, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        (void)reader_fail(reader, CODE_INVALID_JOB, "%s is not JSON: %.100s (line %d)", what, why.text,
                          why.line);
    return root;
}

static bool read_both(struct reader *reader, struct draft *draft, struct bytes builtin,
                      struct bytes overrides)
{
    json_auto_t *base = load(reader, builtin, "the built-in catalogue");
    json_auto_t *over = overrides.length > 0 ? load(reader, overrides, "\"templates\"") : NULL;
    if (!base || (overrides.length > 0 && !over))
        return false;
    draft->price_version =
        arena_strdup(draft->arena, json_string_value(json_object_get(base, "price_version")));
    return read_templates(reader, draft, json_object_get(base, "templates"), /* is_override= */ false) &&
           (!over || read_templates(reader, draft, over, /* is_override= */ true)) &&
           settle_task_types(reader, draft);
}

bool catalog_decode(struct bytes builtin, struct bytes overrides, struct arena *arena, struct catalog *ret,
                    struct error *reterr)
{
    struct reader reader = {.arena = arena, .root = "the catalogue", .rejects_unknown = true};
    struct draft *draft CLEANUP(base_freep) = base_alloc(sizeof *draft);
    draft->arena = arena;
    if (!read_both(&reader, draft, builtin, overrides))
        return error_set(reterr, ERROR_REJECTED, "config", 0, "%s", reader.message);
    ret->entries = arena_copy(arena, draft->entries, sizeof *draft->entries * draft->count);
    ret->count = draft->count;
    ret->price_version = draft->price_version;
    return true;
}
