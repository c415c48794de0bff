#ifndef E2B_E2B_H
#define E2B_E2B_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* libe2b: an asynchronous E2B client for libuv programs: sandboxes, code in their interpreter, processes and
 * files.
 *
 * Every operation is started with a *call*, a small slot that you embed in your own struct, and ends in its
 * `done`: exactly once, never from inside the start function, with the slot idle again, so that `done` may
 * start the next operation in it. Every failure arrives there, bad arguments too. Cancel means silence: no
 * callback afterwards, but what was sent may still happen. Inputs are used before the start function returns;
 * only bodies (struct e2b_bytes) are borrowed until the call is idle. What a callback gets is borrowed until
 * it returns.
 *
 * All of it belongs on the loop's thread. Times are in ms; 0 means the default. It is no scheduler and
 * repeats nothing by itself, except a connection that could not be opened (nothing was sent). The protocol is
 * E2B's REST API (v2 with a fallback to v1) and, inside a sandbox, envd's Connect protocol and the code
 * interpreter's streamed JSON. */

#if defined(E2B_BUILDING) && defined(__GNUC__)
#define E2B_API __attribute__((visibility("default")))
#else
#define E2B_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s;
struct e2b_client;
struct e2b_sandbox;
struct e2b_operation;

/* ---- Values ---- */

struct e2b_bytes {
    const void *data;
    size_t length;
};

struct e2b_pair {
    const char *name, *value;
};

struct e2b_pairs {
    const struct e2b_pair *items;
    size_t count;
};

/* What to do about a failure. */
enum e2b_error_kind {
    E2B_ERROR_INVALID = 1,  /* the request is wrong (400, 422) or an argument is; the same will fail again */
    E2B_ERROR_AUTH,         /* 401, 403: the key is missing, unknown or not allowed to */
    E2B_ERROR_NOT_FOUND,    /* no such template, file, process ... ; for a sandbox's own calls see GONE */
    E2B_ERROR_CONFLICT,     /* 409: it is changing its state just now */
    E2B_ERROR_RATE_LIMITED, /* 429: too many requests; retry_after_ms says how long to wait */
    E2B_ERROR_QUOTA,        /* 429: too many sandboxes at once; one of them must end first */
    E2B_ERROR_CAPACITY,     /* 503, 504 on create: E2B has no room; nothing was created */
    E2B_ERROR_GONE,         /* the sandbox is no more: ended, killed, or never there */
    E2B_ERROR_PORT_CLOSED,  /* the sandbox lives, but nothing listens there: the template lacks the service */
    E2B_ERROR_DISK_FULL,    /* 507: no space left in the sandbox */
    E2B_ERROR_TIMEOUT,      /* the call's own deadline passed */
    E2B_ERROR_TOO_LARGE,    /* an answer over the client's bound; the rest was not read */
    E2B_ERROR_BROKEN,       /* no connection, or no sensible answer (500, 502): the sandbox may well live */
    E2B_ERROR_EXPIRED,      /* create only: send_before_boot_ms had passed; nothing was sent */
    E2B_ERROR_CLOSED,       /* the client was closed under the call */
};

struct e2b_error {
    enum e2b_error_kind kind;
    bool undecided;         /* sent and not answered clearly: it may have happened, or may happen yet */
    int http_status;        /* 0: there was no answer */
    int64_t retry_after_ms; /* 0: not said */
    char code[48];          /* E2B's error_code or Connect's code, "" where there is none */
    char message[200];      /* one sentence for people */
};

/* ---- Call ---- */

struct e2b_call {
    void *arg;                       /* yours */
    int64_t timeout_ms;              /* deadline of each operation to come, as a whole; 0: its default */
    struct e2b_operation *operation; /* ours; NULL: idle. A zeroed call is idle */
};

E2B_API bool e2b_call_is_active(const struct e2b_call *call);
/* Idle: nothing. */
E2B_API void e2b_call_cancel(struct e2b_call *call);
/* Stops and goes on reading a streamed answer: back-pressure down to the program in the sandbox. */
E2B_API void e2b_call_pause(struct e2b_call *call);
E2B_API void e2b_call_resume(struct e2b_call *call);

typedef void (*e2b_closed_fn)(void *arg);
/* In all of them: error is NULL on success; the other arguments are NULL or zero on failure. */
typedef void (*e2b_done_fn)(struct e2b_call *call, const struct e2b_error *error);

/* ---- Client: one per account and loop, owns the connections ---- */

struct e2b_client_options {
    const char *api_key;     /* "e2b_..." */
    const char *domain;      /* NULL: e2b.app */
    const char *api_url;     /* replaces https://api.<domain>; NULL: that */
    const char *sandbox_url; /* replaces the host of every sandbox and port; NULL: https://sandbox.<domain>
                              * for E2B's own domains, https://<port>-<id>.<domain> for others */
    const char *user_agent;  /* NULL: "libe2b/<version>" */
    const char *ca_file;     /* PEM; NULL: the system's */
    int api_connections;     /* at most, to the control plane; 0: 64 */
    int envd_connections;    /* at most, HTTP/2 ones to the shared data host; 0: 32 */
    int idle_connections; /* to data hosts, where HTTP/2 is not spoken: more than so many, used ones included,
                           * are not kept for later; 0: as many as were ever in use at once */
    size_t max_answer_bytes; /* of an answer that is collected whole (lists, errors); 0: 8 MiB */
    size_t max_line_bytes;   /* of one event in a stream; 0: 16 MiB */
};

/* options: NULL takes key, domain and URLs from the environment as E2B's SDKs do (E2B_API_KEY, E2B_DOMAIN,
 * E2B_API_URL, E2B_SANDBOX_URL). Returns: NULL never; what is wrong with the options arrives with the first
 * call. Owns: e2b_client_close. */
E2B_API struct e2b_client *e2b_client_new(struct uv_loop_s *loop, const struct e2b_client_options *options);

/* Ends every call with E2B_ERROR_CLOSED, then closes the connections, calls back once (may be NULL) and is
 * gone. Sandboxes outlive it on E2B's side; their handles must be freed before or in `closed`. */
E2B_API void e2b_client_close(struct e2b_client *client, e2b_closed_fn closed, void *arg);

/* ---- Sandboxes: the control plane goes by id, the data plane by handle ---- */

struct e2b_network {
    bool is_off;              /* no way out at all */
    const char *const *allow; /* CIDR, address, domain, "*.domain" */
    size_t allow_count;
    const char *const *deny; /* CIDR, address */
    size_t deny_count;
};

struct e2b_sandbox_options {
    const char *template_id;           /* id or alias; NULL: code-interpreter-v1, which every account has */
    const char *idempotency_key;       /* [a-z0-9-]{1,255}; NULL: none */
    int64_t live_ms;                   /* from now; rounded up to seconds; 0: 300,000 */
    struct e2b_pairs metadata;         /* for lists */
    struct e2b_pairs env;              /* for every process and kernel in it */
    const struct e2b_network *network; /* NULL: full */
    int64_t send_before_boot_ms;       /* CLOCK_BOOTTIME; checked last before it is sent; 0: no bound */
};

typedef void (*e2b_sandbox_fn)(struct e2b_call *call, const struct e2b_error *error,
                               struct e2b_sandbox *sandbox);

/* options: NULL is all defaults. Default deadline 30 s. Owns: the handle is the callback's, e2b_sandbox_free.
 * The sandbox itself lives until its time is over or it is killed; error->undecided says that one may live
 * without a handle: look for it by its metadata. */
E2B_API void e2b_sandbox_create(struct e2b_client *client, struct e2b_call *call,
                                const struct e2b_sandbox_options *options, e2b_sandbox_fn done);
/* A handle for a sandbox that lives. Reads (GET), extends nothing. */
E2B_API void e2b_sandbox_open(struct e2b_client *client, struct e2b_call *call, const char *id,
                              e2b_sandbox_fn done);
/* A handle, and at least live_ms to live from now; resumes a paused one. */
E2B_API void e2b_sandbox_connect(struct e2b_client *client, struct e2b_call *call, const char *id,
                                 int64_t live_ms, e2b_sandbox_fn done);

E2B_API const char *e2b_sandbox_id(const struct e2b_sandbox *sandbox);
/* Frees the handle; never kills. No call on it may be active. NULL: nothing. */
E2B_API void e2b_sandbox_free(struct e2b_sandbox *sandbox);

enum e2b_sandbox_state { E2B_SANDBOX_RUNNING, E2B_SANDBOX_PAUSED };

struct e2b_sandbox_info {
    const char *id, *template_id, *alias; /* alias: NULL where it has none */
    enum e2b_sandbox_state state;
    int64_t started_unix_ms, ends_unix_ms;
    int64_t remaining_ms; /* ends - the answer's own Date: no clock of ours in it */
    int64_t cpu_count, memory_mb;
    struct e2b_pairs metadata;
};

struct e2b_sandbox_page {
    const struct e2b_sandbox_info *items;
    size_t count;
    const char *next;      /* for the filter of the next page; NULL: this was the last */
    int64_t total_running; /* that the filter lets through, on all pages; -1: not said */
};

struct e2b_sandbox_filter {
    struct e2b_pairs metadata; /* all must match; none: every sandbox */
    bool with_paused;
    int limit;        /* 1..100; 0: 100 */
    const char *next; /* NULL: from the start */
};

typedef void (*e2b_info_fn)(struct e2b_call *call, const struct e2b_error *error,
                            const struct e2b_sandbox_info *info);
typedef void (*e2b_page_fn)(struct e2b_call *call, const struct e2b_error *error,
                            const struct e2b_sandbox_page *page);

/* Default deadline 10 s each. A sandbox that is not there is E2B_ERROR_GONE. */
E2B_API void e2b_sandbox_inspect(struct e2b_client *client, struct e2b_call *call, const char *id,
                                 e2b_info_fn done);
E2B_API void e2b_sandbox_list(struct e2b_client *client, struct e2b_call *call,
                              const struct e2b_sandbox_filter *filter, e2b_page_fn done);
/* It ends live_ms from when E2B reads this: later or earlier than before. */
E2B_API void e2b_sandbox_keep(struct e2b_client *client, struct e2b_call *call, const char *id,
                              int64_t live_ms, e2b_done_fn done);
E2B_API void e2b_sandbox_pause(struct e2b_client *client, struct e2b_call *call, const char *id,
                               e2b_done_fn done);
/* Success: it is dead, or was not there. */
E2B_API void e2b_sandbox_kill(struct e2b_client *client, struct e2b_call *call, const char *id,
                              e2b_done_fn done);

/* ---- Output of code and processes ---- */

enum e2b_output_kind {
    E2B_OUTPUT_STARTED, /* the kernel or process has begun */
    E2B_OUTPUT_STDOUT,
    E2B_OUTPUT_STDERR,
    E2B_OUTPUT_RESULT, /* code only: a JSON object, E2B's MIME bundle: is_main_result, text, html, png, ... */
};

struct e2b_output {
    enum e2b_output_kind kind;
    struct e2b_bytes bytes; /* STDOUT and STDERR of a process may cut a character; code's are whole UTF-8 */
    uint32_t pid;           /* STARTED of a process */
};

typedef void (*e2b_output_fn)(struct e2b_call *call, const struct e2b_output *output);

/* An e2b_output_fn: what is printed there goes to our own stdout and stderr. */
E2B_API void e2b_output_print(struct e2b_call *call, const struct e2b_output *output);

/* ---- Code, in the sandbox's interpreter ---- */

struct e2b_code {
    const char *text;
    const char *language; /* NULL: python */
};

/* How user code failed. An answer, not an error. */
struct e2b_exception {
    const char *name, *value, *traceback; /* never NULL */
};

typedef void (*e2b_code_fn)(struct e2b_call *call, const struct e2b_error *error,
                            const struct e2b_exception *exception);

/* Default deadline 300 s; the caller is told within a second of it, and the code was interrupted: it has a
 * connection of its own (HTTP/1.1), whose end the interpreter notices. Success is only what the interpreter
 * itself called the end. Errors: GONE, PORT_CLOSED, TIMEOUT, BROKEN (probed: the sandbox still lives). */
E2B_API void e2b_code_run(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_code *code,
                          e2b_output_fn output, e2b_code_fn done);

/* ---- Processes ---- */

struct e2b_process_options {
    const char *const *argv; /* NULL-terminated; no shell */
    struct e2b_pairs env;
    const char *cwd;  /* NULL: the user's home */
    const char *user; /* NULL: the template's */
    bool with_input;  /* keep its standard input open */
};

struct e2b_exit {
    int code;   /* -1 when a signal ended it */
    int signal; /* 0: none */
};

typedef void (*e2b_exit_fn)(struct e2b_call *call, const struct e2b_error *error,
                            const struct e2b_exit *exit);

/* Default deadline 60 s (the process is killed with it); timeout_ms -1: none. A closed connection does not
 * stop the process; output that nobody listens to is lost. Errors: as code's; INVALID: no such directory. */
E2B_API void e2b_process_start(struct e2b_sandbox *sandbox, struct e2b_call *call,
                               const struct e2b_process_options *options, e2b_output_fn output,
                               e2b_exit_fn done);
/* Follows a running process from now on. NOT_FOUND: it ended more than 30 s ago, or never was. */
E2B_API void e2b_process_follow(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                                e2b_output_fn output, e2b_exit_fn done);
/* Default deadline 10 s each. */
E2B_API void e2b_process_write(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                               struct e2b_bytes input, e2b_done_fn done);
E2B_API void e2b_process_close_input(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid,
                                     e2b_done_fn done);
/* SIGTERM or SIGKILL; only the process itself, not its children. */
E2B_API void e2b_process_signal(struct e2b_sandbox *sandbox, struct e2b_call *call, uint32_t pid, int signal,
                                e2b_done_fn done);

/* ---- Files ---- */

struct e2b_file {
    const char *path;         /* relative: under the user's home */
    struct e2b_bytes content; /* borrowed until the call is idle */
};

enum e2b_file_kind { E2B_FILE_REGULAR, E2B_FILE_DIRECTORY, E2B_FILE_SYMLINK };

struct e2b_file_info {
    const char *name, *path;
    enum e2b_file_kind kind;
    int64_t bytes;
    unsigned mode;
};

struct e2b_file_page {
    const struct e2b_file_info *items;
    size_t count;
};

typedef void (*e2b_bytes_fn)(struct e2b_call *call, struct e2b_bytes bytes);
typedef void (*e2b_file_fn)(struct e2b_call *call, const struct e2b_error *error,
                            const struct e2b_file_info *info);
typedef void (*e2b_files_fn)(struct e2b_call *call, const struct e2b_error *error,
                             const struct e2b_file_page *page);

/* Default deadline 60 s for write and read, 10 s for the others. Directories are made; a file that is there
 * is replaced. One request however many files. */
E2B_API void e2b_files_write(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_file *files,
                             size_t count, e2b_done_fn done);
/* `bytes` is called as they come. NOT_FOUND: no such file; INVALID: a directory. */
E2B_API void e2b_file_read(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path,
                           e2b_bytes_fn bytes, e2b_done_fn done);
E2B_API void e2b_file_stat(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path,
                           e2b_file_fn done);
/* depth 1: the directory's own entries. */
E2B_API void e2b_file_list(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path,
                           unsigned depth, e2b_files_fn done);
E2B_API void e2b_file_remove(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path,
                             e2b_done_fn done);

#ifdef __cplusplus
}
#endif
#endif
