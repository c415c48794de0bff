#ifndef CORE_JOB_H
#define CORE_JOB_H
#include "base/arena.h"
#include "base/base.h"

/* A job: what was asked, as values. Made by codec/job.c from the bytes of one record, never changed
 * afterwards. All of it lies in one arena; texts are UTF-8 without NUL, NULL where the field was absent,
 * unless a comment says otherwise. */

enum job_kind { JOB_CODE, JOB_COMMANDS, JOB_AGENT };
enum priority {
    PRIORITY_INTERACTIVE,
    PRIORITY_STANDARD,
    PRIORITY_BATCH,
    PRIORITY_COUNT
}; /* also the class of limits */
enum language {
    LANGUAGE_PYTHON,
    LANGUAGE_JAVASCRIPT,
    LANGUAGE_TYPESCRIPT,
    LANGUAGE_BASH,
    LANGUAGE_R,
    LANGUAGE_JAVA,
    LANGUAGE_COUNT
};
enum run_mode { RUN_MODE_DEFAULT, RUN_MODE_INTERPRETER, RUN_MODE_PROCESS };
enum network_mode { NETWORK_FULL, NETWORK_OFF, NETWORK_RULES };

struct text_list {
    const char **items;
    size_t count;
};

struct pair {
    const char *name, *value;
};

struct pair_list {
    struct pair *items;
    size_t count;
};

struct input_file {
    const char *path;     /* relative to the working directory or absolute; normalised, no ".." */
    struct bytes content; /* decoded */
    unsigned mode;        /* 0: 0644 */
};

struct network {
    enum network_mode mode;
    struct text_list allow, deny;
};

struct requirements {
    bool is_given;
    int64_t memory_mb, cpu_milli, timeout_ms; /* 0: not said */
    struct text_list packages;
    bool needs_network, forbids_network;
};

struct output_limits {
    int64_t stdout_bytes, stderr_bytes, artifact_bytes, artifact_count; /* -1: not said */
};

/* Where the record was, and what its headers said. A job that waits for longer does so as a copy of its
 * record, in a retry topic. */
struct provenance {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *first_topic;    /* the one that it was published to */
    int64_t timestamp_unix_ms;  /* of the first record, -1: none */
    int64_t not_before_unix_ms; /* the copy's job goes on no earlier; -1: it may */
    char payload[33];           /* 128-bit digest of the record's value, hex */
    char origin[9];             /* 32 bits of hash(topic, partition, offset) of the first record, hex */
    int64_t hop;                /* copies behind it, this one included */
    const char *trace_parent;   /* W3C, as it came; NULL */
    bool id_is_derived;         /* job_id was absent */
};

struct job {
    const char *job_id;    /* never NULL; [A-Za-z0-9._:-]{1,64} */
    const char *tenant_id; /* never NULL */
    const char *key;       /* "<tenant_id>/<job_id>": the identity */
    const char *task_type; /* NULL: none was given and no topic names one; needs `template` then */
    enum job_kind kind;
    enum priority priority;
    int64_t created_unix_ms, not_before_unix_ms, expires_unix_ms; /* -1: not said */

    enum language language;
    const char *code; /* cleaned; never NULL for JOB_CODE */
    size_t code_length;
    struct text_list args;
    const char *input; /* stdin */
    size_t input_length;
    bool has_input;
    struct pair_list env;
    struct input_file *files;
    size_t file_count;
    struct text_list artifacts; /* globs */

    const char *template_name;
    struct requirements requirements;
    int64_t timeout_ms;     /* 0: the template's */
    enum run_mode run_mode; /* already PROCESS where args or stdin imply it */
    struct output_limits limits;
    struct network network;
    int64_t max_attempts;   /* 0: the configuration's */
    bool never_after_start; /* retry.after_start "never": once its program may have begun, no further
                               attempt */

    struct pair_list labels;
    const char *correlation_id, *batch_id;
    struct text_list warnings; /* what was cleaned, ignored or misspelt */
    struct provenance from;
};

/* Since when it waits: its first record was there, and it might have begun. -1: not known. */
int64_t job_waits_since_unix_ms(const struct job *job);

const char *job_kind_name(enum job_kind kind);
const char *priority_name(enum priority priority);
const char *language_name(enum language language);
const char *run_mode_name(enum run_mode mode);
bool job_kind_parse(const char *name, enum job_kind *ret) MUST_USE;
bool priority_parse(const char *name, enum priority *ret) MUST_USE;
bool language_parse(const char *name, enum language *ret) MUST_USE; /* also js, ts, py, sh */
bool run_mode_parse(const char *name, enum run_mode *ret) MUST_USE;

/* [A-Za-z0-9._:-]{1,64}: the alphabet of ids, tenants and task types, since they become parts of keys. */
bool job_is_name(const char *text) MUST_USE;

/* Normalises `path` ("a//./b" -> "a/b") into *ret, from the arena.
 * Returns: false for an empty path, one with "..", a trailing slash, control characters, or longer than 1,024
 * bytes. */
bool job_path_normalise(const char *path, struct arena *arena, const char **ret) MUST_USE;

#endif
