#ifndef E2B_LOCAL_PROCESS_H
#define E2B_LOCAL_PROCESS_H
#include "base/base.h"
#include "base/error.h"
#include "base/list.h"
#include "cell.h"
#include "loop/timers.h"

#include <jansson.h>
#include <sys/types.h>

/* A command in a sandbox: started, read, written to, signalled. Whoever listens hears its output from then
 * on; nobody listening, the output is thrown away. After its end it is kept for 30 s, as envd keeps it. */

struct child;
struct sandbox;

enum process_channel { PROCESS_STDOUT, PROCESS_STDERR, PROCESS_PTY };
enum process_state { PROCESS_STARTING, PROCESS_RUNNING, PROCESS_ENDED };

struct process_request {
    const char *program;
    json_t *arguments; /* borrowed; strings; NULL: none */
    json_t *variables; /* borrowed; NULL: none */
    const char *cwd;   /* NULL: the user's home */
    const char *user;  /* "user" or "root" */
    const char *tag;   /* NULL: none */
    bool has_stdin;
    int columns, rows; /* > 0: on a terminal */
};

struct process {
    struct link link;        /* in sandbox->processes */
    struct sandbox *sandbox; /* borrowed */
    enum process_state state;
    pid_t pid;         /* as we see it */
    int64_t inner_pid; /* as the sandbox sees it: what the API calls pid */
    char *tag;
    json_t *config; /* as List shows it */
    struct cell_ready ready;
    char **argument_list, **variable_list; /* for exec */
    char *cwd;
    bool has_stdin, is_terminal;
    int columns, rows;
    int input, outputs[2], report; /* descriptors; -1: closed */
    struct watch *output_watches[2], *report_watch;
    struct child *child;
    bool has_exited;
    int wait_status;
    int hold_count; /* listeners that cannot take more */
    struct link listeners;
    struct timer timer; /* until it is forgotten */
};

/* Callbacks run on the loop. A listener removes itself whenever it likes, also inside. */
struct process_listener {
    struct link link;
    struct process *process; /* borrowed; NULL: not listening */
    bool is_holding;
    void (*on_started)(void *arg);
    void (*on_failed)(void *arg, const char *code, const char *message);
    void (*on_output)(void *arg, enum process_channel channel, struct bytes data);
    void (*on_ended)(void *arg); /* also when it had ended before */
    void (*on_lost)(void *arg);  /* the sandbox ended */
    void *arg;
};

/* Starts it; the listener (yours, zeroed but for its functions) hears the rest. */
struct process *process_new(struct sandbox *sandbox, const struct process_request *request,
                            struct process_listener *listener);
void process_listen(struct process *process, struct process_listener *listener);
void process_unlisten(struct process_listener *listener);
/* Stops and restarts reading, for the sake of a slow listener: back-pressure on the command. */
void process_hold(struct process_listener *listener);
void process_release(struct process_listener *listener);

/* Returns: NULL when there is none; by pid, or by tag when tag is not NULL. */
struct process *process_find(struct sandbox *sandbox, int64_t inner_pid, const char *tag);
void process_signal(struct process *process, int signal);
/* Kills it even if it has not begun; then it is forgotten, and must not be named again. */
void process_kill(struct process *process);
bool process_write(struct process *process, struct bytes data, bool to_terminal, struct error *reterr);
bool process_close_input(struct process *process);
void process_resize(struct process *process, int columns, int rows);

void processes_end(struct sandbox *sandbox);

#endif
