/* Records of the control topic: read in every mode, refused with the place, written and read back. */
#include "codec/control.h"
#include "test.h"

struct decoded {
    struct arena arena;
    struct control control;
    struct error error;
    bool is_good;
};

static void decode(struct decoded *ret, const struct header *headers, size_t count, const char *json)
{
    *ret = (struct decoded){0};
    ret->is_good = control_decode(headers, count, (struct bytes){json, strlen(json)}, &ret->arena,
                                  &ret->control, &ret->error);
}

static void release(struct decoded *decoded)
{
    arena_release(&decoded->arena);
}

static void a_cancellation_is_read_in_every_mode(void **state)
{
    (void)state;
    static const struct header structured = {"content-type", {"application/cloudevents+json", 28}};
    static const struct header binary = {"ce_type", {CONTROL_TYPE, sizeof CONTROL_TYPE - 1}};
    static const struct {
        const struct header *header;
        const char *json;
    } samples[] = {
        {NULL, "{\"action\":\"cancel\",\"job_id\":\"j-1\",\"tenant_id\":\"acme\"}"},
        {NULL, "{\"later\":[1],\"tenant_id\":\"acme\",\"job_id\":\"j-1\",\"action\":\"cancel\"}"},
        {&binary, "{\"action\":\"cancel\",\"job_id\":\"j-1\",\"tenant_id\":\"acme\"}"},
        {&structured, "{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"type\":\"t\",\"data\":"
                      "{\"action\":\"cancel\",\"job_id\":\"j-1\",\"tenant_id\":\"acme\"}}"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(release) struct decoded it;
        decode(&it, samples[i].header, samples[i].header ? 1 : 0, samples[i].json);
        assert_true(it.is_good);
        assert_int_equal(it.control.action, CONTROL_CANCEL);
        assert_text(it.control.job_id, "j-1");
        assert_text(it.control.tenant_id, "acme");
    }
    CLEANUP(release) struct decoded bare;
    decode(&bare, NULL, 0, "{\"action\":\"cancel\",\"job_id\":\"j-1\",\"tenant_id\":null}");
    assert_true(bare.is_good);
    assert_text(bare.control.tenant_id, "default");
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct header structured = {"content-type", {"application/cloudevents+json", 28}};
    static const struct {
        const struct header *header;
        const char *json, *contains;
    } samples[] = {
        {NULL, "", "not JSON"},
        {NULL, "cancel j-1", "not JSON"},
        {NULL, "[]", "the control record: must be an object"},
        {NULL, "{\"action\":\"cancel\",\"action\":\"cancel\",\"job_id\":\"j\"}", "duplicate"},
        {NULL, "{\"job_id\":\"j\"}", "lacks \"action\""},
        {NULL, "{\"action\":null,\"job_id\":\"j\"}", "lacks \"action\""},
        {NULL, "{\"action\":\"pause\",\"job_id\":\"j\"}", "/action: "},
        {NULL, "{\"action\":\"cancel\"}", "lacks \"job_id\""},
        {NULL, "{\"action\":\"cancel\",\"job_id\":\"a b\"}", "/job_id: "},
        {NULL, "{\"action\":\"cancel\",\"job_id\":\"j\",\"tenant_id\":\"\"}", "/tenant_id: "},
        {NULL, "{\"action\":\"cancel\",\"job_id\":\"j\",\"tenant_id\":7}", "/tenant_id: "},
        {&structured, "{\"data\":", "structured"},
        {&structured, "{\"id\":\"e\"}", "not JSON"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(release) struct decoded it;
        decode(&it, samples[i].header, samples[i].header ? 1 : 0, samples[i].json);
        if (it.is_good || !strstr(it.error.text, samples[i].contains))
            fail_msg("%s: %s", samples[i].json, it.error.text);
        assert_int_equal(it.error.kind, ERROR_REJECTED);
    }
    CLEANUP(release) struct decoded large;
    CLEANUP(base_freep)
    char *json = base_printf("{\"action\":\"cancel\",\"job_id\":\"j\",\"x\":\"%0*d\"}", CONTROL_BYTES_MAX, 1);
    decode(&large, NULL, 0, json);
    assert_false(large.is_good);
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    static const struct control samples[] = {{CONTROL_CANCEL, "j-1", "acme"}, {CONTROL_CANCEL, "j:2", NULL}};
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        CLEANUP(buffer_release) struct buffer out = {0};
        CLEANUP(release) struct decoded it = {0};
        control_encode(&samples[i], &out);
        it.is_good = control_decode(NULL, 0, buffer_bytes(&out), &it.arena, &it.control, &it.error);
        assert_true(it.is_good);
        assert_int_equal(it.control.action, samples[i].action);
        assert_text(it.control.job_id, samples[i].job_id);
        assert_text(it.control.tenant_id, samples[i].tenant_id ? samples[i].tenant_id : "default");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cancellation_is_read_in_every_mode),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(what_is_written_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
