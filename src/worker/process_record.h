#ifndef WORKER_PROCESS_RECORD_H
#define WORKER_PROCESS_RECORD_H
#include "base/buffer.h"
#include "core/outcome.h"

/* What a process left behind, read from bytes: the wrapper's report at the end of stderr, and the results
 * file of the Python driver. Nothing here does I/O; all of it may be forged by the program, which only lies
 * about its own job. */

/* The two texts that travel into the sandbox (step.sh, driver.py): their charters say what they promise. */
extern const char process_wrapper[], process_driver[];

enum process_end {
    PROCESS_EXITED,    /* number: its exit code */
    PROCESS_SIGNALED,  /* number: the signal */
    PROCESS_TIMED_OUT, /* by its own clock in the sandbox, or stopped for its time */
    PROCESS_CANCELLED,
    PROCESS_LOST,      /* its runner died: killed from outside */
    PROCESS_UNSTARTED, /* begun, but there is no program */
};

struct process_report {
    enum process_end end;
    int number;
    int64_t cpu_ms, peak_bytes; /* -1: not measured */
    bool saw_oom;               /* the kernel killed something for memory meanwhile */
    bool has_results;
    int64_t out_bytes, err_bytes; /* that it printed in all, of which we may have been sent less */
};

/* Looks for "<mark> how number cpu_ms peak_bytes oom results out_bytes err_bytes\n" at the end of `tail`.
 * Returns: false when there is no whole report; *ret_at is where it begins. */
bool process_report_parse(struct bytes tail, const char *mark, struct process_report *ret,
                          size_t *ret_at) MUST_USE;

/* Adds what a results file holds to the outcome: rich results, and how the user's code failed. What is not
 * understood is skipped. */
void process_results_read(struct bytes text, struct outcome *outcome);

#endif
