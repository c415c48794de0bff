#ifndef TESTS_UNIT_CORE_FIXTURE_H
#define TESTS_UNIT_CORE_FIXTURE_H
#include "core/catalog.h"

/* A small catalogue like the built-in one, and a job that says nothing but what must be said. */

#define EVERY_LANGUAGE ((1u << LANGUAGE_COUNT) - 1)
#define SOME_LANGUAGES (1u << LANGUAGE_PYTHON | 1u << LANGUAGE_JAVASCRIPT)
#define TEXTS(...)                                                                                           \
    (struct text_list)                                                                                       \
    {                                                                                                        \
        .items = (const char *[]){__VA_ARGS__}, .count = ARRAY_LENGTH(((const char *[]){__VA_ARGS__}))       \
    }
#define UNSAID ((struct output_limits){-1, -1, -1, -1})

static inline struct catalog fixture_catalog(void)
{
    static const char *general[] = {"general"}, *analysis[] = {"data_analysis"},
                      *quick[] = {"quick", "quick_script"}, *learning[] = {"machine_learning", "ml"},
                      *drawing[] = {"visualization"};
    static struct package tables[] = {{"pandas", "pandas"}, {"numpy", "numpy"}};
    static struct package models[] = {{"scikit-learn", "sklearn"}, {"torch", "torch"}, {"pandas", NULL}};
    static struct package charts[] = {{"plotly", "plotly"}, {"seaborn", "seaborn"}};
    static struct package tiny[] = {{"only-in-quick", "oiq"}};
    static struct template_entry entries[5];
    const struct template_entry fresh[] = {
        {.name = "default",
         .timeout_ms = 300000,
         .memory_mb = 512,
         .cpu_milli = 500,
         .languages = EVERY_LANGUAGE,
         .task_types = {general, 1}},
        {.name = "data_analysis",
         .timeout_ms = 600000,
         .memory_mb = 1024,
         .cpu_milli = 750,
         .languages = SOME_LANGUAGES,
         .task_types = {analysis, 1},
         .packages = tables,
         .package_count = 2},
        {.name = "machine_learning",
         .timeout_ms = 1800000,
         .memory_mb = 2048,
         .cpu_milli = 1000,
         .run_mode = RUN_MODE_PROCESS,
         .languages = SOME_LANGUAGES,
         .task_types = {learning, 2},
         .packages = models,
         .package_count = 3},
        {.name = "quick_script",
         .timeout_ms = 60000,
         .memory_mb = 256,
         .cpu_milli = 250,
         .languages = SOME_LANGUAGES | 1u << LANGUAGE_BASH,
         .task_types = {quick, 2},
         .packages = tiny,
         .package_count = 1},
        {.name = "visualization",
         .timeout_ms = 600000,
         .memory_mb = 1024,
         .cpu_milli = 750,
         .languages = SOME_LANGUAGES,
         .task_types = {drawing, 1},
         .packages = charts,
         .package_count = 2},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(entries); i++) {
        entries[i] = fresh[i];
        entries[i].template_id = entries[i].name; /* each built on its own */
        entries[i].run_mode = fresh[i].run_mode ? fresh[i].run_mode : RUN_MODE_INTERPRETER;
        entries[i].limits = UNSAID;
        entries[i].nano_usd_per_vcpu_s = 14000;
        entries[i].nano_usd_per_gib_s = 4500;
    }
    return (struct catalog){.entries = entries, .count = ARRAY_LENGTH(entries), .price_version = "test"};
}

static inline struct job fixture_job(void)
{
    return (struct job){
        .job_id = "j1",
        .tenant_id = "acme",
        .key = "acme/j1",
        .task_type = "general",
        .priority = PRIORITY_STANDARD,
        .created_unix_ms = -1,
        .expires_unix_ms = -1,
        .code = "print(1)",
        .code_length = 8,
        .limits = UNSAID,
    };
}

#endif
