/* The configuration: sources and their order, mistakes and what is said of them, and what follows from
 * what. */
#include "config/config.h"
#include "config/keys.h"
#include "test.h"

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

struct loaded {
    struct arena arena;
    struct config config;
    struct error error;
    bool is_good;
};

static void release(struct loaded *loaded)
{
    arena_release(&loaded->arena);
}

static char *write_file(const char *text)
{
    char *path = base_strdup("/tmp/config_test_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void remove_file(char **path)
{
    if (*path)
        unlink(*path);
    free(*path);
}

struct given {
    const char *file, *env_file; /* contents */
    const char *sets[4];
    const char *environment[4];
};

static void load(struct loaded *ret, struct given given)
{
    CLEANUP(remove_file) char *file = given.file ? write_file(given.file) : NULL;
    CLEANUP(remove_file) char *env_file = given.env_file ? write_file(given.env_file) : NULL;
    char *environment[5] = {0};
    size_t sets = 0;
    while (sets < ARRAY_LENGTH(given.sets) && given.sets[sets])
        sets++;
    for (size_t i = 0; i < ARRAY_LENGTH(given.environment) && given.environment[i]; i++)
        environment[i] = base_strdup(given.environment[i]);
    *ret = (struct loaded){0};
    arena_init(&ret->arena, 0);
    struct config_input input = {.file = file,
                                 .env_file = env_file,
                                 .sets = given.sets,
                                 .set_count = sets,
                                 .environment = environment};
    ret->is_good = config_load(&input, &ret->arena, &ret->config, &ret->error);
    for (size_t i = 0; i < ARRAY_LENGTH(environment); i++)
        free(environment[i]);
}

#define LOAD(name, ...)                                                                                      \
    CLEANUP(release) struct loaded name;                                                                     \
    load(&name, (struct given){__VA_ARGS__})

static void nothing_at_all_is_the_local_simulation(void **state)
{
    (void)state;
    LOAD(it, .file = NULL);
    assert_true(it.is_good);
    const struct config *config = &it.config;
    assert_int_equal(config->mode, MODE_SIMULATION);
    assert_text(config->e2b_api_url, "http://127.0.0.1:3010");
    assert_text(config->e2b_sandbox_url, "http://127.0.0.1:3010");
    assert_non_null(config->e2b_api_key);
    assert_text(config->deployment, "default");
    assert_text(config->kafka_group_id, "e2b-worker");
    assert_text(config->kafka_assignor, "eager");
    assert_text(config->topics.jobs.items[0], "^e2b\\.jobs\\.[^.]+$");
    assert_text(config->topics.stats, "e2b.results");
    assert_int_equal(config->max_in_flight, 256);
    assert_int_equal(config->max_bytes, 256 * 1024 * 1024);
    assert_int_equal(config->drain_ms, 620000);
    assert_int_equal(config->limit_global, 19);
    assert_int_equal(config->create_milli_per_s, 0);
    assert_int_equal(config->results_max_bytes, 900 * 1024);
    assert_int_equal(config->outputs.stdout_bytes, 65536);
    assert_int_equal(config->outputs.artifact_count, 16);
    assert_int_equal(config->queue_timeout_ms, 24 * 60 * 60 * 1000);
    assert_true(config->lifecycle_events);
    assert_int_equal(config->max_attempts, 3);
    assert_text(config->http_listen, "127.0.0.1:9464");
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_true(strlen(config->worker_name) > 0);
    assert_int_equal(config->class_max[PRIORITY_INTERACTIVE], 0);
    assert_int_equal(config->interactive_reserve, 3);
    assert_int_equal(config->class_max[PRIORITY_BATCH], 13);
    assert_int_equal(config->catalog.count, 6);
    struct text_list warnings;
    config_warnings(config, &it.arena, &warnings);
    assert_int_equal(warnings.count, 1);
}

static void a_key_means_production(void **state)
{
    (void)state;
    LOAD(it, .environment = {"E2B_API_KEY=e2b_x"});
    assert_true(it.is_good);
    assert_int_equal(it.config.mode, MODE_PRODUCTION);
    assert_null(it.config.e2b_api_url);
    assert_text(config_e2b_place(&it.config), "e2b.app");
    assert_int_equal(it.config.create_milli_per_s, 1000);
    assert_int_equal(it.config.create_burst, 1);
    LOAD(local, .environment = {"E2B_API_URL=http://127.0.0.1:4444"});
    assert_int_equal(local.config.mode, MODE_SIMULATION);
    assert_text(local.config.e2b_sandbox_url, "http://127.0.0.1:4444");
    assert_text(config_e2b_place(&local.config), "http://127.0.0.1:4444");
    LOAD(own, .environment = {"E2B_API_KEY=e2b_x", "E2B_DOMAIN=e2b.example"});
    assert_text(config_e2b_place(&own.config), "e2b.example");
    LOAD(refused, .sets = {"mode=production"});
    assert_false(refused.is_good);
    assert_non_null(strstr(refused.error.text, "E2B_API_KEY"));
    LOAD(remote, .environment = {"E2B_API_URL=https://e2b.example"});
    assert_false(remote.is_good);
}

static void later_sources_win(void **state)
{
    (void)state;
    LOAD(it,
         .file = "{\"$schema\":\"x\",\"kafka\":{\"bootstrap_servers\":\"file:1\",\"group_id\":\"g\","
                 "\"properties\":{\"security.protocol\":\"SSL\",\"acks\":1}},"
                 "\"redis\":{\"url\":\"redis://${REDIS_HOST}/$${x}\"},\"limits\":{\"global\":\"${MAX}\","
                 "\"tenants\":{\"acme\":3},\"create_per_second\":0.5},\"topics\":{\"jobs\":[\"a\",\"b\"]},"
                 "\"worker.max_in_flight\":7,\"log\":{\"components\":{\"kafka\":\"debug\"}},\"mode\":null}",
         .env_file =
             "# comment\nexport REDIS_HOST=\"from-file\"\nMAX=30\nKAFKA_BOOTSTRAP_SERVERS='env:file'\n",
         .environment = {"KAFKA_BOOTSTRAP_SERVERS=env:1", "E2B_DOMAIN="},
         .sets = {"kafka.properties.security.protocol=PLAINTEXT", "limits.tenants.b.c=4", "topics.jobs=one",
                  "templates.data_analysis.memory_mb=4096"});
    if (!it.is_good)
        fail_msg("%s", it.error.text);
    assert_text(it.config.kafka_bootstrap_servers, "env:1");
    assert_text(it.config.kafka_group_id, "g");
    assert_text(it.config.redis_url, "redis://from-file/${x}");
    assert_int_equal(it.config.limit_global, 30);
    assert_int_equal(it.config.create_milli_per_s, 500);
    assert_int_equal(it.config.max_in_flight, 7);
    assert_int_equal(it.config.kafka_properties.count, 2);
    assert_text(it.config.kafka_properties.items[0].value, "PLAINTEXT");
    assert_text(it.config.kafka_properties.items[1].value, "1");
    assert_int_equal(it.config.limit_tenant_count, 2);
    assert_text(it.config.limit_tenants[1].name, "b.c");
    assert_int_equal(it.config.limit_tenants[1].max, 4);
    assert_int_equal(it.config.topics.jobs.count, 1);
    assert_int_equal(catalog_find(&it.config.catalog, "data_analysis")->memory_mb, 4096);
    assert_null(it.config.e2b_domain);
}

static void mistakes_name_key_source_and_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *file, *set, *contains[3];
    } samples[] = {
        {.set = "limits.globl=3", .contains = {"limits.globl", "--set", "did you mean limits.global?"}},
        {.set = "limit.global=3", .contains = {"did you mean limits.global?"}},
        {.set = "limits.global=0", .contains = {"limits.global", "1 to 100000", "found 0"}},
        {.set = "limits.global=many", .contains = {"limits.global", "integer", "found a text"}},
        {.set = "limits.global=", .contains = {"limits.global", "an empty text"}},
        {.set = "limits.global", .contains = {"KEY=VALUE"}},
        {.set = "=3", .contains = {"KEY=VALUE"}},
        {.set = "limits=3", .contains = {"limits", "no such key"}},
        {.set = "limits.tenants.acme=x", .contains = {"limits.tenants.acme", "integer"}},
        {.set = "limits.tenants.a b=1", .contains = {"no name"}},
        {.set = "limits.create_per_second=-1", .contains = {"0.001"}},
        {.set = "limits.create_per_second=nan", .contains = {"number"}},
        {.set = "events.lifecycle=yes", .contains = {"events.lifecycle", "true or false"}},
        {.set = "mode=test", .contains = {"auto, production, simulation", "\"test\""}},
        {.set = "log.level=loud", .contains = {"debug, info"}},
        {.set = "log.components.kafka=loud", .contains = {"log.components", "kafka"}},
        {.set = "kafka.assignor=sticky", .contains = {"cooperative-sticky"}},
        {.set = "results.delivery=exactly_once",
         .contains = {"results.delivery", "at_least_once, transactional"}},
        {.set = "results.transaction_ms=50", .contains = {"results.transaction_ms", "100"}},
        {.set = "results.max_bytes=100", .contains = {"4096"}},
        {.set = "topics.jobs=", .contains = {"topics.jobs"}},
        {.set = "templates.data_analysis.memry_mb=1",
         .contains = {"/templates/data_analysis/memry_mb", "memory_mb"}},
        {.set = "templates.data_analysis.memory_mb=x",
         .contains = {"/templates/data_analysis/memory_mb", "integer"}},
        {.set = "templates.mine.memory_mb=512", .contains = {"/templates/mine", "template_id"}},
        {.set = "templates=3", .contains = {"templates", "object"}},
        {.set = "limits.templates.none=1", .contains = {"limits.templates.none", "no template"}},
        {.set = "deployment=", .contains = {"deployment", "1 to 64"}},
        {.file = "{", .contains = {"not JSON", "line 1"}},
        {.file = "[]", .contains = {"must hold a JSON object"}},
        {.file = "{\"limits\":3}", .contains = {"limits", "must be an object"}},
        {.file = "{\"limits\":{\"glob\":3}}", .contains = {"limits.glob"}},
        {.file = "{\"kafak\":{}}", .contains = {"kafak", "did you mean kafka?"}},
        {.file = "{\"mode\":\"auto\",\"mode\":\"auto\"}", .contains = {"duplicate"}},
        {.file = "{\"redis\":{\"url\":\"redis://${NOT_SET}\"}}",
         .contains = {"redis.url", "NOT_SET", "set it"}},
        {.file = "{\"redis\":{\"url\":\"redis://${\"}}", .contains = {"redis.url", "$${"}},
        {.file = "{\"limits\":{\"global\":1.5}}", .contains = {"found 1.5"}},
        {.file = "{\"kafka\":{\"properties\":{\"a\":[]}}}",
         .contains = {"kafka.properties", "a: must be a text"}},
        {.file = "{\"kafka\":{\"properties\":[]}}", .contains = {"must be an object"}},
        {.file = "{\"templates\":{\"x\":{\"template_id\":\"t\",\"task_types\":[\"ml\"]},\"y\":{\"template_"
                 "id\":\"t\","
                 "\"task_types\":[\"ml\"]}}}",
         .contains = {"ml", "two templates"}},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        LOAD(it, .file = samples[i].file, .sets = {samples[i].set});
        const char *what = samples[i].set ? samples[i].set : samples[i].file;
        if (it.is_good)
            fail_msg("%s was taken", what);
        assert_int_equal(it.error.kind, ERROR_REJECTED);
        for (size_t c = 0; c < ARRAY_LENGTH(samples[i].contains) && samples[i].contains[c]; c++)
            if (!strstr(it.error.text, samples[i].contains[c]))
                fail_msg("%s: no \"%s\" in: %s", what, samples[i].contains[c], it.error.text);
    }
}

static void files_that_are_not_there_are_told(void **state)
{
    (void)state;
    struct arena arena;
    struct config config;
    struct error error;
    arena_init(&arena, 0);
    assert_false(config_load(&(struct config_input){.file = "/nowhere/x.json"}, &arena, &config, &error));
    assert_non_null(strstr(error.text, "/nowhere/x.json"));
    assert_false(config_load(&(struct config_input){.env_file = "/nowhere/x.env"}, &arena, &config, &error));
    arena_release(&arena);
    LOAD(it, .env_file = "A=1\nno assignment\n");
    assert_false(it.is_good);
    assert_non_null(strstr(it.error.text, "line 2"));
}

static void templates_are_laid_over_the_builtin_ones(void **state)
{
    (void)state;
    LOAD(it, .file = "{\"templates\":{\"data_analysis\":{\"timeout_ms\":5000,\"task_types\":[\"data_"
                     "analysis\",\"ml\"]},"
                     "\"mine\":{\"template_id\":\"t1\",\"packages\":[\"polars\",{\"name\":\"scikit-learn\","
                     "\"module\":\"sklearn\"}],\"cpu_count\":0.5,\"price\":{\"nano_usd_per_vcpu_s\":1}},"
                     "\"agent\":null},\"limits\":{\"templates\":{\"mine\":2}}}");
    if (!it.is_good)
        fail_msg("%s", it.error.text);
    const struct template_entry *own = catalog_find(&it.config.catalog, "data_analysis");
    assert_int_equal(own->timeout_ms, 5000);
    assert_int_equal(own->memory_mb, 1024);
    assert_int_equal(own->package_count, 3);
    assert_ptr_equal(catalog_find_task_type(&it.config.catalog, "ml"), own);
    assert_null(catalog_find(&it.config.catalog, "agent"));
    const struct template_entry *mine = catalog_find(&it.config.catalog, "mine");
    assert_int_equal(mine->cpu_milli, 500);
    assert_int_equal(mine->max_concurrent, 2);
    assert_text(mine->packages[0].module, "polars");
    assert_text(mine->packages[1].module, "sklearn");
    assert_int_equal(mine->nano_usd_per_vcpu_s, 1);
    assert_int_equal(mine->nano_usd_per_gib_s, 4500);
}

static void each_limit_has_the_places_that_it_was_given(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t max;
    } cases[] = {
        {"global", 20},           {"tenant:acme", 5},          {"tenant:other", 7},   {"template:default", 3},
        {"template:agent", -1},   {"template:unheard_of", -1}, {"class:batch", 10},   {"class:standard", -1},
        {"class:unheard_of", -1}, {"reserve:interactive", 4},  {"reserve:batch", -1}, {"session:notebook", 1},
        {"create_rate", -1},
    };
    LOAD(it, .file = "{\"limits\":{\"global\":20,\"tenant\":7,\"tenants\":{\"acme\":5},"
                     "\"templates\":{\"default\":3},\"batch_percent\":50,\"interactive_percent\":20}}");
    if (!it.is_good)
        fail_msg("%s", it.error.text);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct limit limit;
        assert_true(limit_parse_name(cases[i].name, &limit));
        assert_int_equal(config_limit_max(&it.config, &limit), cases[i].max);
    }
    it.config.limit_tenant = 0;
    assert_int_equal(config_limit_max(&it.config, &(struct limit){LIMIT_TENANT, "other"}), -1);
}

static void the_builtin_catalogue_is_the_one_of_the_contract(void **state)
{
    (void)state;
    static const struct {
        const char *name, *task_type;
        int64_t timeout_s, memory_mb, cpu_percent;
        enum run_mode run_mode;
    } rows[] = {
        {"default", "general", 300, 512, 50, RUN_MODE_INTERPRETER},
        {"data_analysis", "data_analysis", 600, 1024, 75, RUN_MODE_INTERPRETER},
        {"machine_learning", "machine_learning", 1800, 2048, 100, RUN_MODE_PROCESS},
        {"machine_learning", "ml", 1800, 2048, 100, RUN_MODE_PROCESS},
        {"quick_script", "quick", 60, 256, 25, RUN_MODE_INTERPRETER},
        {"quick_script", "quick_script", 60, 256, 25, RUN_MODE_INTERPRETER},
        {"visualization", "visualization", 600, 1024, 75, RUN_MODE_INTERPRETER},
        {"visualization", "data_visualization", 600, 1024, 75, RUN_MODE_INTERPRETER},
    };
    LOAD(it, .file = NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct template_entry *entry = catalog_find_task_type(&it.config.catalog, rows[i].task_type);
        assert_non_null(entry);
        assert_text(entry->name, rows[i].name);
        assert_int_equal(entry->timeout_ms, rows[i].timeout_s * 1000);
        assert_int_equal(entry->memory_mb, rows[i].memory_mb);
        assert_int_equal(entry->cpu_percent, rows[i].cpu_percent);
        assert_int_equal(entry->run_mode, rows[i].run_mode);
        assert_text(entry->template_id, "code-interpreter-v1");
    }
    assert_non_null(it.config.catalog.price_version);
}

static void class_shares_follow_the_global_limit(void **state)
{
    (void)state;
    static const struct {
        const char *global, *interactive, *batch;
        int64_t reserve, batch_max;
    } rows[] = {
        {"100", "20", "70", 20, 70}, {"1", "20", "70", 0, 1},     {"4", "20", "70", 0, 2},
        {"100", "0", "100", 0, 100}, {"100", "50", "70", 50, 70}, {"10", "100", "70", 10, 7},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char global[64], interactive[64], batch[64];
        (void)snprintf(global, sizeof global, "limits.global=%s", rows[i].global);
        (void)snprintf(interactive, sizeof interactive, "limits.interactive_percent=%s", rows[i].interactive);
        (void)snprintf(batch, sizeof batch, "limits.batch_percent=%s", rows[i].batch);
        LOAD(it, .sets = {global, interactive, batch});
        assert_true(it.is_good);
        assert_int_equal(it.config.interactive_reserve, rows[i].reserve);
        assert_int_equal(it.config.class_max[PRIORITY_BATCH], rows[i].batch_max);
    }
}

static void printing_masks_secrets(void **state)
{
    (void)state;
    LOAD(it, .environment = {"E2B_API_KEY=e2b_secret1", "REDIS_URL=redis://me:secret2@host:1/0"},
         .sets = {"kafka.properties.sasl.password=secret3", "kafka.properties.ssl.key.location=/k"});
    assert_true(it.is_good);
    CLEANUP(buffer_release) struct buffer out = {0};
    config_print(&it.config, &out);
    assert_null(strstr(out.data, "secret"));
    assert_non_null(strstr(out.data, "redis://me:***@host:1/0"));
    assert_non_null(strstr(out.data, "\"sasl.password\": \"***\""));
    assert_non_null(strstr(out.data, "\"ssl.key.location\": \"/k\""));
    json_auto_t *root = json_loadb(out.data, out.length, 0, NULL);
    assert_true(json_is_object(root));
}

static void what_is_printed_can_be_loaded_again(void **state)
{
    (void)state;
    LOAD(first, .sets = {"limits.tenants.acme=3", "limits.create_per_second=2.5"});
    CLEANUP(buffer_release) struct buffer out = {0}, again = {0};
    config_print(&first.config, &out);
    LOAD(second, .file = out.data);
    if (!second.is_good)
        fail_msg("%s", second.error.text);
    config_print(&second.config, &again);
    json_auto_t *one = json_loadb(out.data, out.length, 0, NULL);
    json_auto_t *two = json_loadb(again.data, again.length, 0, NULL);
    assert_true(json_equal(json_object_get(one, "limits"), json_object_get(two, "limits")));
    assert_true(json_equal(json_object_get(one, "templates"), json_object_get(two, "templates")));
}

static void oddities_are_warned_of(void **state)
{
    (void)state;
    LOAD(it, .environment = {"E2B_API_KEY=x", "E2B_API_URL=http://e2b.example"},
         .sets = {"worker.drain_ms=1000", "limits.tenant=100", "limits.tenants.a=100",
                  "results.max_bytes=5000"});
    assert_true(it.is_good);
    struct text_list warnings;
    config_warnings(&it.config, &it.arena, &warnings);
    assert_int_equal(warnings.count, 8); /* https, four interpreter templates, tenant, tenants.a, results */
}

static void every_key_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *member;
        assert_non_null(key->help);
        assert_ptr_equal(config_key_find(key->name, &member), key);
        assert_null(member);
        bool has_range =
            key->type == CONFIG_INTEGER || key->type == CONFIG_TEXT || key->type == CONFIG_LIMITS;
        assert_true(!has_range || key->max > key->min);
        assert_true(!(key->type == CONFIG_ENUM || key->type == CONFIG_CHOICE) || key->choices);
    }
    CLEANUP(buffer_release) struct buffer table = {0};
    config_table(&table);
    assert_non_null(strstr(table.data, "| `limits.global` | `19` |"));
}

static void the_committed_schema_is_the_tables(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer schema = {0}, committed = {0};
    config_schema(&schema);
    FILE *file = fopen(SCHEMAS "/config.v1.json", "re");
    assert_non_null(file);
    char piece[4096];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, file)) > 0)
        buffer_append(&committed, piece, length);
    (void)fclose(file);
    if (committed.length != schema.length || memcmp(committed.data, schema.data, schema.length) != 0)
        fail_msg("schemas/config.v1.json is out of date; write it anew: e2b-worker config schema, or "
                 "build/.../tests/schemas/messages DIRECTORY");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_at_all_is_the_local_simulation),
        cmocka_unit_test(a_key_means_production),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(mistakes_name_key_source_and_remedy),
        cmocka_unit_test(files_that_are_not_there_are_told),
        cmocka_unit_test(templates_are_laid_over_the_builtin_ones),
        cmocka_unit_test(each_limit_has_the_places_that_it_was_given),
        cmocka_unit_test(the_builtin_catalogue_is_the_one_of_the_contract),
        cmocka_unit_test(class_shares_follow_the_global_limit),
        cmocka_unit_test(printing_masks_secrets),
        cmocka_unit_test(what_is_printed_can_be_loaded_again),
        cmocka_unit_test(oddities_are_warned_of),
        cmocka_unit_test(every_key_is_whole),
        cmocka_unit_test(the_committed_schema_is_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
