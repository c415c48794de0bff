/* Seeds, one after the other, each in a process of its own. */
#include "sim/sim.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SEED_MOST_S = 300 };

struct order {
    const char *program, *seeds;
    uint64_t seed;
    bool has_seed;
    int64_t seconds, jobs, count;
    bool is_double, is_calm, goes_on;
    const char *trace;
};

struct total {
    int64_t seeds, breaches;
    struct sim_report sum;
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_child(const struct sim_options *options)
{
    (void)alarm(SEED_MOST_S);
    sim_run(options);
    exit(0);
}

static void describe_end(int status, struct sim_report *report)
{
    if (report->has_breach)
        return;
    report->has_breach = true;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        (void)snprintf(report->breach, sizeof report->breach, "it does not end within %d s", SEED_MOST_S);
    else if (WIFSIGNALED(status))
        (void)snprintf(report->breach, sizeof report->breach, "signal %d (%s); what it said stands above",
                       WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        (void)snprintf(report->breach, sizeof report->breach, "exit code %d; what it said stands above",
                       WEXITSTATUS(status));
}

static void run_seed(const struct sim_options *options)
{
    (void)fflush(NULL);
    memset(options->report, 0, sizeof *options->report);
    pid_t child = fork();
    if (child < 0)
        base_die("fork: %s", strerror(errno));
    if (child == 0)
        run_child(options);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        describe_end(status, options->report);
}

static void add(struct total *total, const struct sim_report *report)
{
    struct sim_report *sum = &total->sum;
    total->seeds++;
    total->breaches += report->has_breach;
    sum->jobs += report->jobs;
    sum->results += report->results;
    sum->repeats += report->repeats;
    sum->duplicates += report->duplicates;
    sum->virtual_ms += report->virtual_ms;
    sum->creates += report->creates;
    sum->deaths += report->deaths;
    for (int i = 0; i < FAULT_KIND_COUNT; i++)
        sum->faults[i] += report->faults[i];
    for (int i = 0; i < CODE_COUNT; i++)
        sum->by_code[i] += report->by_code[i];
}

static void tell_breach(const struct order *order, const struct sim_options *options)
{
    const struct sim_report *report = options->report;
    printf("BROKEN by seed %" PRIu64 " (%" PRId64 " jobs%s) after %.3f s: %s%s%s\n", options->seed, options->jobs,
           options->is_double ? ", double faults" : "", (double)report->virtual_ms / 1000, report->subject,
           report->subject[0] ? ": " : "", report->breach);
    printf("repeat: %s --seed %" PRIu64 " --jobs %" PRId64 "%s --trace %s\n", order->program, options->seed,
           options->jobs, options->is_double ? " --double" : "",
           report->subject[0] ? report->subject : "all");
}

/* Once more, with eyes open. */
static void show(const struct sim_options *options)
{
    char subject[sizeof options->report->subject];
    (void)snprintf(subject, sizeof subject, "%s", options->report->subject);
    struct sim_options again = *options;
    again.trace = subject[0] ? subject : NULL;
    if (!again.trace)
        return;
    printf("what happened to %s, in virtual time:\n", subject);
    run_seed(&again);
}

static bool judge_seed(const struct order *order, uint64_t seed, int64_t jobs, struct sim_report *report,
                       struct total *total)
{
    const struct sim_options options = {.seed = seed,
                                        .jobs = jobs,
                                        .is_double = order->is_double,
                                        .is_calm = order->is_calm,
                                        .trace = order->trace,
                                        .report = report};
    run_seed(&options);
    add(total, report);
    if (!report->has_breach)
        return true;
    tell_breach(order, &options);
    if (!order->trace && !order->is_double)
        show(&options);
    return false;
}

/* "<seed> <jobs> # why" */
static bool run_known(const struct order *order, struct sim_report *report, struct total *total)
{
    FILE *file = order->seeds ? fopen(order->seeds, "r") : NULL;
    char line[256];
    bool is_good = true;
    while (file && fgets(line, sizeof line, file)) {
        uint64_t seed;
        int64_t jobs;
        if (sscanf(line, "%" SCNu64 " %" SCNd64, &seed, &jobs) == 2)
            is_good = judge_seed(order, seed, jobs, report, total) && is_good;
    }
    if (file)
        (void)fclose(file);
    return is_good;
}

static void tell_total(const struct total *total, double seconds)
{
    const struct sim_report *sum = &total->sum;
    printf("%" PRId64 " seeds, %" PRId64 " broken: %" PRId64 " jobs in %.1f s (%.0f per second), %.1f hours of virtual time, "
           "%" PRId64 " sandboxes, %" PRId64 " deaths of workers, %" PRId64 " repeated results, %" PRId64 " duplicates\n",
           total->seeds, total->breaches, sum->jobs, seconds, (double)sum->jobs / seconds,
           (double)sum->virtual_ms / 3600000, sum->creates, sum->deaths, sum->repeats, sum->duplicates);
    printf("faults:");
    for (int i = 0; i < FAULT_KIND_COUNT; i++)
        if (sum->faults[i] > 0)
            printf(" %s %" PRId64, fault_name((enum fault_kind)i), sum->faults[i]);
    printf("\nverdicts:");
    for (int i = 0; i < CODE_COUNT; i++)
        if (sum->by_code[i] > 0)
            printf(" %s %" PRId64, i == 0 ? "succeeded" : code_name((enum code)i), sum->by_code[i]);
    printf("\n");
}

static void usage(FILE *out)
{
    (void)fputs("sim [--seconds N] [--seed S] [--seeds FILE] [--count N] [--jobs N] [--double] [--calm] [--go-on]\n"
                "    [--trace JOB]\n"
                "Simulates seeds: those of FILE first, then S, S+1, ... (without --seed: fresh ones) until N seconds\n"
                "are over or N of them are done.\n"
                "  --jobs    of a seed (2000)\n"
                "  --double  faults overlap: reports, and is never a failure\n"
                "  --calm    no faults\n"
                "  --go-on   after a breach, too\n"
                "  --trace   what happens to a job, permit or sandbox, or \"all\", on standard error\n",
                out);
}

static int64_t number(const char *text)
{
    char *end;
    int64_t value = strtoll(text, &end, 10);
    if (*end != '\0' || value <= 0)
        base_die("\"%s\" is no number", text);
    return value;
}

static bool parse(int argc, char **argv, struct order *order)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"seed", required_argument, NULL, 'S'},
                                            {"seeds", required_argument, NULL, 'f'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"jobs", required_argument, NULL, 'j'},
                                            {"double", no_argument, NULL, 'd'},
                                            {"calm", no_argument, NULL, 'c'},
                                            {"go-on", no_argument, NULL, 'g'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        switch (option) {
        case 's':
            order->seconds = number(optarg);
            break;
        case 'S':
            order->seed = strtoull(optarg, NULL, 10);
            order->has_seed = true;
            break;
        case 'f':
            order->seeds = optarg;
            break;
        case 'n':
            order->count = number(optarg);
            break;
        case 'j':
            order->jobs = number(optarg);
            break;
        case 'd':
            order->is_double = true;
            break;
        case 'c':
            order->is_calm = true;
            break;
        case 'g':
            order->goes_on = true;
            break;
        case 't':
            order->trace = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return false;
        }
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    struct order order = {.program = "tests/sim/run", .jobs = 2000};
    struct total total = {0};
    if (!parse(argc, argv, &order)) {
        usage(stderr);
        return 2;
    }
    struct sim_report *report =
        mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED)
        base_die("mmap: %s", strerror(errno));
    double began_s = now_s();
    bool is_good = run_known(&order, report, &total);
    if (!order.has_seed)
        order.seed = (uint64_t)time(NULL) * 1000003u;
    if (order.count == 0)
        order.count = order.seconds > 0 ? INT64_MAX : 1;
    for (int64_t i = 0; i < order.count && (is_good || order.goes_on || order.is_double); i++) {
        if (order.seconds > 0 && now_s() - began_s >= (double)order.seconds)
            break;
        is_good = judge_seed(&order, order.seed + (uint64_t)i, order.jobs, report, &total) && is_good;
    }
    tell_total(&total, now_s() - began_s);
    return is_good || order.is_double ? 0 : 1;
}
