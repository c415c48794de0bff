#ifndef BASE_LOG_H
#define BASE_LOG_H
#include "base/base.h"

/* Events as JSON lines on standard error: a name and known fields, no prose, no payloads, no secrets.
 *
 *   log_info(log, "job.finished", LOG_TEXT("job", id), LOG_INT("ms", 12));
 *   {"at":"2026-11-21T08:15:30.123Z","level":"info","event":"job.finished","component":"worker","job":"...","ms":12}
 *
 * error = somebody must act; warn = we went on; info = the life of jobs; debug = whatever helps. The place
 * that decides logs, once; core never does. A `struct log` belongs to one component and is a plain value. */

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_NONE };

enum log_kind { LOG_KIND_TEXT, LOG_KIND_INT, LOG_KIND_BOOL };

struct log_field {
    const char *name;
    enum log_kind kind;
    const char *text; /* NULL is written as null */
    int64_t number;
};

struct log {
    const char *component; /* borrowed; NULL: none */
    enum log_level level;  /* below it nothing is written */
    int fd;                /* where to; 0 is taken as standard error, so that a zeroed log works */
    const char *worker;    /* borrowed; written in every line when set */
};

#define LOG_TEXT(name_, value) ((struct log_field){.name = (name_), .kind = LOG_KIND_TEXT, .text = (value)})
#define LOG_INT(name_, value)                                                                                \
    ((struct log_field){.name = (name_), .kind = LOG_KIND_INT, .number = (int64_t)(value)})
#define LOG_BOOL(name_, value) ((struct log_field){.name = (name_), .kind = LOG_KIND_BOOL, .number = (value)})

/* One line, one write(2). `log` may be NULL: nothing is written. */
void log_write(const struct log *log, enum log_level level, const char *event, const struct log_field *fields,
               size_t count);

static inline bool log_is_on(const struct log *log, enum log_level level)
{
    return log && level >= log->level;
}

#define LOG_AT(log, level, event, ...)                                                                       \
    do {                                                                                                     \
        if (log_is_on((log), (level))) {                                                                     \
            const struct log_field log_fields_[] = {{.name = NULL}, ##__VA_ARGS__};                          \
            log_write((log), (level), (event), log_fields_ + 1, ARRAY_LENGTH(log_fields_) - 1);              \
        }                                                                                                    \
    } while (0)
#define log_debug(log, event, ...) LOG_AT(log, LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)
#define log_info(log, event, ...)  LOG_AT(log, LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_warn(log, event, ...)  LOG_AT(log, LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define log_error(log, event, ...) LOG_AT(log, LOG_LEVEL_ERROR, event, ##__VA_ARGS__)

/* Returns: false, *ret untouched, for a name that is none of debug, info, warn, error, none. */
bool log_level_parse(const char *name, enum log_level *ret) MUST_USE;
const char *log_level_name(enum log_level level);

#endif
