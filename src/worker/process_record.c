/* Reading what a process left behind. */
#include "worker/process_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX = 200 };
static const long long STREAM_BYTES_MAX = 1LL << 50;

/* ---- The report ---- */

static bool find_end(const char *how, enum process_end *ret)
{
    static const char *const names[] = {
        [PROCESS_EXITED] = "exit",      [PROCESS_SIGNALED] = "signal", [PROCESS_TIMED_OUT] = "timeout",
        [PROCESS_CANCELLED] = "cancel", [PROCESS_LOST] = "lost",       [PROCESS_UNSTARTED] = "unstarted",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (strcmp(how, names[i]) == 0) {
            *ret = (enum process_end)i;
            return true;
        }
    }
    return false;
}

/* Of a stream that can have been: sums of such numbers stay numbers. */
static bool is_length(long long bytes)
{
    return bytes >= 0 && bytes <= STREAM_BYTES_MAX;
}

static bool parse_words(const char *line, struct process_report *ret)
{
    char how[12];
    long long cpu_ms, peak_bytes, out_bytes, err_bytes;
    int number, oom, results, end = 0;
    struct process_report report;
    if (sscanf(line, " %11s %d %lld %lld %d %d %lld %lld\n%n", how, &number, &cpu_ms, &peak_bytes, &oom,
               &results, &out_bytes, &err_bytes, &end) != 8 ||
        line[end] != '\0' || !find_end(how, &report.end))
        return false;
    if (!is_length(out_bytes) || !is_length(err_bytes))
        return false;
    report.number = number;
    report.cpu_ms = cpu_ms;
    report.peak_bytes = peak_bytes;
    report.saw_oom = oom != 0;
    report.has_results = results != 0;
    report.out_bytes = out_bytes;
    report.err_bytes = err_bytes;
    *ret = report;
    return true;
}

bool process_report_parse(struct bytes tail, const char *mark, struct process_report *ret, size_t *ret_at)
{
    const char *found = tail.length > 0 ? memmem(tail.data, tail.length, mark, strlen(mark)) : NULL;
    if (!found)
        return false;
    size_t at = (size_t)(found - (const char *)tail.data), length = tail.length - at;
    char line[REPORT_MAX];
    if (length >= sizeof line || found[length - 1] != '\n')
        return false;
    memcpy(line, found, length);
    line[length] = '\0';
    if (!parse_words(line + strlen(mark), ret))
        return false;
    *ret_at = at;
    return true;
}

/* ---- The results file: one line each, "{...}" a result, "!..." the driver's own words ---- */

/* "!exception 10 13 240", then name, value and traceback of these lengths. Returns: how many bytes they
 * take. */
static size_t read_exception(const char *line, struct bytes rest, struct outcome *outcome)
{
    size_t lengths[3];
    if (sscanf(line, "!exception %zu %zu %zu", &lengths[0], &lengths[1], &lengths[2]) != 3)
        return 0;
    const char *at = rest.data;
    size_t left = rest.length;
    char *texts[3] = {NULL, NULL, NULL};
    bool is_whole = true;
    for (size_t i = 0; i < 3 && is_whole; i++) {
        is_whole = lengths[i] <= left;
        if (!is_whole)
            break;
        texts[i] = base_strndup(at, lengths[i]);
        at += lengths[i];
        left -= lengths[i];
    }
    if (is_whole)
        outcome_set_exception(outcome, texts[0], texts[1], texts[2]);
    for (size_t i = 0; i < 3; i++)
        free(texts[i]);
    return rest.length - left;
}

static size_t read_words(struct bytes line, struct bytes rest, struct outcome *outcome)
{
    char text[REPORT_MAX];
    size_t length = MIN(line.length, sizeof text - 1), dropped;
    memcpy(text, line.data, length);
    text[length] = '\0';
    if (sscanf(text, "!dropped %zu", &dropped) == 1)
        outcome->results_dropped += dropped;
    return read_exception(text, rest, outcome);
}

void process_results_read(struct bytes text, struct outcome *outcome)
{
    const char *at = text.data;
    size_t left = text.length;
    while (left > 0) {
        const char *end = memchr(at, '\n', left);
        size_t length = end ? (size_t)(end - at) : left, taken = end ? length + 1 : length;
        struct bytes line = {at, length}, rest = {at + taken, left - taken};
        if (end && at[0] == '{')
            outcome_add_result(outcome, line);
        else if (end && at[0] == '!')
            taken += read_words(line, rest, outcome);
        at += taken;
        left -= taken;
    }
}
