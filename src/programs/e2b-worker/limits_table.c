/* Limits for people. */
#include "limits_table.h"

#include "base/nearest.h"
#include "codec/writer.h"
#include "show.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- rows ---- */

static struct limit_row *see(struct limit_table *table, const struct config *config,
                             const struct limit *limit, struct arena *arena)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].limit.kind == limit->kind && strcmp(table->rows[i].limit.of, limit->of) == 0)
            return &table->rows[i];
    int64_t configured = config_limit_max(config, limit);
    struct limit_row *row = &table->rows[table->count++];
    *row = (struct limit_row){.limit = {limit->kind, arena_strdup(arena, limit->of)},
                              .name = limit_name(limit_key(limit->kind, limit->of, arena), arena),
                              .oldest_ms = -1,
                              .configured = configured,
                              .set = -1,
                              .max = configured,
                              .cut_left_ms = -1};
    return row;
}

static void see_configured(struct limit_table *table, const struct config *config, struct arena *arena)
{
    const struct limit reserve = {LIMIT_RESERVE, priority_name(PRIORITY_INTERACTIVE)};
    (void)see(table, config, &(struct limit){LIMIT_GLOBAL, ""}, arena);
    for (size_t i = 0; i < config->limit_tenant_count; i++)
        (void)see(table, config, &(struct limit){LIMIT_TENANT, config->limit_tenants[i].name}, arena);
    for (size_t i = 0; i < config->catalog.count; i++)
        if (config->catalog.entries[i].max_concurrent > 0)
            (void)see(table, config, &(struct limit){LIMIT_TEMPLATE, config->catalog.entries[i].name}, arena);
    for (int i = 0; i < PRIORITY_COUNT; i++)
        if (config->class_max[i] > 0)
            (void)see(table, config, &(struct limit){LIMIT_CLASS, priority_name((enum priority)i)}, arena);
    if (config->interactive_reserve > 0)
        (void)see(table, config, &reserve, arena);
}

static int by_kind_and_name(const void *one, const void *other)
{
    const struct limit_row *a = one, *b = other;
    if (a->limit.kind != b->limit.kind)
        return a->limit.kind < b->limit.kind ? -1 : 1;
    return strcmp(a->limit.of, b->limit.of);
}

struct limit_table limit_table_of(const struct config *config, const struct ledger_usage *usage, size_t count,
                                  struct arena *arena)
{
    size_t most = 2 + config->limit_tenant_count + config->catalog.count + PRIORITY_COUNT + count;
    struct limit_table table = {.rows = ARENA_ARRAY(arena, struct limit_row, most)};
    see_configured(&table, config, arena);
    for (size_t i = 0; i < count; i++) {
        struct limit limit;
        if (!limit_parse(usage[i].limit, &limit) || (limit.of[0] != '\0' && !job_is_name(limit.of)))
            continue;
        struct limit_row *row = see(&table, config, &limit, arena);
        row->used = usage[i].used;
        row->waiters = usage[i].waiters;
        row->oldest_ms = usage[i].used > 0 ? usage[i].oldest_ms : -1;
        row->set = usage[i].set;
        row->max = usage[i].set >= 0 ? usage[i].set : row->configured;
        if (usage[i].cut_left_ms >= 0 && (row->max < 0 || usage[i].max < row->max)) {
            row->max = usage[i].max;
            row->cut_left_ms = usage[i].cut_left_ms;
        }
    }
    qsort(table.rows, table.count, sizeof *table.rows, by_kind_and_name);
    return table;
}

struct limit_row limit_table_find(const struct limit_table *table, const struct config *config,
                                  const struct limit *limit, struct arena *arena)
{
    struct limit_table wider = {.rows = ARENA_ARRAY(arena, struct limit_row, table->count + 1),
                                .count = table->count};
    if (table->count > 0)
        memcpy(wider.rows, table->rows, table->count * sizeof *table->rows);
    return *see(&wider, config, limit, arena);
}

/* ---- the table ---- */

static void cell(int64_t value, int width, struct buffer *out)
{
    if (value < 0)
        buffer_append_format(out, "  %*s", width, "-");
    else
        buffer_append_format(out, "  %*lld", width, (long long)value);
}

static void show_row(const struct limit_row *row, int width, struct buffer *out)
{
    bool has_places = row->limit.kind != LIMIT_RESERVE;
    buffer_append_format(out, "%-*s", width, row->name);
    cell(has_places ? row->used : -1, 6, out);
    cell(row->max, 6, out);
    cell(row->configured, 10, out);
    cell(row->set, 6, out);
    cell(has_places ? row->waiters : -1, 7, out);
    buffer_append_text(out, "  ");
    show_duration(row->oldest_ms, out);
    if (row->cut_left_ms >= 0) {
        buffer_append_text(out, "  held down by E2B's quota for ");
        show_duration(row->cut_left_ms, out);
    }
    buffer_append_byte(out, '\n');
}

void limit_table_show(const struct limit_table *table, struct buffer *out)
{
    int width = (int)strlen("LIMIT");
    for (size_t i = 0; i < table->count; i++)
        width = MAX(width, (int)strlen(table->rows[i].name));
    buffer_append_format(out, "%-*s  %6s  %6s  %10s  %6s  %7s  %s\n", width, "LIMIT", "USED", "MAX",
                         "CONFIGURED", "SET", "WAITERS", "OLDEST");
    for (size_t i = 0; i < table->count; i++)
        show_row(&table->rows[i], width, out);
}

static void encode_row(const struct limit_row *row, struct writer *writer)
{
    writer_begin_object(writer);
    writer_field_text(writer, "limit", row->name);
    writer_field_int(writer, "used", row->used);
    writer_field_count(writer, "max", row->max);
    writer_field_count(writer, "configured", row->configured);
    writer_field_count(writer, "set", row->set);
    writer_field_count(writer, "cut_left_ms", row->cut_left_ms);
    writer_field_int(writer, "waiters", row->waiters);
    writer_field_count(writer, "oldest_ms", row->oldest_ms);
    writer_end_object(writer);
}

void limit_table_encode(const struct limit_table *table, const struct ledger_condition *condition,
                        struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    writer_field_bool(&writer, "grants", condition->why[0] == '\0');
    writer_field_text(&writer, "why_not", condition->why[0] == '\0' ? NULL : condition->why);
    writer_field_int(&writer, "workers", condition->workers);
    writer_key(&writer, "limits");
    writer_begin_array(&writer);
    for (size_t i = 0; i < table->count; i++)
        encode_row(&table->rows[i], &writer);
    writer_end_array(&writer);
    writer_end_object(&writer);
}

/* ---- words ---- */

static bool refuse(struct error *reterr, const char *name, const char *why, const char *near)
{
    return error_set(reterr, ERROR_REJECTED, "limits", 0, "%.200s: %s%s%s%s", name, why,
                     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static bool check_template(const char *name, const char *of, const struct config *config,
                           struct error *reterr)
{
    const char *names[64];
    size_t count = MIN(config->catalog.count, ARRAY_LENGTH(names));
    if (catalog_find(&config->catalog, of))
        return true;
    for (size_t i = 0; i < count; i++)
        names[i] = config->catalog.entries[i].name;
    return refuse(reterr, name, "the configuration has no such template", nearest_name(of, names, count));
}

static bool check_class(const char *name, const struct limit *limit, struct error *reterr)
{
    enum priority priority;
    if (!priority_parse(limit->of, &priority))
        return refuse(reterr, name, "the classes are interactive, standard and batch", NULL);
    if (limit->kind == LIMIT_RESERVE && priority != PRIORITY_INTERACTIVE)
        return refuse(reterr, name, "places are reserved for class interactive only", NULL);
    return true;
}

bool limit_target_parse(const char *name, const struct config *config, struct limit *ret,
                        struct error *reterr)
{
    struct limit limit;
    if (!limit_parse_name(name, &limit))
        return refuse(
            reterr, name,
            "no limit has this name; there are global, tenant:ID, template:NAME, class:PRIORITY and "
            "reserve:interactive",
            NULL);
    bool is_good = true;
    switch (limit.kind) {
    case LIMIT_GLOBAL:
        break;
    case LIMIT_TENANT:
        if (!job_is_name(limit.of))
            is_good = refuse(reterr, name, "a tenant's id is 1 to 64 letters, digits and . _ : -", NULL);
        break;
    case LIMIT_TEMPLATE:
        is_good = check_template(name, limit.of, config, reterr);
        break;
    case LIMIT_CLASS:
    case LIMIT_RESERVE:
        is_good = check_class(name, &limit, reterr);
        break;
    case LIMIT_SESSION:
        is_good = refuse(reterr, name, "the jobs of a session run one after the other, always", NULL);
        break;
    case LIMIT_CREATE_RATE:
        is_good =
            refuse(reterr, name,
                   "it cannot be set live: limits.create_per_second of the workers' configurations", NULL);
        break;
    }
    if (is_good)
        *ret = limit;
    return is_good;
}

bool limit_value_parse(const char *text, int64_t *ret, struct error *reterr)
{
    char *end = NULL;
    if (strcmp(text, "default") == 0) {
        *ret = LIMIT_VALUE_DEFAULT;
        return true;
    }
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0 || value > LIMIT_VALUE_MAX)
        return error_set(reterr, ERROR_REJECTED, "limits", 0,
                         "the value must be a number from 0 to %d, or 'default', found '%.100s'",
                         LIMIT_VALUE_MAX, text);
    *ret = value;
    return true;
}

/* ---- a change ---- */

static void show_value(int64_t set, int64_t configured, struct buffer *out)
{
    if (set >= 0)
        buffer_append_format(out, "%lld", (long long)set);
    else if (configured >= 0)
        buffer_append_format(out, "%lld (configured)", (long long)configured);
    else
        buffer_append_text(out, "no bound (configured)");
}

void limit_change_show(const struct limit_row *row, int64_t value, const char *ledger, struct buffer *out)
{
    int64_t max = value >= 0 ? value : row->configured;
    buffer_append_format(out, "%s: ", row->name);
    show_value(row->set, row->configured, out);
    buffer_append_text(out, " -> ");
    show_value(value, row->configured, out);
    buffer_append_format(out, ", live for all workers of ledger %s\n", ledger);
    if (row->cut_left_ms >= 0 && (max < 0 || row->max < max)) {
        buffer_append_format(out, "E2B's quota holds it at %lld for ", (long long)row->max);
        show_duration(row->cut_left_ms, out);
        buffer_append_byte(out, '\n');
    }
    if (row->limit.kind != LIMIT_RESERVE && max >= 0 && row->used > max)
        buffer_append_format(
            out, "%lld sandboxes live under it now: they run on, and none is made until fewer live\n",
            (long long)row->used);
}

void limit_change_encode(const struct limit_row *row, int64_t value, struct buffer *out)
{
    struct writer writer = {.out = out};
    writer_begin_object(&writer);
    writer_field_text(&writer, "limit", row->name);
    writer_field_count(&writer, "before", row->set);
    writer_field_count(&writer, "set", value);
    writer_field_count(&writer, "configured", row->configured);
    writer_field_int(&writer, "used", row->used);
    writer_end_object(&writer);
}
