/* The floor of a job's Redis part: one permit taken and given back, JOBS times, IN_FLIGHT jobs at a time,
 * pipelined on one connection. Prints one JSON line; exit code 1 when an answer was wrong.
 *
 *   [RATE=N] floor_redis PORT JOBS IN_FLIGHT
 *
 * What could be cheaper is not done by a worker that keeps its limits: two scripts a job, a lease each. What
 * a client can save is saved: a command is written once and only its digits change; an answer is a number and
 * needs no memory; commands leave together when nothing is left to read. */
#include "usage.h"

#include <assert.h>
#include <hiredis/hiredis.h>
#include <unistd.h>

#define KEY "e2b-bench:permits"

enum { ANSWER_S = 10, DIGITS = 12, COMMAND_BYTES = 256, SHA_BYTES = 41, MOST_PERMITS = 100000 };
enum step { TAKE, GIVE, STEP_COUNT };

/* One key, the leases: a sorted set of holders by when their lease ends. */
static const char *const scripts[STEP_COUNT] = {
    /* ARGV: the holder, the most that may hold one, the lease in ms. Returns 1, or 0 when all are taken. */
    [TAKE] = "local time = redis.call('TIME')\n"
             "local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)\n"
             "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms)\n"
             "if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end\n"
             "return redis.call('ZADD', KEYS[1], now_ms + ARGV[3], ARGV[1])\n",
    /* ARGV: the holder. Returns 1, or 0 when it held none. */
    [GIVE] = "return redis.call('ZREM', KEYS[1], ARGV[1])\n",
};

/* A command as it goes over the wire; digits: the holder's number in it. */
struct command {
    char text[COMMAND_BYTES];
    size_t length;
    char *digits;
};

struct slot {
    long job;
    enum step step;
    bool is_over;
    double began_ms;
};

struct bench {
    redisContext *redis;
    struct command commands[STEP_COUNT];
    long jobs, in_flight, begun, ended, bad;
    long rate; /* jobs begun a second; 0: as fast as they go */
    double first_ms;
    double *added_ms; /* of each job: both its round trips */
};

/* ---- Commands ---- */

static bool load(struct bench *bench, enum step step, char *ret_sha)
{
    redisReply *reply = redisCommand(bench->redis, "SCRIPT LOAD %s", scripts[step]);
    bool is_good = reply && reply->type == REDIS_REPLY_STRING && reply->len == SHA_BYTES - 1;
    if (is_good)
        memcpy(ret_sha, reply->str, SHA_BYTES);
    freeReplyObject(reply);
    return is_good;
}

static bool prepare(struct bench *bench, enum step step)
{
    struct command *command = &bench->commands[step];
    char sha[SHA_BYTES], *text = NULL;
    if (!load(bench, step, sha))
        return false;
    int length = step == TAKE ? redisFormatCommand(&text, "EVALSHA %s 1 " KEY " holder-%012d %d 90000", sha,
                                                   0, MOST_PERMITS)
                              : redisFormatCommand(&text, "EVALSHA %s 1 " KEY " holder-%012d", sha, 0);
    assert(length > 0 && length < COMMAND_BYTES);
    memcpy(command->text, text, (size_t)length);
    command->length = (size_t)length;
    command->digits = strstr(command->text, "holder-") + strlen("holder-");
    redisFreeCommand(text);
    return true;
}

static void append(struct bench *bench, const struct slot *slot)
{
    struct command *command = &bench->commands[slot->step];
    char *digit = command->digits + DIGITS;
    for (long rest = slot->job; digit > command->digits; rest /= 10)
        *--digit = (char)('0' + rest % 10);
    redisAppendFormattedCommand(bench->redis, command->text, command->length);
}

/* ---- Answers ---- */

static char one; /* stands for the answer 1; any other is some other address */

static void *answer_new(const redisReadTask *task, long long number)
{
    static char other;
    (void)task;
    return number == 1 ? &one : &other;
}

/* What is no number becomes hiredis' own mark, a small number in place of an address. */
static void read_numbers_only(redisContext *redis)
{
    static redisReplyObjectFunctions functions = {.createInteger = answer_new};
    redis->reader->fn = &functions;
}

/* ---- The run ---- */

static void wait_until_due(const struct bench *bench)
{
    double wait_ms = bench->first_ms + (double)bench->begun * 1000 / (double)bench->rate - usage_exact_ms();
    if (wait_ms > 0)
        usleep((useconds_t)(wait_ms * 1000));
}

static void begin(struct bench *bench, struct slot *slot)
{
    slot->is_over = bench->begun == bench->jobs;
    if (slot->is_over)
        return;
    if (bench->rate > 0)
        wait_until_due(bench);
    slot->began_ms = usage_exact_ms();
    slot->job = bench->begun++;
    slot->step = TAKE;
    append(bench, slot);
}

static void answered(struct bench *bench, struct slot *slot, bool is_good)
{
    if (!is_good)
        bench->bad++;
    if (is_good && slot->step == TAKE) {
        slot->step = GIVE;
        append(bench, slot);
        return;
    }
    bench->added_ms[bench->ended++] = usage_exact_ms() - slot->began_ms;
    begin(bench, slot);
}

/* Every slot has one command under way, and answers come in the order of the commands: so the slots take
 * turns. redisGetReply sends what was appended when it finds nothing more to read. */
static bool run(struct bench *bench, struct slot *slots)
{
    bench->first_ms = usage_exact_ms();
    for (long i = 0; i < bench->in_flight; i++)
        begin(bench, &slots[i]);
    for (long i = 0; bench->ended < bench->jobs; i = i + 1 < bench->in_flight ? i + 1 : 0) {
        void *answer;
        if (slots[i].is_over)
            continue;
        if (redisGetReply(bench->redis, &answer) != REDIS_OK)
            return false;
        answered(bench, &slots[i], answer == &one);
    }
    return true;
}

static bool open_redis(struct bench *bench, int port)
{
    const struct timeval limit = {.tv_sec = ANSWER_S};
    bench->redis = redisConnectWithTimeout("127.0.0.1", port, limit);
    if (!bench->redis || bench->redis->err || redisSetTimeout(bench->redis, limit) != REDIS_OK)
        return false;
    freeReplyObject(redisCommand(bench->redis, "DEL " KEY));
    if (!prepare(bench, TAKE) || !prepare(bench, GIVE))
        return false;
    read_numbers_only(bench->redis);
    return true;
}

static void print(const struct bench *bench, const struct usage *used)
{
    double jobs = (double)bench->jobs;
    qsort(bench->added_ms, (size_t)bench->ended, sizeof *bench->added_ms, usage_by_size);
    printf("{\"name\":\"floor_redis\",\"jobs\":%ld,\"in_flight\":%ld,\"bad\":%ld,\"wall_s\":%.3f,"
           "\"jobs_per_s\":%.0f,\"cpu_us_per_job\":%.2f,"
           "\"added_p50_ms\":%.3f,\"added_p90_ms\":%.3f,\"added_p99_ms\":%.3f}\n",
           bench->jobs, bench->in_flight, bench->bad, used->wall_s, jobs / used->wall_s,
           (used->user_s + used->system_s) / jobs * 1e6, usage_at(bench->added_ms, bench->ended, 0.5),
           usage_at(bench->added_ms, bench->ended, 0.9), usage_at(bench->added_ms, bench->ended, 0.99));
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    long port;
    if (argc != 4 || !usage_number(argv[1], 1, 65535, &port) ||
        !usage_number(argv[2], 1, 1000000000, &bench.jobs) ||
        !usage_number(argv[3], 1, MOST_PERMITS, &bench.in_flight) ||
        !usage_number_of("RATE", 1, 1000000, &bench.rate)) {
        fprintf(stderr, "usage: floor_redis PORT JOBS IN_FLIGHT\n"
                        "Takes a permit and gives it back, JOBS times, IN_FLIGHT jobs at a time, on one\n"
                        "connection to Redis on 127.0.0.1; RATE=N: one at a time, N jobs a second at most.\n"
                        "Prints one JSON line.\n");
        return 2;
    }
    bench.in_flight = bench.rate > 0 ? 1 : bench.in_flight;
    struct slot *slots = calloc((size_t)bench.in_flight, sizeof *slots);
    bench.added_ms = calloc((size_t)bench.jobs, sizeof *bench.added_ms);
    bool is_open = slots && bench.added_ms && open_redis(&bench, (int)port);
    struct usage start = usage_now();
    bool is_done = is_open && run(&bench, slots);
    struct usage used = usage_since(&start);
    if (is_done)
        print(&bench, &used);
    else
        fprintf(stderr, "floor_redis: %s\n",
                bench.redis && bench.redis->err ? bench.redis->errstr : "Redis refused a script");
    if (bench.redis)
        redisFree(bench.redis);
    free(slots);
    free(bench.added_ms);
    return is_done && bench.bad == 0 ? 0 : 1;
}
