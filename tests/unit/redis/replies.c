#include "redis/replies.h"
#include "base/buffer.h"
#include "redis/connection.h"
#include "redis/hints.h"
#include "test.h"

#include <hiredis/hiredis.h>

/* A reply from its bytes on the wire, by hiredis's own parser. */
static redisReply *reply_of(const char *wire, size_t length)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    assert_int_equal(redisReaderFeed(reader, wire, length), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    redisReaderFree(reader);
    assert_non_null(reply);
    return reply;
}

#define REPLY(wire) reply_of((wire), sizeof(wire) - 1)

static void every_verdict_is_read(void **state)
{
    (void)state;
    struct ledger_acquired answer;
    struct error error;
    redisReply *reply = REPLY("*6\r\n$7\r\ngranted\r\n$2\r\np1\r\n:3\r\n:1\r\n:250\r\n:1\r\n");
    assert_true(replies_acquire(reply, &answer, &error));
    assert_int_equal(answer.verdict, LEDGER_GRANTED);
    assert_text(answer.permit, "p1");
    assert_int_equal(answer.attempt, 3);
    assert_int_equal(answer.crashes, 1);
    assert_int_equal(answer.wait_ms, 250);
    assert_true(answer.has_begun);
    assert_text(answer.sandbox, "");
    assert_text(answer.why, "");
    freeReplyObject(reply);
    reply = REPLY("*5\r\n$6\r\nsealed\r\n$5\r\na\0b\0c\r\n$1\r\np\r\n$0\r\n\r\n$5\r\nt/1/2\r\n");
    assert_true(replies_acquire(reply, &answer, &error));
    assert_int_equal(answer.verdict, LEDGER_SEALED);
    assert_int_equal(answer.record.length, 5);
    assert_memory_equal(answer.record.data, "a\0b\0c", 5);
    assert_text(answer.place, "t/1/2");
    freeReplyObject(reply);
    reply = REPLY("*5\r\n$4\r\ndone\r\n$2\r\nok\r\n$1\r\no\r\n:-1\r\n:9\r\n");
    assert_true(replies_acquire(reply, &answer, &error));
    assert_int_equal(answer.partition, -1);
    assert_int_equal(answer.offset, 9);
    freeReplyObject(reply);
}

static void malformed_answers_of_acquire_are_errors(void **state)
{
    (void)state;
#define ROW(wire)                                                                                            \
    {                                                                                                        \
        (wire), sizeof(wire) - 1                                                                             \
    }
    static const struct {
        const char *wire;
        size_t length;
    } rows[] = {
        ROW("$2\r\nok\r\n"),
        ROW(":1\r\n"),
        ROW("$-1\r\n"),
        ROW("*0\r\n"),
        ROW("*-1\r\n"),
        ROW("*1\r\n:1\r\n"),
        ROW("*1\r\n$-1\r\n"),
        ROW("*1\r\n$5\r\nother\r\n"),
        ROW("*1\r\n$6\r\nstale\0\r\n"),
        ROW("*1\r\n$7\r\ngranted\r\n"),
        ROW("*5\r\n$7\r\ngranted\r\n$2\r\np1\r\n:1\r\n:0\r\n:0\r\n"),
        ROW("*6\r\n$7\r\ngranted\r\n$2\r\np1\r\n:1\r\n:0\r\n:0\r\n:2\r\n"),
        ROW("*6\r\n$7\r\ngranted\r\n$2\r\np1\r\n$1\r\n1\r\n:0\r\n:0\r\n:0\r\n"),
        ROW("*6\r\n$7\r\ngranted\r\n$2\r\np1\r\n:-1\r\n:0\r\n:0\r\n:0\r\n"),
        ROW("*6\r\n$7\r\ngranted\r\n$-1\r\n:1\r\n:0\r\n:0\r\n:0\r\n"),
        ROW("*6\r\n$7\r\ngranted\r\n$2\r\np\0\r\n:1\r\n:0\r\n:0\r\n:0\r\n"),
        ROW("*5\r\n$6\r\ndenied\r\n$1\r\ng\r\n:1\r\n*0\r\n:250\r\n"),
        ROW("*4\r\n$6\r\ndenied\r\n$1\r\ng\r\n:1\r\n:1\r\n"),
        ROW("*2\r\n$6\r\nsealed\r\n$-1\r\n"),
        ROW("*2\r\n$9\r\nelsewhere\r\n:1\r\n"),
        ROW("*2\r\n$5\r\nadopt\r\n$1\r\np\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct ledger_acquired answer = {.verdict = 0};
        struct error error = {0};
        redisReply *reply = reply_of(rows[i].wire, rows[i].length);
        if (replies_acquire(reply, &answer, &error))
            fail_msg("row %zu was accepted", i);
        assert_int_equal(error.kind, ERROR_INTERNAL);
        assert_int_equal(answer.verdict, 0);
        freeReplyObject(reply);
    }
}

static void a_pulses_answer_is_read_or_refused(void **state)
{
    (void)state;
    struct pulse_answer answer = {0};
    struct error error;
    redisReply *reply =
        REPLY("*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*2\r\n$2\r\np1\r\n$2\r\np2\r\n*1\r\n$2\r\np3\r\n"
              "*0\r\n$3\r\ne:7\r\n*4\r\n$3\r\none\r\n:-1\r\n$3\r\ntwo\r\n:9\r\n");
    assert_true(replies_pulse(reply, &answer, &error));
    assert_true(answer.is_ready && answer.has_lapsed && !answer.is_in_doubt);
    assert_text(replies_text(answer.others, 1), "p2");
    assert_null(replies_text(answer.others, 2));
    assert_text(replies_text(answer.gone, 0), "p3");
    assert_null(replies_text(answer.cancelled, 0));
    assert_text(answer.crew_version, "e:7");
    int64_t left_ms;
    assert_int_equal(replies_crew_count(answer.crew), 2);
    assert_text(replies_crew(answer.crew, 0, &left_ms), "one");
    assert_int_equal(left_ms, -1);
    assert_text(replies_crew(answer.crew, 1, &left_ms), "two");
    assert_int_equal(left_ms, 9);
    freeReplyObject(reply);
    static const char *const bad[] = {
        "*7\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*0\r\n$0\r\n\r\n",
        "*8\r\n$5\r\nrandy\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*0\r\n$0\r\n\r\n*0\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:2\r\n*0\r\n*0\r\n*0\r\n$0\r\n\r\n*0\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*1\r\n:1\r\n*0\r\n*0\r\n$0\r\n\r\n*0\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n$1\r\nx\r\n*0\r\n$0\r\n\r\n*0\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*1\r\n$-1\r\n$0\r\n\r\n*0\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*0\r\n:1\r\n*0\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*0\r\n$0\r\n\r\n:1\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*0\r\n$0\r\n\r\n*1\r\n$1\r\nw\r\n",
        "*8\r\n$5\r\nready\r\n$1\r\ne\r\n:1\r\n*0\r\n*0\r\n*0\r\n$0\r\n\r\n*2\r\n$1\r\nw\r\n$1\r\n1\r\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        reply = reply_of(bad[i], strlen(bad[i]));
        if (replies_pulse(reply, &answer, &error))
            fail_msg("row %zu was accepted", i);
        freeReplyObject(reply);
    }
}

static void each_script_has_words_of_its_own(void **state)
{
    (void)state;
    static const struct {
        enum script_name script;
        const char *word;
        enum ledger_answer answer; /* 0: it never says so */
    } rows[] = {
        {SCRIPT_BIND, "superseded_permit", LEDGER_SUPERSEDED_PERMIT},
        {SCRIPT_BIND, "not_ready", LEDGER_NOT_NOW},
        {SCRIPT_BIND, "elsewhere", 0},
        {SCRIPT_SEAL, "conflict", LEDGER_SEAL_CONFLICT},
        {SCRIPT_SEAL, "not_ready", LEDGER_NOT_NOW},
        {SCRIPT_SEAL, "keep", 0},
        {SCRIPT_YIELD, "superseded", LEDGER_SUPERSEDED},
        {SCRIPT_CANCEL, "late", LEDGER_SEAL_DONE},
        {SCRIPT_CANCEL, "done", 0},
        {SCRIPT_CONDEMN, "kill", LEDGER_OK},
        {SCRIPT_CONDEMN, "keep", LEDGER_SUPERSEDED_PERMIT},
        {SCRIPT_CONDEMN, "ok", 0},
        {SCRIPT_ASSERT, "closed", LEDGER_NOT_NOW},
        {SCRIPT_ASSERT, "not_ready", 0},
        {SCRIPT_ASSERT, "done", LEDGER_SEAL_DONE},
        {SCRIPT_ASSERTED, "closed", LEDGER_NOT_NOW},
        {SCRIPT_READY, "later", LEDGER_NOT_NOW},
        {SCRIPT_READY, "superseded_permit", 0},
        {SCRIPT_LIMIT_SET, "ok", LEDGER_OK},
        {SCRIPT_ACQUIRE, "ok", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        CLEANUP(base_freep) char *wire = base_printf("$%zu\r\n%s\r\n", strlen(rows[i].word), rows[i].word);
        redisReply *reply = reply_of(wire, strlen(wire));
        enum ledger_answer answer = 0;
        struct error error = {0};
        bool is_read = replies_word(reply, rows[i].script, &answer, &error);
        if (is_read != (rows[i].answer != 0) || answer != rows[i].answer)
            fail_msg("row %zu, %s", i, rows[i].word);
        freeReplyObject(reply);
    }
    enum ledger_answer answer = 0;
    struct error error = {0};
    redisReply *reply = REPLY("*1\r\n$2\r\nok\r\n");
    assert_false(replies_word(reply, SCRIPT_SEAL, &answer, &error));
    freeReplyObject(reply);
}

static void a_group_has_an_answer_for_each_that_asked(void **state)
{
    (void)state;
    static const struct {
        const char *wire;
        bool is_good; /* for two */
    } rows[] = {
        {"*2\r\n$2\r\nok\r\n-WRONGTYPE no hash\r\n", true},
        {"*2\r\n*1\r\n$5\r\nstale\r\n$2\r\nok\r\n", true},
        {"*1\r\n$2\r\nok\r\n", false},
        {"*3\r\n:1\r\n:2\r\n:3\r\n", false},
        {"*0\r\n", false},
        {"*-1\r\n", false},
        {"$2\r\nok\r\n", false},
        {":2\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        redisReply *reply = reply_of(rows[i].wire, strlen(rows[i].wire));
        if (replies_group(reply, SCRIPT_SEAL, 2, &error) != rows[i].is_good)
            fail_msg("row %zu", i);
        assert_int_equal(error.kind == ERROR_INTERNAL, !rows[i].is_good);
        freeReplyObject(reply);
    }
}

static void what_a_leader_and_an_operator_are_told_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    struct ledger_lead lead = {.behind_ms = 7};
    struct ledger_claim claim = {.hop = 7};
    struct ledger_condition condition = {.workers = 7};
    struct ledger_permit *permits = NULL;
    size_t count = 0;
    struct error error;
    redisReply *reply = REPLY("*3\r\n:1\r\n:-1\r\n:3\r\n");
    assert_true(replies_lead(reply, &lead, &error));
    assert_true(lead.is_leader && lead.behind_ms == -1 && lead.waiting_for == 3);
    freeReplyObject(reply);
    reply = REPLY("*3\r\n:1\r\n:-1\r\n:-3\r\n");
    assert_false(replies_lead(reply, &lead, &error));
    freeReplyObject(reply);
    reply = REPLY("*4\r\n$3\r\nwhy\r\n:2\r\n:-1\r\n:0\r\n");
    assert_true(replies_condition(reply, &condition, &error));
    assert_text(condition.why, "why");
    assert_true(condition.workers == 2 && condition.rebuilding_ms == -1);
    freeReplyObject(reply);
    reply = REPLY("*4\r\n:0\r\n:2\r\n:-1\r\n:0\r\n");
    assert_false(replies_condition(reply, &condition, &error));
    freeReplyObject(reply);
#define CLAIM                                                                                                \
    "$7\r\nrunning\r\n$1\r\nw\r\n$1\r\np\r\n$1\r\ns\r\n$1\r\nm\r\n$0\r\n\r\n$1\r\no\r\n:1\r\n:0\r\n:2\r\n"   \
    ":3\r\n:1\r\n:500\r\n:-1\r\n:-1\r\n:-1\r\n$1\r\ng\r\n"
    reply = REPLY("*18\r\n" CLAIM ":9\r\n");
    assert_true(replies_claim(reply, &claim, &error));
    assert_text(claim.state, "running");
    assert_true(claim.is_owner_alive && !claim.is_cancelled);
    assert_int_equal(claim.attempt, 3);
    assert_int_equal(claim.run_until_ms, -1);
    assert_text(claim.waits_at, "g");
    assert_int_equal(claim.waits_ms, 9);
    freeReplyObject(reply);
    reply = REPLY("*18\r\n" CLAIM "$1\r\n9\r\n");
    assert_false(replies_claim(reply, &claim, &error));
    freeReplyObject(reply);
    reply = REPLY("*1\r\n*7\r\n$1\r\np\r\n$0\r\n\r\n$1\r\nj\r\n$0\r\n\r\n:0\r\n:5\r\n:6\r\n");
    assert_true(replies_census(reply, &permits, &count, &error));
    assert_int_equal(count, 1);
    assert_text(permits[0].job, "j");
    assert_int_equal(permits[0].horizon_ms, 6);
    free(permits);
    freeReplyObject(reply);
    reply = REPLY("*1\r\n*7\r\n$1\r\np\r\n$0\r\n\r\n$1\r\nj\r\n$0\r\n\r\n:2\r\n:5\r\n:6\r\n");
    assert_false(replies_census(reply, &permits, &count, &error));
    freeReplyObject(reply);
}

static void a_snapshot_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    struct ledger_usage *usage = NULL;
    size_t count = 0;
    struct error error;
    redisReply *reply = REPLY("*2\r\n*7\r\n$1\r\ng\r\n:3\r\n:-1\r\n:2\r\n:77\r\n:-1\r\n:-1\r\n"
                              "*7\r\n$3\r\nn:a\r\n:1\r\n:9\r\n:0\r\n:7\r\n:12\r\n:600\r\n");
    assert_true(replies_snapshot(reply, &usage, &count, &error));
    assert_int_equal(count, 2);
    assert_text(usage[1].limit, "n:a");
    assert_int_equal(usage[0].max, -1);
    assert_int_equal(usage[1].set, 12);
    assert_int_equal(usage[1].cut_left_ms, 600);
    free(usage);
    freeReplyObject(reply);
    reply = REPLY("*2\r\n*7\r\n$1\r\ng\r\n:3\r\n:-1\r\n:2\r\n:77\r\n:-1\r\n:-1\r\n"
                  "*4\r\n$3\r\nn:a\r\n:1\r\n:9\r\n:0\r\n");
    assert_false(replies_snapshot(reply, &usage, &count, &error));
    freeReplyObject(reply);
    reply = REPLY("*0\r\n");
    assert_true(replies_snapshot(reply, &usage, &count, &error));
    assert_null(usage);
    freeReplyObject(reply);
}

static void info_lines_are_found_at_their_beginning_only(void **state)
{
    (void)state;
    char text[16];
    redisReply *reply = REPLY("$45\r\n# Memory\r\nxpolicy:no\r\npolicy:lru\r\nlong:aaaaa\r\n\r\n");
    assert_true(replies_info(reply, "policy", text, sizeof text));
    assert_text(text, "lru");
    assert_false(replies_info(reply, "olicy", text, sizeof text));
    assert_false(replies_info(reply, "long", text, 5));
    freeReplyObject(reply);
}

static void redis_errors_have_a_kind_and_a_hint(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum error_kind kind;
    } rows[] = {
        {"LOADING Redis is loading the dataset in memory", ERROR_TRANSIENT},
        {"READONLY You can't write against a read only replica. script: f, on @user_script:1.",
         ERROR_TRANSIENT},
        {"ERR Error running script (call to f_1): @user_script:3: -OOM command not allowed", ERROR_TRANSIENT},
        {"NOSCRIPT No matching script. Please use EVAL.", ERROR_TRANSIENT},
        {"MASTERDOWN Link with MASTER is down", ERROR_TRANSIENT},
        {"WRONGPASS invalid username-password pair or user is disabled.", ERROR_REJECTED},
        {"NOPERM this user has no permissions to run the 'evalsha' command", ERROR_REJECTED},
        {"ERR user_script:12: Script attempted to access nonexistent global variable 'OOM'", ERROR_INTERNAL},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", ERROR_INTERNAL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct error error = {0};
        connection_read_error(rows[i].text, &error);
        if (error.kind != rows[i].kind)
            fail_msg("%s: %s", rows[i].text, error_kind_name(error.kind));
    }
}

static void on_hint(void *arg, const char *text)
{
    buffer_append_format(arg, "%s;", text);
}

static void on_turn(void *arg, const char *limit, const char *tenant)
{
    buffer_append_format(arg, "%s>%s;", limit, tenant);
}

static void hints_are_taken_by_their_first_word(void **state)
{
    (void)state;
    struct buffer heard = {0};
    const struct hints_options options = {
        .arg = &heard, .on_free = on_hint, .on_turn = on_turn, .on_done = on_hint};
    static const char *const messages[] = {"free n:a g", "done a/1", "cancel a/1", "free ",
                                           "free",       "",         "else x",     "turn g acme",
                                           "turn g",     "turn g ",  "turn  acme", "turn"};
    for (size_t i = 0; i < ARRAY_LENGTH(messages); i++)
        hints_read(&options, (struct bytes){.data = messages[i], .length = strlen(messages[i])});
    hints_read(&options, (struct bytes){.data = "free \0x", .length = 7});
    assert_text(heard.data, "n:a g;a/1;g>acme;");
    buffer_release(&heard);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_verdict_is_read),
        cmocka_unit_test(malformed_answers_of_acquire_are_errors),
        cmocka_unit_test(a_pulses_answer_is_read_or_refused),
        cmocka_unit_test(each_script_has_words_of_its_own),
        cmocka_unit_test(a_group_has_an_answer_for_each_that_asked),
        cmocka_unit_test(what_a_leader_and_an_operator_are_told_is_read_whole_or_not_at_all),
        cmocka_unit_test(a_snapshot_is_read_whole_or_not_at_all),
        cmocka_unit_test(info_lines_are_found_at_their_beginning_only),
        cmocka_unit_test(redis_errors_have_a_kind_and_a_hint),
        cmocka_unit_test(hints_are_taken_by_their_first_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
