#ifndef E2B_WORKER_DOCTOR_H
#define E2B_WORKER_DOCTOR_H
#include "base/arena.h"
#include "config/config.h"

/* The parts of `doctor`: doctor.c (words, the table), doctor_checks.c (what can be asked at once),
 * doctor_e2b.c (E2B, on the loop). */

enum finding_state { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct finding {
    const char *check; /* "kafka": a literal */
    enum finding_state state;
    const char *text; /* what was found and, unless it is well, what to do */
};

enum { FINDINGS_MAX = 64 };

struct report {
    struct arena *arena;
    struct finding items[FINDINGS_MAX];
    size_t count;
};

void report_add(struct report *report, const char *check, enum finding_state state, const char *format, ...)
    PRINTF_LIKE(4, 5);

void check_config(const struct config *config, struct report *report);
void check_system(const struct config *config, struct report *report);
void check_kafka(const struct config *config, struct report *report);
void check_redis(const struct config *config, struct report *report);
/* With is_run: one hello in a sandbox of the default template as well. */
void check_e2b(const struct config *config, bool is_run, struct report *report);

#endif
