/* Every example job is decoded and planned with the built-in catalogue, and ends before its sandbox exactly
 * when its expectation says so. */
#include "codec/job.h"
#include "config/config.h"
#include "core/plan.h"
#include "test.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>

static struct config config;
static struct arena config_arena;

static int load_config(void **state)
{
    (void)state;
    struct error error;
    arena_init(&config_arena, 0);
    return config_load(&(struct config_input){0}, &config_arena, &config, &error) ? 0 : -1;
}

static int release_config(void **state)
{
    (void)state;
    arena_release(&config_arena);
    return 0;
}

static void read_file(const char *path, struct buffer *ret)
{
    FILE *file = fopen(path, "re");
    if (!file)
        fail_msg("cannot open %s", path);
    char piece[4096];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, file)) > 0)
        buffer_append(ret, piece, length);
    (void)fclose(file);
}

static enum code judge(struct bytes value, struct arena *arena, struct job *job, struct plan *plan,
                       const char **ret_message)
{
    const struct job_record record = {.topic = "e2b.jobs.x", .value = value};
    const struct job_rules rules = {.now_unix_ms = 1795219200000, /* 2026-11-21 */
                                    .max_value_bytes = (size_t)config.job_max_bytes,
                                    .max_code_bytes = (size_t)config.job_max_bytes};
    const struct plan_rules bounds = {
        .global_max = config.limit_global, .outputs = config.outputs, .max_attempts = config.max_attempts};
    enum code code;
    if (job_decode(&record, &rules, arena, job, &code, ret_message) != JOB_ACCEPTED)
        return code;
    return plan_compile(job, &config.catalog, &bounds, arena, plan, ret_message);
}

static void check_example(const char *name)
{
    CLEANUP(buffer_release) struct buffer job_text = {0}, expect_text = {0};
    CLEANUP(base_freep) char *path = base_printf("%s/%s.json", EXAMPLES, name);
    CLEANUP(base_freep) char *expect_path = base_printf("%s/%s.expect.json", EXAMPLES, name);
    read_file(path, &job_text);
    read_file(expect_path, &expect_text);
    json_auto_t *expect = json_loadb(expect_text.data, expect_text.length, 0, NULL);
    const char *status = json_string_value(json_object_get(expect, "status"));
    const char *template = json_string_value(json_object_get(expect, "template"));
    const char *mode = json_string_value(json_object_get(expect, "run_mode"));
    bool is_rejected = strcmp(status, "rejected") == 0;
    struct arena arena = {0};
    struct job job;
    struct plan plan = {0};
    const char *message = "";
    enum code code = judge(buffer_bytes(&job_text), &arena, &job, &plan, &message);
    if ((code != CODE_NONE) != is_rejected)
        fail_msg("%s: %s: %s", name, code_name(code), message);
    if (is_rejected)
        assert_text(code_name(code), json_string_value(json_object_get(expect, "error_code")));
    if (template && !is_rejected)
        assert_text(plan.placement.entry->name, template);
    if (mode && !is_rejected)
        assert_text(run_mode_name(plan.run_mode), mode);
    arena_release(&arena);
}

static void every_example_is_what_its_expectation_says(void **state)
{
    (void)state;
    DIR *folder = opendir(EXAMPLES);
    assert_non_null(folder);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        const char *end = strstr(entry->d_name, ".json");
        if (!end || strstr(entry->d_name, ".expect.json"))
            continue;
        CLEANUP(base_freep) char *name = base_strndup(entry->d_name, (size_t)(end - entry->d_name));
        check_example(name);
        count++;
    }
    closedir(folder);
    assert_true(count >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_example_is_what_its_expectation_says),
    };
    return cmocka_run_group_tests(tests, load_config, release_config);
}
