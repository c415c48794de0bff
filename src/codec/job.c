/* One record -> one job, or why it is none: sizes, envelope, JSON, identity; the fields are
 * job_fields.c's. */
#include "codec/job.h"
#include "base/digest.h"
#include "base/uuid.h"
#include "codec/hop.h"
#include "codec/job_fields.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum {
    TRACE_BYTES_MAX = 128,
    PARSE_FACTOR = 4, /* an oversized record is read up to this many times the limit, to learn whose it is */
};

static const char *const default_tenant = "default";

/* What is known of a record while it is decoded. */
struct decoding {
    const struct job_record *record;
    const struct job_rules *rules;
    struct job *job;
    struct envelope envelope;
    json_t *root; /* NULL: not JSON, or not looked at */
    struct reader reader;
};

/* The first record's place, which a copy carries along: tells a second record of one job from the same record
 * seen again. */
static void fill_origin(const struct job_record *record, char origin[9])
{
    struct digest *digest = digest_new();
    digest_add_text(digest, record->topic);
    digest_add_int(digest, record->partition);
    digest_add_int(digest, record->offset);
    base_hex_text(digest_finish64(digest) >> 32, 8, origin);
}

static void fill_provenance(const struct job_record *record, struct arena *arena, struct provenance *from)
{
    const struct hop *hop = record->hop;
    from->topic = from->first_topic = arena_strdup(arena, record->topic);
    from->partition = record->partition;
    from->offset = record->offset;
    from->timestamp_unix_ms = record->timestamp_unix_ms;
    from->not_before_unix_ms = -1;
    digest_sha256_hex128(record->value, from->payload);
    fill_origin(record, from->origin);
    if (!hop)
        return;
    from->hop = hop->number;
    from->not_before_unix_ms = hop->not_before_unix_ms;
    if (hop->topic[0] != '\0')
        from->first_topic = arena_strdup(arena, hop->topic);
    if (hop->first_seen_unix_ms >= 0)
        from->timestamp_unix_ms = hop->first_seen_unix_ms;
    if (hop->origin[0] != '\0')
        memcpy(from->origin, hop->origin, sizeof from->origin);
}

/* It is handed on as a header and in logs: printable and short, or nothing. */
static const char *usable_trace(const char *trace_parent)
{
    if (!trace_parent || strlen(trace_parent) > TRACE_BYTES_MAX)
        return NULL;
    for (const char *p = trace_parent; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '-')
            return NULL;
    return trace_parent;
}

/* Integers beyond 64 bits are read as reals, so that the field that holds one can be named. */
static json_t *load(struct bytes data, size_t flags, json_error_t *why)
{
    const char *text = data.length > 0 ? data.data : "";
    flags |= JSON_ALLOW_NUL | JSON_DECODE_ANY;
    json_t *root = json_loadb(text, data.length, flags, why);
    if (!root && json_error_code(why) == json_error_numeric_overflow)
        root = json_loadb(text, data.length, flags | JSON_DECODE_INT_AS_REAL, why);
    return root;
}

/* Fills decoding->root, or notes why not. A key that stands twice fails the job, but not its identity. */
static void parse(struct decoding *decoding)
{
    struct bytes data = decoding->envelope.data;
    json_error_t why;
    if (data.length == 0) {
        (void)reader_fail(&decoding->reader, CODE_INVALID_JOB, "the record is empty; a job is a JSON object");
        return;
    }
    decoding->root = load(data, JSON_REJECT_DUPLICATES, &why);
    if (decoding->root)
        return;
    (void)reader_fail(&decoding->reader, CODE_INVALID_JOB,
                      "the value is not JSON: %.160s (line %d, column %d)", why.text, why.line, why.column);
    if (json_error_code(&why) == json_error_duplicate_key && !strstr(why.text, "job_id") &&
        !strstr(why.text, "tenant_id"))
        decoding->root = load(data, 0, &why);
}

static void read_envelope(struct decoding *decoding, struct arena *arena)
{
    const struct job_record *record = decoding->record;
    struct error error;
    size_t max = decoding->rules->max_value_bytes;
    if (envelope_read(record->headers, record->header_count, record->value, arena, &decoding->envelope,
                      &error))
        decoding->job->from.trace_parent = usable_trace(decoding->envelope.trace_parent);
    else
        (void)reader_fail(&decoding->reader, CODE_INVALID_JOB, "%s", error.text);
    if (record->value.length > max)
        (void)reader_fail(&decoding->reader, CODE_PAYLOAD_TOO_LARGE,
                          "the record's value is %zu bytes long; at most %zu are allowed",
                          record->value.length, max);
    if (decoding->envelope.data.data && record->value.length / PARSE_FACTOR <= max)
        parse(decoding);
    else
        (void)reader_fail(&decoding->reader, CODE_INVALID_JOB, "the record is empty; a job is a JSON object");
}

/* Whose job it is. A broken record that speaks of a tenant is nobody's: its answer could reach another one.
 * Returns: NULL, with the reader's failure, when that cannot be read. */
static const char *find_tenant(struct decoding *decoding)
{
    struct reader *reader = &decoding->reader;
    json_t *named = json_object_get(decoding->root, "tenant_id");
    const char *fixed = decoding->rules->tenant_of_topic, *tenant = NULL;
    if (fixed) {
        if (json_is_string(named) && strcmp(json_string_value(named), fixed) != 0) {
            reader_enter(reader, "tenant_id", 0);
            reader_warn(reader, "not used: the configuration gives this topic to tenant \"%s\"", fixed);
            reader_leave(reader);
        }
        return arena_strdup(reader->arena, fixed);
    }
    if (named && !json_is_null(named)) {
        reader->code = CODE_NONE; /* an unreadable tenant is the worse news */
        reader_enter(reader, "tenant_id", 0);
        bool is_good = reader_name(reader, named, &tenant);
        reader_leave(reader);
        return is_good ? tenant : NULL;
    }
    static const char word[] = "tenant_id";
    struct bytes value = decoding->record->value;
    if (!decoding->root && value.length > 0 && memmem(value.data, value.length, word, strlen(word)))
        return NULL;
    return arena_strdup(reader->arena, default_tenant);
}

static const char *derived_id(const struct decoding *decoding)
{
    const struct job_record *record = decoding->record;
    const char *cluster = decoding->rules->cluster_id;
    char id[UUID_TEXT_SIZE];
    const char *name = arena_printf(decoding->reader.arena, "record %s %s %d %lld %lld",
                                    cluster ? cluster : "", record->topic, (int)record->partition,
                                    (long long)record->offset, (long long)record->timestamp_unix_ms);
    uuid_from_name(name, strlen(name), id);
    return arena_strdup(decoding->reader.arena, id);
}

/* The job's own word, else what a copy in a retry topic carries, else the event's id (hashed when it has
 * another alphabet), else one that stays the same however often this record is read. */
static const char *find_id(struct decoding *decoding)
{
    struct reader *reader = &decoding->reader;
    json_t *named = json_object_get(decoding->root, "job_id");
    const char *id = NULL, *event_id = decoding->envelope.id;
    const struct hop *hop = decoding->record->hop;
    char text[UUID_TEXT_SIZE];
    if (named && !json_is_null(named)) {
        reader_enter(reader, "job_id", 0);
        bool is_good = reader_name(reader, named, &id);
        reader_leave(reader);
        if (is_good)
            return id;
    }
    decoding->job->from.id_is_derived = true;
    if (hop && hop->job_id[0] != '\0')
        return arena_strdup(reader->arena, hop->job_id);
    if (!event_id)
        return derived_id(decoding);
    if (job_is_name(event_id))
        return event_id;
    const char *name = ARENA_JOIN(reader->arena, "event ", event_id);
    uuid_from_name(name, strlen(name), text);
    return arena_strdup(reader->arena, text);
}

/* The topic's word and the job's own must agree. */
static void settle_task_type(struct decoding *decoding, const char *own)
{
    const char *topic = decoding->rules->task_type;
    decoding->job->task_type = own ? own : arena_strdup(decoding->reader.arena, topic);
    if (!own || !topic || strcmp(own, topic) == 0)
        return;
    reader_enter(&decoding->reader, "task_type", 0);
    (void)reader_fail(&decoding->reader, CODE_INVALID_JOB,
                      "is \"%s\", but the record came over the topic of \"%s\"; both must agree", own, topic);
    reader_leave(&decoding->reader);
}

static void read_fields(struct decoding *decoding)
{
    const struct job_rules *rules = decoding->rules;
    struct job_draft draft = {
        .job = decoding->job, .max_code_bytes = rules->max_code_bytes, .now_unix_ms = rules->now_unix_ms};
    if (decoding->root)
        job_fields_read(&decoding->reader, decoding->root, &draft);
    settle_task_type(decoding, draft.task_type);
    if (decoding->reader.unsupported && decoding->reader.code == CODE_NONE) {
        decoding->reader.code = CODE_UNSUPPORTED_FEATURE;
        decoding->reader.message = decoding->reader.unsupported;
    }
}

static void take_warnings(struct reader *reader, struct job *job)
{
    size_t count = reader->warning_count;
    const char **items = ARENA_ARRAY(reader->arena, const char *, count + 1);
    memcpy(items, reader->warnings, count * sizeof *items);
    if (reader->warnings_dropped > 0)
        items[count++] =
            arena_printf(reader->arena, "%zu further warnings are not shown", reader->warnings_dropped);
    job->warnings = (struct text_list){items, count};
}

/* Whether anybody can be answered: either the value is JSON, or the envelope names the job. */
static bool has_identity(const struct decoding *decoding)
{
    const struct hop *hop = decoding->record->hop;
    return decoding->root || decoding->envelope.id || (hop && hop->job_id[0] != '\0');
}

enum job_verdict job_decode(const struct job_record *record, const struct job_rules *rules,
                            struct arena *arena, struct job *ret, enum code *ret_code,
                            const char **ret_message)
{
    struct decoding decoding = {.record = record, .rules = rules, .job = ret, .reader = {.arena = arena}};
    *ret = (struct job){.priority = PRIORITY_STANDARD,
                        .created_unix_ms = -1,
                        .expires_unix_ms = -1,
                        .not_before_unix_ms = -1,
                        .limits = {-1, -1, -1, -1}};
    fill_provenance(record, arena, &ret->from);
    read_envelope(&decoding, arena);
    const char *tenant = has_identity(&decoding) ? find_tenant(&decoding) : NULL;
    if (tenant) {
        ret->tenant_id = tenant;
        ret->job_id = find_id(&decoding);
        ret->key = ARENA_JOIN(arena, tenant, "/", ret->job_id);
        read_fields(&decoding);
    }
    take_warnings(&decoding.reader, ret);
    json_decref(decoding.root);
    *ret_code = decoding.reader.code;
    *ret_message = decoding.reader.message ? decoding.reader.message : "";
    assert(tenant || decoding.reader.code != CODE_NONE);
    if (!tenant)
        return JOB_UNREADABLE;
    return decoding.reader.code == CODE_NONE ? JOB_ACCEPTED : JOB_REJECTED;
}
