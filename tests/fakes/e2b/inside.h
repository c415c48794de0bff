#ifndef TESTS_FAKES_E2B_INSIDE_H
#define TESTS_FAKES_E2B_INSIDE_H
#include "base/arena.h"
#include "base/buffer.h"
#include "base/list.h"
#include "fakes/e2b/world.h"
#include "fakes/index.h"
#include "fakes/loop/virtual.h"

/* The fake's parts know each other. Each call has two sides: an operation, on the loop of its client, which
 * stops and dies with it; and a request, at E2B, on the world's. What the one says to the other is a
 * letter. */

struct tally { /* of one job */
    struct link link;
    struct index_node node;
    char *job;
    int64_t starts, creates;
};

struct fault {
    struct link link;
    struct e2b_world_fault is;
};

struct place;

/* Told at once, so that a test can judge it. */
struct e2b_world_eye {
    void *arg;
    void (*on_made)(void *arg, const struct place *place);
    void (*on_moved)(void *arg, const struct place *place); /* its end is another */
    void (*on_ended)(void *arg, const struct place *place, const char *why);
    void (*on_killed)(void *arg, const struct place *place, const struct loop *client); /* ... then ended */
    void (*on_started)(void *arg, const struct place *place);                           /* a program */
    /* Somebody follows it from here on. */
    void (*on_attached)(void *arg, const struct place *place, const char *text, const struct loop *client);
    void (*on_fault)(void *arg, enum e2b_world_call call, const char *job);
};

struct e2b_world {
    struct loop *loop;
    char url[40];
    struct link sandboxes, clients, requests, faults, tallies;
    struct index ids, permits, jobs; /* places by id and by permit, tallies by job */
    int64_t delay_ms[E2B_WORLD_CALL_COUNT], calls[E2B_WORLD_CALL_COUNT];
    struct random *random; /* NULL: delays are what they are */
    size_t live, max_live;
    int64_t limit; /* 0: none */
    int64_t made;  /* for ids */
    e2b_world_watch_fn watch;
    void *watch_arg;
    const struct e2b_world_eye *eye;
};

struct stored_file {
    struct link link;
    char *path; /* absolute */
    struct buffer content;
};

/* A sandbox, as E2B has it. */
struct place {
    struct link link;
    struct index_node id_node, permit_node;
    struct e2b_world *world;
    char id[32];
    int64_t number;
    const char *permit, *job; /* of the metadata; "" where it has none */
    struct e2b_pair *metadata;
    size_t metadata_count;
    struct link files, programs;
    struct timer end;
    int64_t began_ms, ends_ms;
    bool is_gone;
};

/* What runs in it. Lives as long as its sandbox. */
struct program {
    struct link link;
    struct place *place;
    struct link followers;     /* of struct e2b_request, by follow */
    struct e2b_request *owner; /* of code: it dies with its stream; NULL: a process */
    char *record;              /* of a process: its directory; "" else */
    char *text;
    const char *at;
    struct buffer out, err;
    struct timer next, limit;
    bool is_cut, has_ended;
    const char *stopped; /* "timeout", "cancel"; NULL: it ended by itself */
    int exit_code, signal;
    char *name, *value; /* of the exception; NULL: none */
};

struct e2b_client {
    struct link link;
    struct e2b_world *world;
    struct loop *loop;
    struct link operations;
    struct timer closing;
    e2b_closed_fn closed;
    void *closed_arg;
};

struct e2b_sandbox {
    struct e2b_client *client;
    char id[32];
    int active;
};

/* A call under way, here. */
struct e2b_operation {
    struct link link; /* client->operations */
    struct e2b_client *client;
    struct e2b_call *call; /* NULL: over, waits for the reaper */
    enum e2b_world_call kind;
    struct e2b_sandbox *handle;  /* NULL: of the control plane */
    struct e2b_request *request; /* NULL: E2B is through with it */
    struct timer arrival, deadline;
    struct link letters;
    int cut_after, events;
    e2b_output_fn output;
    e2b_bytes_fn bytes;
    union {
        e2b_done_fn done;
        e2b_sandbox_fn sandbox;
        e2b_page_fn page;
        e2b_info_fn info;
        e2b_file_fn file;
        e2b_code_fn code;
        e2b_exit_fn exit;
        e2b_files_fn files;
    } on;
};

/* ... and there. */
struct e2b_request {
    struct link link;   /* world->requests */
    struct link follow; /* program->followers */
    struct e2b_world *world;
    struct e2b_operation *operation; /* NULL: nobody listens */
    const struct loop *client;       /* who asked; for comparing alone */
    enum e2b_world_call kind;
    struct timer timer;
    int64_t sent_ms;
    struct e2b_world_fault fault; /* of this call */
    bool is_faulty;
    bool is_mute; /* it is done, and its answer is not what is said */
    void (*perform)(struct e2b_request *request);
    char *text, *id; /* arguments; id: the sandbox, unless it is said otherwise */
    char *sandbox;   /* of the data plane */
    int64_t live_ms;
    char *why;               /* of a stop */
    struct buffer *contents; /* of write: with `paths` */
    char **paths;
    size_t count;
    unsigned depth;
    struct program *program;
    size_t out_at, err_at; /* how much of its output was told */
    char *mark;
};

enum letter_kind {
    LETTER_ERROR,
    LETTER_DONE,
    LETTER_SANDBOX,
    LETTER_PAGE,
    LETTER_INFO,
    LETTER_BYTES,
    LETTER_FILE,
    LETTER_FILES,
    LETTER_OUTPUT,
    LETTER_CODE,
    LETTER_EXIT,
};

struct letter {
    struct link link;
    int64_t due_ms;
    enum letter_kind kind;
    struct arena arena; /* of what the members point to */
    union {
        struct e2b_error error;
        const char *sandbox;
        struct e2b_sandbox_page page;
        struct e2b_sandbox_info info;
        struct e2b_bytes bytes;
        struct e2b_file_info file;
        struct e2b_file_page files;
        struct e2b_output output;
        struct e2b_exception exception; /* name NULL: none */
    } is;
};

/* world.c */
struct e2b_world *e2b_world_at(const char *url);
struct tally *e2b_world_tally(struct e2b_world *world, const char *job);
void e2b_world_tell(struct e2b_world *world, enum e2b_world_call call, const char *job, bool is_done);
int64_t e2b_world_delay_of(struct e2b_world *world, enum e2b_world_call call);
/* Takes the metadata (pairs_copy). */
struct place *place_new(struct e2b_world *world, struct e2b_pair *metadata, size_t count, int64_t live_ms);
struct e2b_pair *pairs_copy(struct e2b_pairs pairs); /* Owns: pairs_free */
void pairs_free(struct e2b_pair *pairs, size_t count);
const char *pair_of(struct e2b_pairs pairs, const char *name);           /* "": none */
struct place *place_find(const struct e2b_world *world, const char *id); /* NULL: none lives */
struct place *place_find_by_permit(const struct e2b_world *world, const char *permit);
void place_end(struct place *place, const char *why);
void place_set_end(struct place *place, int64_t live_ms);
struct stored_file *place_file(const struct place *place, const char *path); /* NULL: none */
void place_write(struct place *place, const char *path, struct bytes content);
bool e2b_world_take_fault(struct e2b_world *world, enum e2b_world_call call, const char *job,
                          struct e2b_world_fault *ret);

/* call.c: here. */
struct e2b_operation *operation_begin(struct e2b_client *client, struct e2b_sandbox *handle,
                                      struct e2b_call *call, enum e2b_world_call kind,
                                      int64_t default_timeout_ms);
void operation_run(struct e2b_operation *operation, void (*perform)(struct e2b_request *request));
void operation_receive(struct e2b_operation *operation, struct letter *letter); /* takes it */

/* request.c: there. */
struct e2b_request *request_new(struct e2b_world *world, struct e2b_operation *operation,
                                enum e2b_world_call kind);
void request_send(struct e2b_request *request, void (*perform)(struct e2b_request *request));
/* Whoever asked listens no more. */
void request_leave(struct e2b_request *request);
/* E2B is through with it. */
void request_end(struct e2b_request *request);
struct place *request_place(struct e2b_request *request); /* NULL: gone, and it was answered so */
struct letter *letter_new(enum letter_kind kind);
void letter_free(struct letter *letter);
void request_post(struct e2b_request *request, struct letter *letter);   /* takes it */
void request_answer(struct e2b_request *request, struct letter *letter); /* ... and that was all */
void request_done(struct e2b_request *request);
void request_fail(struct e2b_request *request, enum e2b_error_kind kind, const char *message);

/* program.c */
struct program *program_new(struct place *place, const char *text);
struct program *program_find(const struct place *place, const char *record);
void program_start(struct program *program);
void program_stop(struct program *program, int signal);
void program_free(struct program *program);
/* stream.c: what its followers have not heard yet; the sandbox is gone. */
void program_tell(struct program *program);
void program_tell_gone(struct program *program);

#endif
