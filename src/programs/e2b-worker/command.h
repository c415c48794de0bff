#ifndef E2B_WORKER_COMMAND_H
#define E2B_WORKER_COMMAND_H
#include "config/config.h"

/* A subcommand: one file each, with a `const struct command` near its top; main.c lists them. */

/* Exit codes that scripts can use; the upper ones are those of sysexits.h. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,       /* done, and it failed: a job that did not succeed, a check that found something */
    EXIT_USAGE = 2,        /* the words of the call are wrong */
    EXIT_NO_INPUT = 66,    /* a file cannot be read */
    EXIT_UNAVAILABLE = 69, /* Kafka or Redis does not answer, or an address of ours cannot be used */
    EXIT_TIMED_OUT = 75,   /* no answer within the time that was given */
    EXIT_CONFIG = 78,      /* the configuration is wrong */
    EXIT_INTERRUPTED = 130,
};

struct command {
    const char *name, *arguments, *summary;
    const char *help; /* after the first two lines; options one per line */
    int (*run)(const struct command *command, int argc, char **argv); /* argv[0] is the subcommand's name */
};

extern const struct command command_run, command_submit, command_watch, command_status, command_cancel,
    command_limits, command_dlq, command_config, command_doctor, command_topics, command_dev;

/* Says what is wrong and how to see the help. Returns: EXIT_USAGE. */
int command_usage(const struct command *command, const char *format, ...) PRINTF_LIKE(2, 3);
void command_help(const struct command *command);

/* ---- Options ---- */

/* Of every subcommand with a configuration: --config FILE, --env-file FILE, --set KEY=VALUE. */

#define COMMAND_CONFIG_HELP                                                                                  \
    "  --config FILE      configuration (JSON); default: none, localhost\n"                                  \
    "  --env-file FILE    environment variables, one NAME=value a line\n"                                    \
    "  --set KEY=VALUE    overrides one key, e.g. --set limits.global=50; repeatable\n"                      \
    "  --help             this text\n"

/* Of those that follow Kafka: --connect-timeout SECONDS. */
#define COMMAND_CONNECT_HELP                                                                                 \
    "  --connect-timeout SECONDS\n"                                                                          \
    "                     how long Kafka may take to answer at the start; default: 5\n"

enum { COMMAND_SETS_MAX = 64, COMMAND_CONNECT_S = 5, COMMAND_CONNECT_MAX_S = 86400 };

struct command_options {
    struct config_input input;
    const char *sets[COMMAND_SETS_MAX];
    const char *rest[8]; /* what is no option */
    size_t rest_count;
};

/* An option of the subcommand's own: "--name" with or without a value; *value is set to the value, or to the
 * name itself. */
struct command_option {
    const char *name;
    bool has_value;
    const char **value;
};

/* Reads argv. Returns: EXIT_OK, or -1 after --help was answered, or EXIT_USAGE after saying what is wrong. */
int command_parse(const struct command *command, int argc, char **argv, const struct command_option *own,
                  size_t own_count, struct command_options *ret) MUST_USE;
/* Reads an option's value as a whole number of [min, max]; NULL leaves *ret alone. Returns: false after
 * saying what is wrong. */
bool command_number(const struct command *command, const char *name, const char *text, int64_t min,
                    int64_t max, int64_t *ret) MUST_USE;
/* A job that a call names by its only argument, and its tenant by an option. */
struct command_job {
    const char *job_id, *tenant_id;
    const char *key; /* as the ledger calls it; from the arena */
};
/* tenant NULL: "default". Returns: false after saying what is wrong. */
bool command_job(const struct command *command, const struct command_options *options, const char *tenant,
                 struct arena *arena, struct command_job *ret) MUST_USE;
/* Loads the configuration. Returns: EXIT_OK, or EXIT_CONFIG after saying what is wrong. */
int command_load(const struct command_options *options, struct arena *arena, struct config *ret) MUST_USE;
/* The log that the configuration asks for. */
struct log command_log(const struct config *config);

#endif
