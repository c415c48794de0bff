/* Seeds, each in a process of its own, as many at once as there are cores; and what is told of them. */
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

enum { SEED_MOST_S = 300, PROCESSES_MAX = 64 };

struct order {
    uint64_t seed; /* the next fresh one */
    bool has_seed, is_double, is_calm, goes_on;
    int64_t seconds, jobs, count, processes;
    const char *seeds, *trace;
};

/* A seed under way. */
struct run {
    pid_t pid; /* 0: none */
    struct sim_options options;
};

struct total {
    const struct order *order;
    double began_s;
    FILE *known; /* regression seeds still to be run; NULL: none */
    struct run runs[PROCESSES_MAX];
    int64_t begun, seeds, breaches; /* begun: fresh ones */
    struct sim_report sum;
};

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* ---- one seed ---- */

static void begin(struct run *run, const struct sim_options *options)
{
    struct sim_report *report = run->options.report;
    (void)fflush(NULL);
    run->options = *options;
    run->options.report = report;
    memset(report, 0, sizeof *report);
    run->pid = fork();
    if (run->pid < 0)
        base_die("fork: %s", strerror(errno));
    if (run->pid > 0)
        return;
    (void)alarm(SEED_MOST_S);
    sim_run(&run->options);
    exit(0);
}

static void describe_end(int status, struct sim_report *report)
{
    if (report->has_breach || (WIFEXITED(status) && WEXITSTATUS(status) == 0))
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

static struct run *await(struct total *total)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, 0);
    for (int i = 0; i < total->order->processes; i++)
        if (pid > 0 && total->runs[i].pid == pid) {
            total->runs[i].pid = 0;
            describe_end(status, total->runs[i].options.report);
            return &total->runs[i];
        }
    return NULL;
}

/* ---- what is told ---- */

static void tell_breach(const struct sim_options *options)
{
    const struct sim_report *report = options->report;
    char jobs[40];
    (void)snprintf(jobs, sizeof jobs, "%" PRId64, options->jobs);
    printf("BROKEN: seed %" PRIu64 " after %.3f s: %s%s%s\n", options->seed,
           (double)report->virtual_ms / 1000, report->subject, report->subject[0] ? ": " : "",
           report->breach);
    printf("repeat: tests/run sim --seed %" PRIu64 " --jobs %s%s%s --trace %s\n", options->seed, jobs,
           options->is_double ? " --double" : "", options->is_calm ? " --calm" : "",
           report->subject[0] ? report->subject : "all");
    (void)fflush(stdout);
}

static void row(const char *name, int64_t value)
{
    printf("  %-24s %12" PRId64 "\n", name, value);
}

static void tell_total(const struct total *total)
{
    const struct sim_report *sum = &total->sum;
    double seconds = now_s() - total->began_s;
    printf("simulated\n");
    row("seeds", total->seeds);
    row("seeds broken", total->breaches);
    row("jobs", sum->jobs);
    row("jobs per second", (int64_t)((double)sum->jobs / seconds));
    row("virtual hours", sum->virtual_ms / 3600000);
    row("longest settling, s", sum->settled_ms / 1000);
    row("sandboxes", sum->creates);
    row("deaths of workers", sum->deaths);
    row("results", sum->results);
    row("adopted runs", sum->adoptions);
    row("repeated results", sum->repeats);
    row("duplicate notes", sum->duplicates);
    row("copies in retry topics", sum->hops);
    printf("faults\n");
    for (int i = 0; i < FAULT_KIND_COUNT; i++)
        if (sum->faults[i] > 0)
            row(fault_name((enum fault_kind)i), sum->faults[i]);
    printf("jobs by verdict\n");
    for (int i = 0; i < CODE_COUNT; i++)
        if (sum->by_code[i] > 0)
            row(i == CODE_NONE ? "succeeded" : code_name((enum code)i), sum->by_code[i]);
}

/* ---- all of them ---- */

static void add(struct total *total, const struct sim_report *report)
{
    struct sim_report *sum = &total->sum;
    total->seeds++;
    total->breaches += report->has_breach;
    sum->jobs += report->jobs;
    sum->results += report->results;
    sum->repeats += report->repeats;
    sum->duplicates += report->duplicates;
    sum->hops += report->hops;
    sum->virtual_ms += report->virtual_ms;
    sum->creates += report->creates;
    sum->adoptions += report->adoptions;
    sum->deaths += report->deaths;
    sum->settled_ms = MAX(sum->settled_ms, report->settled_ms);
    for (int i = 0; i < FAULT_KIND_COUNT; i++)
        sum->faults[i] += report->faults[i];
    for (int i = 0; i < CODE_COUNT; i++)
        sum->by_code[i] += report->by_code[i];
}

/* "<seed> [--jobs N] [--double] [--calm] # what it showed" */
static bool next_known(struct total *total, struct sim_options *ret)
{
    char line[512];
    while (total->known && fgets(line, sizeof line, total->known)) {
        char *rest, *word;
        line[strcspn(line, "#\n")] = '\0';
        ret->seed = strtoull(line, &rest, 10);
        if (rest == line)
            continue;
        for (word = strtok(rest, " "); word; word = strtok(NULL, " ")) {
            const char *value = strcmp(word, "--jobs") == 0 ? strtok(NULL, " ") : NULL;
            if (value)
                ret->jobs = strtoll(value, NULL, 10);
            else if (strcmp(word, "--double") == 0)
                ret->is_double = true;
            else if (strcmp(word, "--calm") == 0)
                ret->is_calm = true;
            else
                base_die("%s: \"%s\" is no option of a seed", total->order->seeds, word);
        }
        return true;
    }
    return false;
}

static bool next_seed(struct total *total, struct sim_options *ret)
{
    const struct order *order = total->order;
    bool stops = total->breaches > 0 && !order->goes_on && !order->is_double;
    *ret = (struct sim_options){.jobs = order->jobs, .trace = order->trace};
    if (!stops && next_known(total, ret))
        return true;
    bool is_late = order->seconds > 0 && now_s() - total->began_s >= (double)order->seconds;
    if (stops || is_late || total->begun == order->count)
        return false;
    ret->seed = order->seed + (uint64_t)total->begun++;
    ret->is_double = order->is_double;
    ret->is_calm = order->is_calm;
    return true;
}

/* The first that broke, once more, with eyes open. */
static void show(struct run *run, const struct sim_options *first)
{
    struct sim_options again = *first;
    char subject[sizeof first->report->subject];
    (void)snprintf(subject, sizeof subject, "%s", first->report->subject);
    again.trace = subject;
    printf("what happened to %s, in virtual time:\n", subject);
    begin(run, &again);
    while (waitpid(run->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static void run_all(struct total *total)
{
    const struct order *order = total->order;
    struct sim_options options, first = {0};
    struct sim_report first_report;
    int64_t running = 0;
    bool has_more = true;
    while (has_more || running > 0) {
        for (int i = 0; i < order->processes && has_more; i++)
            if (total->runs[i].pid == 0 && (has_more = next_seed(total, &options))) {
                begin(&total->runs[i], &options);
                running++;
            }
        struct run *run = running > 0 ? await(total) : NULL;
        if (!run)
            continue;
        running--;
        add(total, run->options.report);
        if (!run->options.report->has_breach)
            continue;
        tell_breach(&run->options);
        if (!first.report && run->options.report->subject[0]) {
            first = run->options;
            first_report = *run->options.report;
            first.report = &first_report;
        }
    }
    if (first.report && !order->trace && !order->is_double && !order->goes_on)
        show(&total->runs[0], &first);
}

/* ---- words ---- */

static void usage(FILE *out)
{
    (void)fputs(
        "sim [--seconds N] [--seed S] [--seeds FILE] [--count N] [--jobs N] [--double] [--calm] [--go-on]\n"
        "    [--processes N] [--trace WHAT]\n"
        "Simulates seeds: those of FILE first, then S, S+1, ... (without --seed: fresh ones) until N "
        "seconds\n"
        "are over or N of them are done; without both: one.\n"
        "  --jobs       of a seed (2000)\n"
        "  --double     faults overlap: what breaks is told, and is no failure\n"
        "  --calm       no faults\n"
        "  --go-on      after a breach, too\n"
        "  --processes  so many seeds at once (one for each core)\n"
        "  --trace      what happens to a job, permit or sandbox, or \"all\", on standard error\n"
        "Exit codes: 0 every promise was kept; 1 one was broken; 2 the words of the call are wrong.\n",
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
                                            {"processes", required_argument, NULL, 'p'},
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
        case 'p':
            order->processes = MIN(number(optarg), PROCESSES_MAX);
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
    struct order order = {.jobs = 2000, .processes = MIN(sysconf(_SC_NPROCESSORS_ONLN), PROCESSES_MAX)};
    struct total total = {.order = &order, .began_s = now_s()};
    if (!parse(argc, argv, &order)) {
        usage(stderr);
        return 2;
    }
    size_t size = sizeof(struct sim_report) * PROCESSES_MAX;
    struct sim_report *reports = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (reports == MAP_FAILED)
        base_die("mmap: %s", strerror(errno));
    for (int i = 0; i < PROCESSES_MAX; i++)
        total.runs[i].options.report = &reports[i];
    if (order.seeds && !(total.known = fopen(order.seeds, "r")))
        base_die("%s: %s", order.seeds, strerror(errno));
    /* A child that exits would set the file they share back to the line at which it was forked. */
    if (total.known)
        (void)setvbuf(total.known, NULL, _IONBF, 0);
    if (!order.has_seed)
        order.seed = (uint64_t)time(NULL) * 1000003u;
    if (order.count == 0)
        order.count = order.seconds > 0 ? INT64_MAX : 1;
    run_all(&total);
    tell_total(&total);
    if (total.known)
        (void)fclose(total.known);
    return total.breaches == 0 || order.is_double ? 0 : 1;
}
