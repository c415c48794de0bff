/* Records in, jobs out: every field right, of the wrong type and out of range, and who a record belongs
 * to. */
#include "codec/job.h"
#include "base/buffer.h"
#include "base/uuid.h"
#include "codec/hop.h"
#include "test.h"

#include <stdio.h>

static const struct job_rules usual_rules = {.cluster_id = "cluster",
                                             .max_value_bytes = 1024 * 1024,
                                             .max_code_bytes = 1024 * 1024,
                                             .now_unix_ms = 1700000000000};

struct decoded {
    struct arena arena;
    struct job job;
    enum job_verdict verdict;
    enum code code;
    const char *message;
};

static struct header text_header(const char *name, const char *value)
{
    return (struct header){.name = name, .value = {value, strlen(value)}};
}

static void decode_record(struct decoded *ret, const struct job_rules *rules, struct bytes value,
                          const struct header *headers, size_t header_count)
{
    struct job_record record = {.topic = "e2b.jobs.general",
                                .partition = 3,
                                .offset = 42,
                                .timestamp_unix_ms = 1700000000000,
                                .headers = headers,
                                .header_count = header_count,
                                .value = value};
    *ret = (struct decoded){0};
    arena_init(&ret->arena, 4096);
    ret->verdict = job_decode(&record, rules, &ret->arena, &ret->job, &ret->code, &ret->message);
}

static void decode(struct decoded *ret, const char *json)
{
    decode_record(ret, &usual_rules, (struct bytes){json, strlen(json)}, NULL, 0);
}

/* A whole job with one member more, or with its own replaced. */
static void decode_with(struct decoded *ret, const char *member)
{
    CLEANUP(base_freep)
    char *json = base_printf("{\"job_id\":\"j1\",\"code\":\"print(1)\"%s%s}", *member ? "," : "", member);
    decode(ret, json);
}

static void release(struct decoded *decoded)
{
    arena_release(&decoded->arena);
}

#define WITH_MEMBER(name, member)                                                                            \
    CLEANUP(release) struct decoded name;                                                                    \
    decode_with(&name, member)

static void the_smallest_job_has_defaults(void **state)
{
    (void)state;
    WITH_MEMBER(it, "");
    assert_int_equal(it.verdict, JOB_ACCEPTED);
    assert_text(it.job.job_id, "j1");
    assert_text(it.job.tenant_id, "default");
    assert_text(it.job.key, "default/j1");
    assert_null(it.job.task_type);
    assert_int_equal(it.job.kind, JOB_CODE);
    assert_int_equal(it.job.language, LANGUAGE_PYTHON);
    assert_int_equal(it.job.priority, PRIORITY_STANDARD);
    assert_int_equal(it.job.created_unix_ms, -1);
    assert_int_equal(it.job.limits.stdout_bytes, -1);
    assert_int_equal(it.job.run_mode, RUN_MODE_DEFAULT);
    assert_int_equal(it.job.warnings.count, 0);
    assert_int_equal(strlen(it.job.from.payload), 32);
    assert_int_equal(strlen(it.job.from.origin), 8);
    assert_text(it.message, "");
    assert_false(it.job.from.id_is_derived);
}

static void every_field_arrives(void **state)
{
    (void)state;
    WITH_MEMBER(
        it, "\"kind\":\"code\",\"task_type\":\"ml\",\"tenant_id\":\"acme\",\"priority\":\"batch\","
            "\"created_at\":\"2026-01-31T09:30:00Z\",\"expires_at\":\"2026-01-31T10:30:00+01:00\","
            "\"language\":\"js\",\"args\":[\"a\",\"b\\n\"],\"stdin\":\"in\",\"env\":{\"A_1\":\"x\"},"
            "\"files\":[{\"path\":\"a//b\",\"content\":\"gr\\u00fc\\u00df\",\"mode\":\"0755\"},"
            "{\"path\":\"c\",\"content_base64\":\"AAEC\",\"mode\":420}],\"artifacts\":[\"out/*.csv\"],"
            "\"requirements\":{\"memory_mb\":2048.0,\"cpu_count\":1.5,\"packages\":[\"pandas\"],"
            "\"timeout_ms\":1000,\"network\":true},\"timeout_ms\":5000,\"run_mode\":\"process\","
            "\"limits\":{\"stdout_bytes\":0,\"stderr_bytes\":2,\"artifact_bytes\":3,\"artifact_count\":4},"
            "\"network\":\"full\",\"stream\":false,\"retry\":{\"max_attempts\":2,\"after_start\":\"never\"},"
            "\"cache\":{\"mode\":\"off\"},\"validation\":{\"secrets\":\"off\"},\"labels\":{\"k\":\"v\"},"
            "\"correlation_id\":\"c/1 x\",\"template\":null,\"secrets\":[]");
    assert_text(it.message, "");
    assert_int_equal(it.verdict, JOB_ACCEPTED);
    const struct job *job = &it.job;
    assert_text(job->task_type, "ml");
    assert_text(job->key, "acme/j1");
    assert_int_equal(job->priority, PRIORITY_BATCH);
    assert_int_equal(job->created_unix_ms, 1769851800000);
    assert_int_equal(job->expires_unix_ms, job->created_unix_ms);
    assert_int_equal(job->language, LANGUAGE_JAVASCRIPT);
    assert_int_equal(job->args.count, 2);
    assert_text(job->args.items[1], "b\n");
    assert_text(job->input, "in");
    assert_text(job->env.items[0].name, "A_1");
    assert_int_equal(job->file_count, 2);
    assert_text(job->files[0].path, "a/b");
    assert_int_equal(job->files[0].content.length, 6);
    assert_int_equal(job->files[0].mode, 0755);
    assert_int_equal(job->files[1].mode, 0644);
    assert_memory_equal(job->files[1].content.data, "\0\1\2", 3);
    assert_text(job->artifacts.items[0], "out/*.csv");
    assert_int_equal(job->requirements.memory_mb, 2048);
    assert_int_equal(job->requirements.cpu_milli, 1500);
    assert_text(job->requirements.packages.items[0], "pandas");
    assert_true(job->requirements.needs_network);
    assert_int_equal(job->timeout_ms, 5000);
    assert_int_equal(job->run_mode, RUN_MODE_PROCESS);
    assert_int_equal(job->limits.stdout_bytes, 0);
    assert_int_equal(job->limits.artifact_count, 4);
    assert_int_equal(job->max_attempts, 2);
    assert_true(job->never_after_start);
    assert_text(job->labels.items[0].value, "v");
    assert_text(job->correlation_id, "c/1 x");
    assert_int_equal(job->warnings.count, 0);
}

#define LONG_64  "0123456789012345678901234567890123456789012345678901234567890123"
#define LONG_256 LONG_64 LONG_64 LONG_64 LONG_64

static void a_wrong_field_is_named_with_what_was_found(void **state)
{
    (void)state;
    static const struct {
        const char *member;
        enum code code;
        const char *begins, *contains;
    } samples[] = {
        {"\"kind\":1", CODE_INVALID_JOB, "/kind: ", "code, commands or agent, found 1"},
        {"\"kind\":\"cod\"", CODE_INVALID_JOB, "/kind: ", "did you mean \"code\"?"},
        {"\"task_type\":7", CODE_INVALID_JOB, "/task_type: ", "found 7"},
        {"\"task_type\":\"a b\"", CODE_INVALID_JOB, "/task_type: ", "found \"a b\""},
        {"\"priority\":\"high\"", CODE_INVALID_JOB, "/priority: ", "interactive, standard or batch"},
        {"\"priority\":[]", CODE_INVALID_JOB, "/priority: ", "found an array of 0"},
        {"\"created_at\":\"yesterday\"", CODE_INVALID_JOB, "/created_at: ", "RFC 3339"},
        {"\"created_at\":12", CODE_INVALID_JOB, "/created_at: ", "found 12"},
        {"\"expires_at\":\"2026-02-30T00:00:00Z\"", CODE_INVALID_JOB, "/expires_at: ", "RFC 3339"},
        {"\"not_before\":\"soon\"", CODE_INVALID_JOB, "/not_before: ", "RFC 3339"},
        {"\"not_before\":\"2023-12-15T22:13:21Z\"", CODE_INVALID_JOB, "/not_before: ", "31 days"},
        {"\"not_before\":\"2023-11-15T00:00:00Z\",\"expires_at\":\"2023-11-15T00:00:00Z\"", CODE_INVALID_JOB,
         "/expires_at: ", "not_before"},
        {"\"language\":\"cobol\"", CODE_UNSUPPORTED_LANGUAGE, "/language: ", "python, javascript"},
        {"\"language\":true", CODE_INVALID_JOB, "/language: ", "found true"},
        {"\"commands\":[]", CODE_INVALID_JOB, "/commands: ", "another kind"},
        {"\"commands\":{}", CODE_INVALID_JOB, "/commands: ", "an array"},
        {"\"commands\":[{\"run\":\"\"}]", CODE_INVALID_JOB, "/commands/0: ", "run"},
        {"\"commands\":[{\"run\":5}]", CODE_INVALID_JOB, "/commands/0/run: ", "a string"},
        {"\"commands\":[{\"run\":\"x\",\"timeout_ms\":0}]", CODE_INVALID_JOB,
         "/commands/0/timeout_ms: ", "1 to"},
        {"\"commands\":[{\"run\":\"x\",\"env\":{\"A\":1}}]", CODE_INVALID_JOB,
         "/commands/0/env/A: ", "string"},
        {"\"agent\":1", CODE_INVALID_JOB, "/agent: ", "an object"},
        {"\"agent\":{}", CODE_INVALID_JOB, "/agent: ", "prompt"},
        {"\"agent\":{\"prompt\":\"x\",\"repo\":{}}", CODE_INVALID_JOB, "/agent/repo: ", "url"},
        {"\"agent\":{\"prompt\":\"x\",\"push\":{\"mode\":\"all\"}}", CODE_INVALID_JOB,
         "/agent/push/mode: ", "none or branch"},
        {"\"args\":\"a\"", CODE_INVALID_JOB, "/args: ", "found a string of 1 bytes"},
        {"\"args\":[\"a\",3]", CODE_INVALID_JOB, "/args/1: ", "must be a string, found 3"},
        {"\"args\":[\"a\\u0000b\"]", CODE_INVALID_JOB, "/args/0: ", "U+0000"},
        {"\"stdin\":null,\"stdin\":1", CODE_INVALID_JOB, "the job: ", "duplicate object key"},
        {"\"stdin\":{}", CODE_INVALID_JOB, "/stdin: ", "an object"},
        {"\"env\":[]", CODE_INVALID_JOB, "/env: ", "an object of strings"},
        {"\"env\":{\"A\":1}", CODE_INVALID_JOB, "/env/A: ", "a string, found 1"},
        {"\"env\":{\"1A\":\"\"}", CODE_INVALID_JOB, "/env/1A: ", "no name"},
        {"\"env\":{\"A-B\":\"\"}", CODE_INVALID_JOB, "/env/A-B: ", "no name"},
        {"\"env\":{\"a/b~\":\"\"}", CODE_INVALID_JOB, "/env/a~1b~0: ", "no name"},
        {"\"env\":{\"\":\"\"}", CODE_INVALID_JOB, "/env/: ", "no name"},
        {"\"env\":{\"PATH\":\"/x\"}", CODE_INVALID_JOB, "/env/PATH: ", "reserved"},
        {"\"env\":{\"LD_PRELOAD\":\"/x\"}", CODE_INVALID_JOB, "/env/LD_PRELOAD: ", "reserved"},
        {"\"files\":{}", CODE_INVALID_JOB, "/files: ", "an array"},
        {"\"files\":[1]", CODE_INVALID_JOB, "/files/0: ", "an object, found 1"},
        {"\"files\":[{\"content\":\"\"}]", CODE_INVALID_JOB, "/files/0: ", "path"},
        {"\"files\":[{\"path\":\"a\"}]", CODE_INVALID_JOB, "/files/0: ", "exactly one"},
        {"\"files\":[{\"path\":\"a\",\"content\":\"\",\"content_base64\":\"\"}]", CODE_INVALID_JOB,
         "/files/0: ", "exactly one"},
        {"\"files\":[{\"path\":\"a\",\"content_base64\":\"!\"}]", CODE_INVALID_JOB,
         "/files/0/content_base64: ", "base64"},
        {"\"files\":[{\"path\":\"../a\",\"content\":\"\"}]", CODE_FILE_PATH_INVALID, "/files/0/path: ", ".."},
        {"\"files\":[{\"path\":\"\",\"content\":\"\"}]", CODE_FILE_PATH_INVALID, "/files/0/path: ", "path"},
        {"\"files\":[{\"path\":\"a\\u0000\",\"content\":\"\"}]", CODE_FILE_PATH_INVALID,
         "/files/0/path: ", ""},
        {"\"files\":[{\"path\":7,\"content\":\"\"}]", CODE_INVALID_JOB, "/files/0/path: ", "found 7"},
        {"\"files\":[{\"path\":\"a\",\"content\":\"\",\"mode\":\"999\"}]", CODE_INVALID_JOB,
         "/files/0/mode: ", "octal"},
        {"\"files\":[{\"path\":\"a\",\"content\":\"\",\"mode\":644}]", CODE_INVALID_JOB,
         "/files/0/mode: ", "1 to 511"},
        {"\"files\":[{\"path\":\"a\",\"url\":\"https://x/y\"}]", CODE_INVALID_JOB, "/files/0: ", "sha256"},
        {"\"files\":[{\"path\":\"a\",\"url\":\"https://x/y\",\"sha256\":\"12\"}]", CODE_INVALID_JOB,
         "/files/0/sha256: ", "64"},
        {"\"files\":[{\"path\":\"a\",\"content\":\"\"},{\"path\":\"./a\",\"content\":\"\"}]",
         CODE_FILE_CONFLICT, "/files/1: ", "/files/0"},
        {"\"files\":[{\"path\":\"a/b\",\"content\":\"\"},{\"path\":\"a\",\"content\":\"\"}]",
         CODE_FILE_CONFLICT, "/files/1: ", "a/b"},
        {"\"artifacts\":\"x\"", CODE_INVALID_JOB, "/artifacts: ", "an array"},
        {"\"artifacts\":[\"a/../b\"]", CODE_FILE_PATH_INVALID, "/artifacts/0: ", ".."},
        {"\"artifacts\":[\"\"]", CODE_FILE_PATH_INVALID, "/artifacts/0: ", "glob"},
        {"\"secrets\":[{\"name\":\"x\"}]", CODE_INVALID_JOB, "/secrets/0: ", "env"},
        {"\"template\":5", CODE_INVALID_JOB, "/template: ", "found 5"},
        {"\"requirements\":[]", CODE_INVALID_JOB, "/requirements: ", "an object"},
        {"\"requirements\":{\"memory_mb\":\"2g\"}", CODE_INVALID_JOB, "/requirements/memory_mb: ", "integer"},
        {"\"requirements\":{\"memory_mb\":0}", CODE_INVALID_JOB, "/requirements/memory_mb: ", "found 0"},
        {"\"requirements\":{\"cpu_count\":0}", CODE_INVALID_JOB, "/requirements/cpu_count: ", "cores"},
        {"\"requirements\":{\"cpu_count\":\"1\"}", CODE_INVALID_JOB, "/requirements/cpu_count: ", "cores"},
        {"\"requirements\":{\"packages\":[1]}", CODE_INVALID_JOB, "/requirements/packages/0: ", "a string"},
        {"\"requirements\":{\"timeout_ms\":-1}", CODE_INVALID_JOB, "/requirements/timeout_ms: ", "found -1"},
        {"\"requirements\":{\"network\":1}", CODE_INVALID_JOB, "/requirements/network: ", "true"},
        {"\"timeout_ms\":\"5s\"", CODE_INVALID_JOB, "/timeout_ms: ", "integer from 1 to 86400000"},
        {"\"timeout_ms\":1.5", CODE_INVALID_JOB, "/timeout_ms: ", "found 1.5"},
        {"\"timeout_ms\":0", CODE_INVALID_JOB, "/timeout_ms: ", "found 0"},
        {"\"timeout_ms\":99999999999999999999", CODE_INVALID_JOB, "/timeout_ms: ", "found 1e+20"},
        {"\"run_mode\":\"default\"", CODE_INVALID_JOB, "/run_mode: ", "interpreter or process"},
        {"\"run_mode\":\"interpreter\",\"stdin\":\"x\"", CODE_INVALID_JOB, "/run_mode: ", "stdin"},
        {"\"run_mode\":\"interpreter\",\"args\":[\"x\"]", CODE_INVALID_JOB, "/run_mode: ", "args"},
        {"\"limits\":{\"stdout_bytes\":-1}", CODE_INVALID_JOB, "/limits/stdout_bytes: ", "found -1"},
        {"\"limits\":{\"artifact_count\":\"1\"}", CODE_INVALID_JOB, "/limits/artifact_count: ", "integer"},
        {"\"network\":true", CODE_INVALID_JOB, "/network: ", "full"},
        {"\"network\":\"none\"", CODE_INVALID_JOB, "/network: ", "full or off"},
        {"\"network\":{\"allow\":[7]}", CODE_INVALID_JOB, "/network/allow/0: ", "a string"},
        {"\"session\":{}", CODE_INVALID_JOB, "/session: ", "id"},
        {"\"session\":{\"id\":\"s\",\"close\":1}", CODE_INVALID_JOB, "/session/close: ", "true or false"},
        {"\"stream\":\"yes\"", CODE_INVALID_JOB, "/stream: ", "true or false"},
        {"\"retry\":{\"max_attempts\":11}", CODE_INVALID_JOB, "/retry/max_attempts: ", "1 to 10"},
        {"\"retry\":{\"after_start\":\"no\"}", CODE_INVALID_JOB, "/retry/after_start: ", "always or never"},
        {"\"retry\":3", CODE_INVALID_JOB, "/retry: ", "an object"},
        {"\"cache\":{\"mode\":\"on\"}", CODE_INVALID_JOB, "/cache/mode: ", "off, read or readwrite"},
        {"\"validation\":{\"secrets\":1}", CODE_INVALID_JOB, "/validation/secrets: ", "off, warn or reject"},
        {"\"labels\":{\"a\":1}", CODE_INVALID_JOB, "/labels/a: ", "a string"},
        {"\"labels\":{\"a\":\"x\\ny\"}", CODE_INVALID_JOB, "/labels/a: ", "U+000A"},
        {"\"correlation_id\":1", CODE_INVALID_JOB, "/correlation_id: ", "a string"},
        {"\"correlation_id\":\"" LONG_256 "x\"", CODE_INVALID_JOB, "/correlation_id: ", "at most 256"},
        {"\"batch_size\":\"3\"", CODE_INVALID_JOB, "/batch_size: ", "integer"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        WITH_MEMBER(it, samples[i].member);
        if (it.verdict != JOB_REJECTED || it.code != samples[i].code ||
            strncmp(it.message, samples[i].begins, strlen(samples[i].begins)) != 0 ||
            !strstr(it.message, samples[i].contains))
            fail_msg("%s: verdict %d, %s: %s", samples[i].member, it.verdict, code_name(it.code), it.message);
        assert_text(it.job.job_id, "j1");
        assert_true(strlen(it.message) < 320);
    }
}

static void what_comes_later_is_unsupported(void **state)
{
    (void)state;
    static const struct {
        const char *member, *begins;
    } samples[] = {
        {"\"files\":[{\"path\":\"a\",\"url\":\"https://x/y\",\"sha256\":\"" LONG_64 "\"}]", "/files/0/url: "},
        {"\"secrets\":[{\"name\":\"x\",\"env\":\"X\"}]", "/secrets: "},
        {"\"network\":\"off\"", "/network: "},
        {"\"network\":{\"allow\":[\"pypi.org\"],\"deny\":[]}", "/network: "},
        {"\"requirements\":{\"network\":false}", "/requirements/network: "},
        {"\"session\":{\"id\":\"s\",\"keep_ms\":5,\"close\":false}", "/session: "},
        {"\"stream\":true", "/stream: "},
        {"\"cache\":{\"mode\":\"read\",\"ttl_ms\":5}", "/cache: "},
        {"\"cache\":\"readwrite\"", "/cache: "},
        {"\"validation\":{\"secrets\":\"warn\"}", "/validation: "},
        {"\"batch_id\":\"b\",\"batch_size\":2", "/batch_id: "},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        WITH_MEMBER(it, samples[i].member);
        if (it.code != CODE_UNSUPPORTED_FEATURE ||
            strncmp(it.message, samples[i].begins, strlen(samples[i].begins)) != 0)
            fail_msg("%s: %s: %s", samples[i].member, code_name(it.code), it.message);
    }
    CLEANUP(release) struct decoded commands;
    decode(&commands, "{\"job_id\":\"j\",\"kind\":\"commands\",\"commands\":[{\"run\":\"ls\"}]}");
    assert_int_equal(commands.code, CODE_UNSUPPORTED_FEATURE);
    CLEANUP(release) struct decoded agent;
    decode(&agent, "{\"job_id\":\"j\",\"kind\":\"agent\",\"agent\":{\"prompt\":\"fix it\",\"repo\":"
                   "{\"url\":\"https://x/y.git\",\"ref\":\"main\"},\"cli\":\"claude\",\"model\":\"m\","
                   "\"push\":{\"mode\":\"branch\",\"branch\":\"b\",\"message\":\"m\"}}}");
    assert_int_equal(agent.code, CODE_UNSUPPORTED_FEATURE);
}

static void a_mistake_is_told_before_what_is_unsupported(void **state)
{
    (void)state;
    WITH_MEMBER(it, "\"stream\":true,\"timeout_ms\":\"x\",\"labels\":{\"a\":\"b\"}");
    assert_int_equal(it.code, CODE_INVALID_JOB);
    assert_int_equal(it.job.labels.count, 1); /* read although the job is rejected */
}

static void unknown_fields_are_warnings_with_the_name_that_was_meant(void **state)
{
    (void)state;
    WITH_MEMBER(it, "\"timeuot_ms\":5,\"requirements\":{\"memry_mb\":1},\"zzzzzz\":{\"a\":[1]}");
    assert_int_equal(it.verdict, JOB_ACCEPTED);
    assert_int_equal(it.job.warnings.count, 3);
    assert_text(it.job.warnings.items[0],
                "/timeuot_ms: unknown field, ignored; did you mean \"timeout_ms\"?");
    assert_text(it.job.warnings.items[1],
                "/requirements/memry_mb: unknown field, ignored; did you mean \"memory_mb\"?");
    assert_text(it.job.warnings.items[2], "/zzzzzz: unknown field, ignored");
}

static void an_unknown_field_is_told_at_every_level(void **state)
{
    (void)state;
    static const struct {
        const char *member, *warning;
    } samples[] = {
        {"\"timeout\":5", "/timeout: unknown field, ignored; did you mean \"timeout_ms\"?"},
        {"\"lang\":\"python\"", "/lang: unknown field, ignored; did you mean \"language\"?"},
        {"\"Priority\":\"batch\"", "/Priority: unknown field, ignored; did you mean \"priority\"?"},
        {"\"file\":[]", "/file: unknown field, ignored; did you mean \"files\"?"},
        {"\"tenant\":\"acme\"", "/tenant: unknown field, ignored; did you mean \"tenant_id\"?"},
        {"\"files\":[{\"path\":\"a\",\"content\":\"\",\"Mode\":7}]",
         "/files/0/Mode: unknown field, ignored; did you mean \"mode\"?"},
        {"\"requirements\":{\"memory\":1}",
         "/requirements/memory: unknown field, ignored; did you mean \"memory_mb\"?"},
        {"\"requirements\":{\"cpu\":1}",
         "/requirements/cpu: unknown field, ignored; did you mean \"cpu_count\"?"},
        {"\"limits\":{\"stdout\":1}",
         "/limits/stdout: unknown field, ignored; did you mean \"stdout_bytes\"?"},
        {"\"retry\":{\"max_attempt\":1}",
         "/retry/max_attempt: unknown field, ignored; did you mean \"max_attempts\"?"},
        {"\"retry\":{\"backoff\":1}", "/retry/backoff: unknown field, ignored"},
        {"\"network\":{\"alow\":[]}", "/network/alow: unknown field, ignored; did you mean \"allow\"?"},
        {"\"cache\":{\"ttl\":1}", "/cache/ttl: unknown field, ignored; did you mean \"ttl_ms\"?"},
        {"\"validation\":{\"secret\":\"off\"}",
         "/validation/secret: unknown field, ignored; did you mean \"secrets\"?"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        WITH_MEMBER(it, samples[i].member);
        if (it.job.warnings.count != 1 || strcmp(it.job.warnings.items[0], samples[i].warning) != 0)
            fail_msg("%s: %zu warnings, the first: %s", samples[i].member, it.job.warnings.count,
                     it.job.warnings.count > 0 ? it.job.warnings.items[0] : "");
    }
}

static void a_required_field_that_is_misspelt_is_told_by_the_name_it_has(void **state)
{
    (void)state;
    static const struct {
        const char *job, *message;
    } samples[] = {
        {"{\"cod\":\"1\",\"timeout\":5}",
         "/code: is missing: a job of this kind needs it; there is \"cod\": did you mean \"code\"?"},
        {"{\"code\":null,\"Code\":\"1\"}",
         "/code: is missing: a job of this kind needs it; there is \"Code\": did you mean \"code\"?"},
        {"{\"source\":\"1\"}", "/code: is missing: a job of this kind needs it"},
        {"{\"kind\":\"commands\",\"command\":[]}",
         "/commands: is missing: a job of this kind needs it; there is \"command\": did you mean "
         "\"commands\"?"},
        {"{\"kind\":\"agent\",\"agents\":{}}",
         "/agent: is missing: a job of this kind needs it; there is \"agents\": did you mean \"agent\"?"},
        {"{\"code\":\"1\",\"files\":[{\"paht\":\"a\",\"content\":\"\"}]}",
         "/files/0: lacks \"path\"; there is \"paht\": did you mean \"path\"?"},
        {"{\"code\":\"1\",\"files\":[{\"path\":\"a\",\"contents\":\"\"}]}",
         "/files/0: needs exactly one of \"content\", \"content_base64\" and \"url\", found 0; there is "
         "\"contents\": did you mean \"content\"?"},
        {"{\"code\":\"1\",\"files\":[{\"path\":\"a\",\"content_b64\":\"\"}]}",
         "/files/0: needs exactly one of \"content\", \"content_base64\" and \"url\", found 0; there is "
         "\"content_b64\": did you mean \"content_base64\"?"},
        {"{\"code\":\"1\",\"files\":[{\"path\":\"a\",\"url\":\"https://x/y\",\"sha\":\"\"}]}",
         "/files/0: a file by \"url\" needs its \"sha256\"; there is \"sha\": did you mean \"sha256\"?"},
        {"{\"kind\":\"commands\",\"commands\":[{\"rum\":\"ls\"}]}",
         "/commands/0: lacks \"run\"; there is \"rum\": did you mean \"run\"?"},
        {"{\"kind\":\"agent\",\"agent\":{\"promt\":\"x\"}}",
         "/agent: lacks \"prompt\"; there is \"promt\": did you mean \"prompt\"?"},
        {"{\"kind\":\"agent\",\"agent\":{\"prompt\":\"x\",\"repo\":{\"uri\":\"u\"}}}",
         "/agent/repo: lacks \"url\"; there is \"uri\": did you mean \"url\"?"},
        {"{\"code\":\"1\",\"secrets\":[{\"nmae\":\"x\",\"env\":\"X\"}]}",
         "/secrets/0: lacks \"name\"; there is \"nmae\": did you mean \"name\"?"},
        {"{\"code\":\"1\",\"session\":{\"Id\":\"s\"}}",
         "/session: lacks \"id\"; there is \"Id\": did you mean \"id\"?"},
        {"{\"co\\nde\":\"1\"}",
         "/code: is missing: a job of this kind needs it; there is \"co?de\": did you mean \"code\"?"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(release) struct decoded it;
        decode(&it, samples[i].job);
        if (it.code != CODE_INVALID_JOB || strcmp(it.message, samples[i].message) != 0)
            fail_msg("%s: %s: %s", samples[i].job, code_name(it.code), it.message);
    }
}

static void warnings_are_bounded(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer json = {0};
    buffer_append_text(&json, "{\"code\":\"1\"");
    for (int i = 0; i < 500; i++)
        buffer_append_format(&json, ",\"unknown%d\":1", i);
    buffer_append_text(&json, "}");
    CLEANUP(release) struct decoded it;
    decode(&it, json.data);
    assert_int_equal(it.job.warnings.count, 21);
    assert_text(it.job.warnings.items[20], "480 further warnings are not shown");
}

static void bounds_are_kept(void **state)
{
    (void)state;
    static const struct {
        const char *name, *element, *begin, *end;
        int most;
    } lists[] = {
        {"args", "\"a\"", "[", "]", 256},
        {"artifacts", "\"a\"", "[", "]", 32},
        {"files", "{\"path\":\"f%d\",\"content\":\"\"}", "[", "]", 300},
        {"labels", "\"k%d\":\"\"", "{", "}", 16},
        {"env", "\"K%d\":\"\"", "{", "}", 64},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        for (int more = 0; more < 2; more++) {
            CLEANUP(buffer_release) struct buffer json = {0};
            buffer_append_format(&json, "\"%s\":%s", lists[i].name, lists[i].begin);
            for (int n = 0; n < lists[i].most + more; n++) {
                const char *mark = strstr(lists[i].element, "%d");
                size_t before = mark ? (size_t)(mark - lists[i].element) : strlen(lists[i].element);
                buffer_append_text(&json, n > 0 ? "," : "");
                buffer_append(&json, lists[i].element, before);
                if (mark)
                    buffer_append_format(&json, "%d%s", n, mark + 2);
            }
            buffer_append_text(&json, lists[i].end);
            WITH_MEMBER(it, json.data);
            assert_int_equal(it.verdict, more ? JOB_REJECTED : JOB_ACCEPTED);
        }
}

static void code_beyond_its_limit_is_too_large(void **state)
{
    (void)state;
    struct job_rules rules = usual_rules;
    rules.max_code_bytes = 3;
    static const char json[] = "{\"job_id\":\"j\",\"code\":\"1234\"}";
    CLEANUP(release) struct decoded it;
    decode_record(&it, &rules, (struct bytes){json, strlen(json)}, NULL, 0);
    assert_int_equal(it.code, CODE_PAYLOAD_TOO_LARGE);
    rules.max_value_bytes = 10;
    CLEANUP(release) struct decoded large;
    decode_record(&large, &rules, (struct bytes){json, strlen(json)}, NULL, 0);
    assert_int_equal(large.code, CODE_PAYLOAD_TOO_LARGE);
    assert_int_equal(large.verdict, JOB_REJECTED);
    assert_text(large.job.job_id, "j"); /* read nevertheless: somebody waits for the answer */
    rules.max_value_bytes = 2;
    CLEANUP(release) struct decoded vast;
    decode_record(&vast, &rules, (struct bytes){json, strlen(json)}, NULL, 0);
    assert_int_equal(vast.code, CODE_PAYLOAD_TOO_LARGE);
    assert_int_equal(vast.verdict, JOB_UNREADABLE);
}

static void identity_comes_from_the_job_the_event_or_the_record(void **state)
{
    (void)state;
    static const char json[] = "{\"code\":\"1\"}";
    struct bytes value = {json, strlen(json)};
    struct header named[] = {text_header("ce_id", "event-7")}, odd[] = {text_header("ce_id", "a b")};
    CLEANUP(release) struct decoded by_event, by_hash, by_record, again;
    decode_record(&by_event, &usual_rules, value, named, 1);
    assert_text(by_event.job.job_id, "event-7");
    decode_record(&by_hash, &usual_rules, value, odd, 1);
    assert_int_equal(strlen(by_hash.job.job_id), 36);
    decode_record(&by_record, &usual_rules, value, NULL, 0);
    decode_record(&again, &usual_rules, value, NULL, 0);
    assert_text(by_record.job.job_id, again.job.job_id);
    assert_string_not_equal(by_record.job.job_id, by_hash.job.job_id);
    assert_true(by_record.job.from.id_is_derived);
    assert_text(by_record.job.from.origin, again.job.from.origin);
}

static void a_copy_in_a_retry_topic_is_the_same_job(void **state)
{
    (void)state;
    struct bytes value = {"{\"code\":\"1\"}", 12};
    CLEANUP(release) struct decoded first, copied, empty;
    decode_record(&first, &usual_rules, value, NULL, 0);
    assert_text(first.job.from.first_topic, "e2b.jobs.general");
    assert_int_equal(first.job.from.not_before_unix_ms, -1);
    struct hop hop = {.number = 3,
                      .not_before_unix_ms = 1700000060000,
                      .first_seen_unix_ms = first.job.from.timestamp_unix_ms,
                      .topic = "e2b.jobs.general"};
    (void)snprintf(hop.job_id, sizeof hop.job_id, "%s", first.job.job_id);
    (void)snprintf(hop.origin, sizeof hop.origin, "%s", first.job.from.origin);
    struct job_record copy = {.topic = "e2b.retry.1m",
                              .partition = 1,
                              .offset = 7,
                              .timestamp_unix_ms = 1700000001234,
                              .value = value,
                              .hop = &hop};
    copied = (struct decoded){0};
    copied.verdict =
        job_decode(&copy, &usual_rules, &copied.arena, &copied.job, &copied.code, &copied.message);
    assert_int_equal(copied.verdict, JOB_ACCEPTED);
    assert_text(copied.job.key, first.job.key);
    assert_true(copied.job.from.id_is_derived);
    assert_text(copied.job.from.origin, first.job.from.origin);
    assert_text(copied.job.from.payload, first.job.from.payload);
    assert_text(copied.job.from.topic, "e2b.retry.1m");
    assert_text(copied.job.from.first_topic, "e2b.jobs.general");
    assert_int_equal(copied.job.from.timestamp_unix_ms, first.job.from.timestamp_unix_ms);
    assert_int_equal(copied.job.from.not_before_unix_ms, 1700000060000);
    assert_int_equal(copied.job.from.hop, 3);
    hop = (struct hop){.not_before_unix_ms = -1, .first_seen_unix_ms = -1};
    empty = (struct decoded){0};
    empty.verdict = job_decode(&copy, &usual_rules, &empty.arena, &empty.job, &empty.code, &empty.message);
    assert_int_equal(empty.verdict, JOB_ACCEPTED); /* nothing said: as any other record */
    assert_string_not_equal(empty.job.key, first.job.key);
    assert_text(empty.job.from.first_topic, "e2b.retry.1m");
    assert_int_equal(empty.job.from.timestamp_unix_ms, 1700000001234);
    assert_int_equal(empty.job.from.hop, 0);
}

static void a_job_that_starts_later_waits_since_it_might_have_begun(void **state)
{
    (void)state;
    WITH_MEMBER(later, "\"not_before\":\"2023-11-15T00:00:00Z\",\"expires_at\":\"2023-11-15T00:00:01Z\"");
    assert_int_equal(later.verdict, JOB_ACCEPTED);
    assert_int_equal(later.job.not_before_unix_ms, 1700006400000);
    assert_int_equal(job_waits_since_unix_ms(&later.job), 1700006400000);
    WITH_MEMBER(now, "\"not_before\":\"2023-11-14T00:00:00Z\"");
    assert_int_equal(job_waits_since_unix_ms(&now.job), now.job.from.timestamp_unix_ms);
    WITH_MEMBER(furthest, "\"not_before\":\"2023-12-15T22:13:20Z\"");
    assert_int_equal(furthest.verdict, JOB_ACCEPTED);
}

static void what_is_not_json_is_answered_only_if_it_is_known_whose_it_is(void **state)
{
    (void)state;
    struct header named[] = {text_header("ce_id", "e1")};
    struct job_rules fixed = usual_rules;
    fixed.tenant_of_topic = "acme";
    static const struct {
        const char *value;
        bool is_named, is_fixed;
        enum job_verdict verdict;
        const char *key;
    } samples[] = {
        {"not json", false, false, JOB_UNREADABLE, NULL},
        {"not json", true, false, JOB_REJECTED, "default/e1"},
        {"", true, false, JOB_REJECTED, "default/e1"},
        {"", false, false, JOB_UNREADABLE, NULL},
        {"{\"tenant_id\":\"b\",", true, false, JOB_UNREADABLE, NULL},
        {"{\"tenant_id\":\"b\",", true, true, JOB_REJECTED, "acme/e1"},
        {"{\"tenant_id\":7}", true, false, JOB_UNREADABLE, NULL},
        {"{\"tenant_id\":\"a b\"}", false, false, JOB_UNREADABLE, NULL},
        {"{\"tenant_id\":7,\"code\":\"1\"}", true, true, JOB_ACCEPTED, "acme/e1"},
        {"{\"tenant_id\":\"other\",\"code\":\"1\"}", true, true, JOB_ACCEPTED, "acme/e1"},
        {"[1]", true, false, JOB_REJECTED, "default/e1"},
        {"{\"job_id\":5,\"code\":\"1\"}", true, false, JOB_REJECTED, "default/e1"},
        {"{\"code\":\"1\",\"code\":\"2\"}", true, false, JOB_REJECTED, "default/e1"},
        {"{\"tenant_id\":\"a\",\"tenant_id\":\"b\"}", true, false, JOB_UNREADABLE, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(release) struct decoded it;
        decode_record(&it, samples[i].is_fixed ? &fixed : &usual_rules,
                      (struct bytes){samples[i].value, strlen(samples[i].value)}, named,
                      samples[i].is_named ? 1 : 0);
        if (it.verdict != samples[i].verdict)
            fail_msg("%s: verdict %d: %s", samples[i].value, it.verdict, it.message);
        if (samples[i].key)
            assert_text(it.job.key, samples[i].key);
        if (it.verdict != JOB_ACCEPTED) {
            assert_int_equal(it.code, CODE_INVALID_JOB);
            assert_true(strlen(it.message) > 10);
        }
    }
}

static void an_array_without_any_id_is_answered_under_a_derived_one(void **state)
{
    (void)state;
    CLEANUP(release) struct decoded it;
    decode(&it, "[1]");
    assert_int_equal(it.verdict, JOB_REJECTED);
    assert_int_equal(strlen(it.job.job_id), 36);
}

static void topic_and_job_must_agree_on_the_task_type(void **state)
{
    (void)state;
    struct job_rules rules = usual_rules;
    rules.task_type = "general";
    static const char same[] = "{\"code\":\"1\",\"task_type\":\"general\"}",
                      other[] = "{\"code\":\"1\",\"task_type\":\"ml\"}", none[] = "{\"code\":\"1\"}";
    CLEANUP(release) struct decoded it, wrong, silent;
    decode_record(&it, &rules, (struct bytes){same, strlen(same)}, NULL, 0);
    assert_int_equal(it.verdict, JOB_ACCEPTED);
    decode_record(&wrong, &rules, (struct bytes){other, strlen(other)}, NULL, 0);
    assert_int_equal(wrong.verdict, JOB_REJECTED);
    assert_non_null(strstr(wrong.message, "/task_type: "));
    decode_record(&silent, &rules, (struct bytes){none, strlen(none)}, NULL, 0);
    assert_text(silent.job.task_type, "general");
}

static void arguments_and_input_imply_a_process(void **state)
{
    (void)state;
    WITH_MEMBER(args, "\"args\":[\"x\"]");
    assert_int_equal(args.job.run_mode, RUN_MODE_PROCESS);
    WITH_MEMBER(input, "\"stdin\":\"\"");
    assert_int_equal(input.job.run_mode, RUN_MODE_PROCESS);
    assert_true(input.job.has_input);
    WITH_MEMBER(none, "\"args\":[]");
    assert_int_equal(none.job.run_mode, RUN_MODE_DEFAULT);
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    CLEANUP(buffer_release) struct buffer json = {0};
    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&json, '[');
    CLEANUP(release) struct decoded it;
    decode_record(&it, &usual_rules, buffer_bytes(&json), NULL, 0);
    assert_int_equal(it.verdict, JOB_UNREADABLE);
}

static void code_is_cleaned_and_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *code, *clean;
        size_t warnings;
    } samples[] = {
        {"print(1)\n", "print(1)\n", 0},
        {"\xef\xbb\xbfprint(1)", "print(1)", 1},
        {"a\r\nb\rc\r\n", "a\nb\rc\n", 1},
        {"```python\nprint(1)\n```", "print(1)\n", 1},
        {"\n  ```\nprint(1)\n```  \n\n", "print(1)\n", 1},
        {"~~~\nx\n~~~", "x\n", 1},
        {"````\n```\n````", "```\n", 1},
        {"```python\r\nprint(1)\r\n```\r\n", "print(1)\n", 2},
        {"```\n```", "", 1},
        {"```python\nprint(1)\n", "```python\nprint(1)\n", 0},
        {"```echo `hi` ```\n```", "```echo `hi` ```\n```", 0},
        {"print('''\n```\n''')", "print('''\n```\n''')", 0},
        {"```\nx\n~~~", "```\nx\n~~~", 0},
        {"```", "```", 0},
        {"", "", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct arena arena;
        size_t length;
        struct text_list removed;
        arena_init(&arena, 0);
        const char *clean = code_clean(samples[i].code, strlen(samples[i].code), &arena, &length, &removed);
        assert_text(clean, samples[i].clean);
        assert_int_equal(length, strlen(clean));
        if (removed.count != samples[i].warnings)
            fail_msg("%s: %zu warnings", samples[i].code, removed.count);
        arena_release(&arena);
    }
    CLEANUP(release) struct decoded empty;
    decode(&empty, "{\"job_id\":\"j\",\"code\":\"```\\n```\"}");
    assert_int_equal(empty.code, CODE_INVALID_JOB);
    CLEANUP(release) struct decoded missing;
    decode(&missing, "{\"job_id\":\"j\"}");
    assert_non_null(strstr(missing.message, "/code: is missing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smallest_job_has_defaults),
        cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(a_wrong_field_is_named_with_what_was_found),
        cmocka_unit_test(what_comes_later_is_unsupported),
        cmocka_unit_test(a_mistake_is_told_before_what_is_unsupported),
        cmocka_unit_test(unknown_fields_are_warnings_with_the_name_that_was_meant),
        cmocka_unit_test(an_unknown_field_is_told_at_every_level),
        cmocka_unit_test(a_required_field_that_is_misspelt_is_told_by_the_name_it_has),
        cmocka_unit_test(warnings_are_bounded),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(code_beyond_its_limit_is_too_large),
        cmocka_unit_test(identity_comes_from_the_job_the_event_or_the_record),
        cmocka_unit_test(a_copy_in_a_retry_topic_is_the_same_job),
        cmocka_unit_test(a_job_that_starts_later_waits_since_it_might_have_begun),
        cmocka_unit_test(what_is_not_json_is_answered_only_if_it_is_known_whose_it_is),
        cmocka_unit_test(an_array_without_any_id_is_answered_under_a_derived_one),
        cmocka_unit_test(topic_and_job_must_agree_on_the_task_type),
        cmocka_unit_test(arguments_and_input_imply_a_process),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(code_is_cleaned_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
