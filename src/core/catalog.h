#ifndef CORE_CATALOG_H
#define CORE_CATALOG_H
#include "core/code.h"
#include "core/job.h"

/* The catalogue of templates: for each what it offers, how long and how much, and which task types it is for.
 * Built once from the built-in catalogue and the configuration (codec/catalog.c), never changed. Choosing is
 * pure: a job in, a template and the reason out. */

struct package {
    const char *name;   /* as installed: scikit-learn */
    const char *module; /* as imported: sklearn */
};

struct template_entry {
    const char *name;             /* ours: data_analysis */
    const char *template_id;      /* E2B's id or alias: code-interpreter-v1 */
    int64_t timeout_ms;           /* longest run */
    int64_t memory_mb, cpu_milli; /* of the sandbox as built: 2000 = two cores */
    int64_t cpu_percent;          /* share of one core that process steps get, 0: all there is */
    enum run_mode run_mode;       /* INTERPRETER or PROCESS */
    unsigned languages;           /* bits 1 << enum language */
    struct text_list task_types;
    struct package *packages;
    size_t package_count;
    struct output_limits limits; /* -1: the configuration's */
    int64_t max_concurrent;      /* the limit t:<name>; 0: none of its own */
    int64_t nano_usd_per_vcpu_s, nano_usd_per_gib_s;
};

struct catalog {
    struct template_entry *entries;
    size_t count;
    const char *price_version;
};

/* Borrowed from the catalogue; the reason from the arena. */
struct placement {
    const struct template_entry *entry;
    const char
        *reason; /* a sentence: "task type data_analysis", "smallest that offers 2,048 MB and pandas" */
};

const struct template_entry *catalog_find(const struct catalog *catalog, const char *name); /* NULL: none */
const struct template_entry *catalog_find_task_type(const struct catalog *catalog,
                                                    const char *task_type); /* NULL: none */

/* An explicit template (then any task type will do), else the task type's, or the smallest one that satisfies
 * the requirements (by memory, then cores, then longest run); the task type's own where it satisfies them.
 * Returns: CODE_NONE, or UNKNOWN_TEMPLATE, UNKNOWN_TASK_TYPE, NO_TEMPLATE_FITS, UNSUPPORTED_LANGUAGE, with a
 * sentence in *ret_message (from the arena) that names what was asked, what there is and, where one is near,
 * the nearest name. */
enum code catalog_choose(const struct catalog *catalog, const struct job *job, struct arena *arena,
                         struct placement *ret, const char **ret_message) MUST_USE;

#endif
