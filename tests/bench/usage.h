/* What the measuring programs have in common: what a process has used, and numbers in words. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct usage {
    double wall_s, user_s, system_s;
};

static inline double usage_seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

/* Returns: the CPU of all threads since the process began, and a time to take differences of. */
static inline struct usage usage_now(void)
{
    struct rusage own;
    struct timespec now;
    getrusage(RUSAGE_SELF, &own);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (struct usage){.wall_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9,
                          .user_s = usage_seconds(&own.ru_utime),
                          .system_s = usage_seconds(&own.ru_stime)};
}

static inline struct usage usage_since(const struct usage *start)
{
    struct usage now = usage_now();
    return (struct usage){.wall_s = now.wall_s - start->wall_s,
                          .user_s = now.user_s - start->user_s,
                          .system_s = now.system_s - start->system_s};
}

/* A line of /proc/self/status: "VmRSS:" is what is resident, "VmHWM:" the most that ever was. */
static inline long usage_memory_kib(const char *name)
{
    char line[128];
    long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, name, strlen(name)))
            kib = strtol(line + strlen(name), NULL, 10);
    if (status)
        (void)fclose(status);
    return kib;
}

/* Returns: whether text is a whole number from least to most. */
static inline bool usage_number(const char *text, long least, long most, long *ret)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < least || number > most)
        return false;
    *ret = number;
    return true;
}

static inline double usage_exact_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static inline int usage_by_size(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return a < b ? -1 : a > b;
}

/* Of sorted values: the one that a share of them does not exceed; 0 of none. */
static inline double usage_at(const double *values, long count, double share)
{
    return count > 0 ? values[(long)(share * (double)(count - 1))] : 0;
}

/* As above for a variable of the environment; one that is not set, or empty, leaves *ret as it is. */
static inline bool usage_number_of(const char *variable, long least, long most, long *ret)
{
    const char *text = getenv(variable);
    return !text || !*text || usage_number(text, least, most, ret);
}

#endif
