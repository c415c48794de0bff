/* What happened, in virtual time: on standard error, when somebody wants to see it. */
#include "sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void trace_open(struct sim *sim)
{
    if (!sim->options.trace)
        return;
    sim->log_fd = memfd_create("log", 0);
    if (sim->log_fd < 0)
        base_die("no file for the workers' logs");
}

static void stamp(const struct sim *sim)
{
    (void)fprintf(stderr, "%12.3f  ", (double)sim_now_ms(sim) / 1000);
}

static bool is_wanted(const struct sim *sim, const char *text)
{
    const char *trace = sim->options.trace;
    return trace && (strcmp(trace, "all") == 0 || strstr(text, trace));
}

/* A line of a log without its wall time, which is another. */
static void print_line(const struct sim *sim, const char *line)
{
    static const char *const always[] = {"\"worker.", "\"partition.", "\"ledger.", "\"part."};
    bool is_general = false;
    for (size_t i = 0; i < ARRAY_LENGTH(always); i++)
        is_general = is_general || strstr(line, always[i]);
    if (!is_general && !is_wanted(sim, line))
        return;
    const char *from = strstr(line, "\"event\"");
    stamp(sim);
    (void)fprintf(stderr, "log {%s\n", from ? from : line);
}

void trace_turn(struct sim *sim)
{
    char text[65536];
    ssize_t length;
    while (sim->log_fd > 0 && (length = pread(sim->log_fd, text, sizeof text - 1, sim->log_read)) > 0) {
        text[length] = '\0';
        char *line = text, *end;
        for (; (end = strchr(line, '\n')); line = end + 1) {
            *end = '\0';
            print_line(sim, line);
        }
        if (line == text)
            return;
        sim->log_read += line - text;
    }
}

void sim_trace(struct sim *sim, const char *subject, const char *format, ...)
{
    if (!sim->options.trace || (subject && !is_wanted(sim, subject)))
        return;
    trace_turn(sim);
    va_list arguments;
    va_start(arguments, format);
    stamp(sim);
    (void)vfprintf(stderr, format, arguments);
    if (subject)
        (void)fprintf(stderr, "  [%s]", subject);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

void sim_breach(struct sim *sim, const char *subject, const char *format, ...)
{
    struct sim_report *report = sim->report;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(report->breach, sizeof report->breach, format, arguments);
    va_end(arguments);
    (void)snprintf(report->subject, sizeof report->subject, "%s", subject);
    report->has_breach = true;
    report->virtual_ms = sim_now_ms(sim);
    sim_trace(sim, NULL, "BREACH: %s", report->breach);
    _exit(1);
}
