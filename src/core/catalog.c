/* Choosing a template, and saying why. */
#include "core/catalog.h"
#include "base/buffer.h"
#include "base/nearest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { LISTED_NAMES = 12 }; /* a message lists no more of them */

const struct template_entry *catalog_find(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (strcmp(catalog->entries[i].name, name) == 0)
            return &catalog->entries[i];
    return NULL;
}

static bool list_has(const struct text_list *list, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i], text) == 0)
            return true;
    return false;
}

const struct template_entry *catalog_find_task_type(const struct catalog *catalog, const char *task_type)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (list_has(&catalog->entries[i].task_types, task_type))
            return &catalog->entries[i];
    return NULL;
}

/* ---- What an entry offers ---- */

static bool has_package(const struct template_entry *entry, const char *name)
{
    for (size_t i = 0; i < entry->package_count; i++) {
        const struct package *package = &entry->packages[i];
        if (strcasecmp(package->name, name) == 0 ||
            (package->module && strcasecmp(package->module, name) == 0))
            return true;
    }
    return false;
}

static bool has_language(const struct template_entry *entry, enum language language)
{
    return (entry->languages & 1u << language) != 0;
}

static bool has_resources(const struct template_entry *entry, const struct requirements *needed)
{
    return entry->memory_mb >= needed->memory_mb && entry->cpu_milli >= needed->cpu_milli &&
           entry->timeout_ms >= needed->timeout_ms;
}

static bool satisfies(const struct template_entry *entry, const struct requirements *needed)
{
    if (!has_resources(entry, needed))
        return false;
    for (size_t i = 0; i < needed->packages.count; i++)
        if (!has_package(entry, needed->packages.items[i]))
            return false;
    return true;
}

/* By memory, then cores, then longest run. */
static bool is_smaller(const struct template_entry *a, const struct template_entry *b)
{
    if (a->memory_mb != b->memory_mb)
        return a->memory_mb < b->memory_mb;
    if (a->cpu_milli != b->cpu_milli)
        return a->cpu_milli < b->cpu_milli;
    return a->timeout_ms < b->timeout_ms;
}

/* Returns: the smallest that offers all, not smaller than `floor` (NULL: of any size); the first of
 * equals. */
static const struct template_entry *smallest(const struct catalog *catalog, const struct job *job,
                                             const struct template_entry *floor)
{
    const struct template_entry *best = NULL;
    for (size_t i = 0; i < catalog->count; i++) {
        const struct template_entry *entry = &catalog->entries[i];
        if ((floor && is_smaller(entry, floor)) || !has_language(entry, job->language) ||
            !satisfies(entry, &job->requirements))
            continue;
        if (!best || is_smaller(entry, best))
            best = entry;
    }
    return best;
}

/* ---- Sentences ---- */

static const char *arena_text(struct arena *arena, const struct buffer *text)
{
    return arena_strndup(arena, text->length ? text->data : "", text->length);
}

/* 2048 -> "2,048" */
static void append_number(struct buffer *out, int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            buffer_append_byte(out, ',');
        buffer_append_byte(out, digits[i]);
    }
}

static void append_cores(struct buffer *out, int64_t milli)
{
    if (milli % 1000 == 0)
        buffer_append_format(out, "%lld vCPU", (long long)milli / 1000);
    else
        buffer_append_format(out, "%g vCPU", (double)milli / 1000);
}

/* Between the items of an enumeration: "a, b and c". */
static void append_joint(struct buffer *out, size_t i, size_t count)
{
    if (i > 0)
        buffer_append_text(out, i + 1 == count ? " and " : ", ");
}

/* "2,048 MB, 1 vCPU and pandas"; nothing when nothing is required. */
static void append_requirements(struct buffer *out, const struct requirements *needed)
{
    size_t count = (size_t)(needed->memory_mb > 0) + (needed->cpu_milli > 0) + (needed->timeout_ms > 0) +
                   needed->packages.count;
    size_t i = 0;
    if (needed->memory_mb > 0) {
        append_joint(out, i++, count);
        append_number(out, needed->memory_mb);
        buffer_append_text(out, " MB");
    }
    if (needed->cpu_milli > 0) {
        append_joint(out, i++, count);
        append_cores(out, needed->cpu_milli);
    }
    if (needed->timeout_ms > 0) {
        append_joint(out, i++, count);
        append_number(out, (needed->timeout_ms + 999) / 1000);
        buffer_append_text(out, " s");
    }
    for (size_t p = 0; p < needed->packages.count; p++) {
        append_joint(out, i++, count);
        buffer_append_text(out, needed->packages.items[p]);
    }
}

/* "a, b, c", at most LISTED_NAMES of them. */
static void append_names(struct buffer *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count && i < LISTED_NAMES; i++)
        buffer_append_format(out, "%s%s", i > 0 ? ", " : "", names[i]);
    if (count > LISTED_NAMES)
        buffer_append_format(out, " and %zu more", count - LISTED_NAMES);
    if (count == 0)
        buffer_append_text(out, "none");
}

static void append_nearest(struct buffer *out, const char *word, const char *const *names, size_t count)
{
    const char *near = nearest_name(word, names, count);
    if (near)
        buffer_append_format(out, "; did you mean \"%s\"?", near);
    else
        buffer_append_text(out, ";");
}

static void append_known(struct buffer *out, const char *word, const char *const *names, size_t count)
{
    append_nearest(out, word, names, count);
    buffer_append_text(out, " known: ");
    append_names(out, names, count);
}

/* ---- Refusals: each returns its code ---- */

static enum code unknown_template(const struct catalog *catalog, const struct job *job, struct arena *arena,
                                  const char **ret_message)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    const char **names = ARENA_ARRAY(arena, const char *, catalog->count);
    for (size_t i = 0; i < catalog->count; i++)
        names[i] = catalog->entries[i].name;
    buffer_append_format(&text, "there is no template \"%s\"", job->template_name);
    append_known(&text, job->template_name, names, catalog->count);
    *ret_message = arena_text(arena, &text);
    return CODE_UNKNOWN_TEMPLATE;
}

static enum code unknown_task_type(const struct catalog *catalog, const struct job *job, struct arena *arena,
                                   const char **ret_message)
{
    if (!job->task_type) {
        *ret_message = "the job has no task type and names neither a template nor requirements";
        return CODE_UNKNOWN_TASK_TYPE;
    }
    size_t count = 0, filled = 0;
    for (size_t i = 0; i < catalog->count; i++)
        count += catalog->entries[i].task_types.count;
    const char **names = ARENA_ARRAY(arena, const char *, count);
    for (size_t i = 0; i < catalog->count; i++)
        for (size_t t = 0; t < catalog->entries[i].task_types.count; t++)
            names[filled++] = catalog->entries[i].task_types.items[t];
    CLEANUP(buffer_release) struct buffer text = {0};
    buffer_append_format(&text, "no template is for task type \"%s\"", job->task_type);
    append_known(&text, job->task_type, names, count);
    *ret_message = arena_text(arena, &text);
    return CODE_UNKNOWN_TASK_TYPE;
}

/* `entry` is the one that would do but for the language; NULL: any. */
static enum code unsupported_language(const struct catalog *catalog, const struct job *job,
                                      const struct template_entry *entry, struct arena *arena,
                                      const char **ret_message)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    const char **names = ARENA_ARRAY(arena, const char *, MAX(catalog->count, (size_t)LANGUAGE_COUNT));
    size_t count = 0;
    if (entry) {
        for (enum language language = 0; language < LANGUAGE_COUNT; language++)
            if (has_language(entry, language))
                names[count++] = language_name(language);
        buffer_append_format(&text, "template %s does not offer %s, but ", entry->name,
                             language_name(job->language));
        append_names(&text, names, count);
        count = 0;
    } else {
        buffer_append_format(&text, "no template that would do offers %s", language_name(job->language));
    }
    for (size_t i = 0; i < catalog->count; i++)
        if (has_language(&catalog->entries[i], job->language))
            names[count++] = catalog->entries[i].name;
    buffer_append_text(&text, "; templates that offer it: ");
    append_names(&text, names, count);
    *ret_message = arena_text(arena, &text);
    return CODE_UNSUPPORTED_LANGUAGE;
}

/* "; did you mean ...?" for the first required package that no template has. */
static void append_nearest_package(struct buffer *out, const struct catalog *catalog,
                                   const struct requirements *needed, struct arena *arena)
{
    size_t count = 0, filled = 0;
    for (size_t i = 0; i < catalog->count; i++)
        count += catalog->entries[i].package_count;
    const char **names = ARENA_ARRAY(arena, const char *, count);
    for (size_t i = 0; i < catalog->count; i++)
        for (size_t p = 0; p < catalog->entries[i].package_count; p++)
            names[filled++] = catalog->entries[i].packages[p].name;
    for (size_t n = 0; n < needed->packages.count; n++) {
        bool is_known = false;
        for (size_t i = 0; i < catalog->count && !is_known; i++)
            is_known = has_package(&catalog->entries[i], needed->packages.items[n]);
        if (is_known)
            continue;
        buffer_append_format(out, "; none has %s", needed->packages.items[n]);
        const char *near = nearest_name(needed->packages.items[n], names, count);
        if (near)
            buffer_append_format(out, ", did you mean \"%s\"?", near);
        return;
    }
}

static void append_size(struct buffer *out, const struct template_entry *entry, const char *has)
{
    buffer_append_format(out, "%s%s", entry->name, has);
    append_number(out, entry->memory_mb);
    buffer_append_text(out, " MB, ");
    append_cores(out, entry->cpu_milli);
    buffer_append_text(out, ", ");
    append_number(out, entry->timeout_ms / 1000);
    buffer_append_text(out, " s");
}

/* `entry` is the one that the job names; NULL: any would do. */
static enum code no_template_fits(const struct catalog *catalog, const struct job *job,
                                  const struct template_entry *entry, struct arena *arena,
                                  const char **ret_message)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    buffer_append_text(&text,
                       entry ? "the template that the job names does not offer " : "no template offers ");
    append_requirements(&text, &job->requirements);
    const struct template_entry *largest = entry;
    for (size_t i = 0; i < catalog->count && !entry; i++)
        if (!largest || is_smaller(largest, &catalog->entries[i]))
            largest = &catalog->entries[i];
    if (largest) {
        buffer_append_text(&text, entry ? ": " : "; the largest, ");
        append_size(&text, largest, entry ? " has " : ", has ");
    }
    append_nearest_package(&text, catalog, &job->requirements, arena);
    *ret_message = arena_text(arena, &text);
    return CODE_NO_TEMPLATE_FITS;
}

/* ---- Choosing ---- */

static enum code choose_named(const struct catalog *catalog, const struct job *job, struct arena *arena,
                              struct placement *ret, const char **ret_message)
{
    const struct template_entry *entry = catalog_find(catalog, job->template_name);
    if (!entry)
        return unknown_template(catalog, job, arena, ret_message);
    if (!has_language(entry, job->language))
        return unsupported_language(catalog, job, entry, arena, ret_message);
    if (job->requirements.is_given && !satisfies(entry, &job->requirements))
        return no_template_fits(catalog, job, entry, arena, ret_message);
    *ret = (struct placement){.entry = entry, .reason = "named by the job"};
    return CODE_NONE;
}

/* `floor` as in smallest(). */
static const char *reason_smallest(const struct job *job, const struct template_entry *floor,
                                   struct arena *arena)
{
    CLEANUP(buffer_release) struct buffer text = {0};
    buffer_append_text(&text, "smallest ");
    if (floor)
        buffer_append_format(&text, "from %s up ", floor->name);
    buffer_append_text(&text, "that offers ");
    size_t length = text.length;
    append_requirements(&text, &job->requirements);
    if (text.length == length)
        buffer_append_text(&text, language_name(job->language));
    return arena_text(arena, &text);
}

static enum code choose_smallest(const struct catalog *catalog, const struct job *job,
                                 const struct template_entry *own, struct arena *arena, struct placement *ret,
                                 const char **ret_message)
{
    const struct template_entry *entry = smallest(catalog, job, own);
    if (!entry) {
        own = NULL;
        entry = smallest(catalog, job, own);
    }
    if (!entry) {
        for (size_t i = 0; i < catalog->count; i++)
            if (satisfies(&catalog->entries[i], &job->requirements))
                return unsupported_language(catalog, job, NULL, arena, ret_message);
        return no_template_fits(catalog, job, NULL, arena, ret_message);
    }
    *ret = (struct placement){.entry = entry, .reason = reason_smallest(job, own, arena)};
    return CODE_NONE;
}

/* Entries of different sizes that name one E2B template cannot all be true: its own memory and cores
 * count. */
static bool is_size_shared(const struct catalog *catalog, const struct template_entry *entry)
{
    for (size_t i = 0; i < catalog->count; i++) {
        const struct template_entry *other = &catalog->entries[i];
        if (strcmp(other->template_id, entry->template_id) == 0 &&
            (other->memory_mb != entry->memory_mb || other->cpu_milli != entry->cpu_milli))
            return true;
    }
    return false;
}

static enum code choose(const struct catalog *catalog, const struct job *job, struct arena *arena,
                        struct placement *ret, const char **ret_message)
{
    assert(job->language < LANGUAGE_COUNT && (catalog->entries || catalog->count == 0));
    if (job->template_name)
        return choose_named(catalog, job, arena, ret, ret_message);
    const struct template_entry *own =
        job->task_type ? catalog_find_task_type(catalog, job->task_type) : NULL;
    bool is_dynamic = job->requirements.is_given;
    if (!own && !is_dynamic)
        return unknown_task_type(catalog, job, arena, ret_message);
    if (own && !has_language(own, job->language) && !is_dynamic)
        return unsupported_language(catalog, job, own, arena, ret_message);
    if (own && has_language(own, job->language) && (!is_dynamic || satisfies(own, &job->requirements))) {
        *ret = (struct placement){.entry = own, .reason = ARENA_JOIN(arena, "task type ", job->task_type)};
        return CODE_NONE;
    }
    return choose_smallest(catalog, job, own, arena, ret, ret_message);
}

enum code catalog_choose(const struct catalog *catalog, const struct job *job, struct arena *arena,
                         struct placement *ret, const char **ret_message)
{
    enum code code = choose(catalog, job, arena, ret, ret_message);
    if (code == CODE_NONE && is_size_shared(catalog, ret->entry))
        ret->reason = ARENA_JOIN(arena, ret->reason, "; several entries name E2B's ", ret->entry->template_id,
                                 ", whose own memory and CPU count");
    return code;
}
