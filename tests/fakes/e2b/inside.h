#ifndef TESTS_FAKES_E2B_INSIDE_H
#define TESTS_FAKES_E2B_INSIDE_H
#include "base/buffer.h"
#include "base/list.h"
#include "fakes/e2b/world.h"

/* The fake's parts know each other. */

struct tally { /* of one job */
    struct link link;
    char *job;
    int64_t starts, creates;
};

struct fault {
    struct link link;
    struct e2b_world_fault is;
};

struct e2b_world {
    struct loop *loop;
    char url[40];
    struct link sandboxes, clients, operations, faults, tallies, creations;
    int64_t delay_ms[E2B_WORLD_CALL_COUNT], calls[E2B_WORLD_CALL_COUNT];
    size_t live, max_live;
    int64_t limit; /* 0: none */
    int64_t made;  /* for ids */
    e2b_world_watch_fn watch;
    void *watch_arg;
};

struct stored_file {
    struct link link;
    char *path; /* absolute */
    struct buffer content;
};

/* A sandbox, as E2B has it. */
struct place {
    struct link link;
    struct e2b_world *world;
    char id[32];
    int64_t number;
    const char *permit, *job; /* of the metadata; "" where it has none */
    struct e2b_pair *metadata;
    size_t metadata_count;
    struct link files, programs;
    struct timer end;
    int64_t began_ms, ends_ms;
};

/* What runs in it. Lives as long as its sandbox. */
struct program {
    struct link link;
    struct place *place;
    struct e2b_operation *owner; /* of code: it dies with its stream; NULL: a process */
    char *record;                /* of a process: its directory; "" else */
    char *text;
    const char *at;
    struct buffer out, err;
    struct timer next, limit;
    bool is_cut, has_ended, is_timed_out;
    int exit_code, signal;
    char *name, *value; /* of the exception; NULL: none */
};

struct e2b_client {
    struct link link;
    struct e2b_world *world;
    struct timer closing;
    e2b_closed_fn closed;
    void *closed_arg;
};

struct e2b_sandbox {
    struct e2b_client *client;
    char id[32];
    int active;
};

/* A call under way. */
struct e2b_operation {
    struct link link; /* world->operations */
    struct e2b_client *client;
    struct e2b_call *call; /* NULL: over, waits for the reaper */
    enum e2b_world_call kind;
    struct e2b_sandbox *handle; /* NULL: of the control plane */
    struct timer answer, deadline;
    struct e2b_world_fault fault; /* of this call */
    bool is_faulty;
    void (*perform)(struct e2b_operation *operation);
    char *text, *id; /* arguments */
    int64_t live_ms;
    struct buffer *contents; /* of write: with `paths` */
    char **paths;
    size_t count;
    unsigned depth;
    struct program *program;
    size_t out_at, err_at; /* how much of its output was told */
    char *mark;
    int events;
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

/* world.c */
struct e2b_world *e2b_world_at(const char *url);
struct tally *e2b_world_tally(struct e2b_world *world, const char *job);
void e2b_world_tell(struct e2b_world *world, enum e2b_world_call call, const char *job, bool is_done);
/* Takes the metadata (pairs_copy). */
struct place *place_new(struct e2b_world *world, struct e2b_pair *metadata, size_t count, int64_t live_ms);
struct e2b_pair *pairs_copy(struct e2b_pairs pairs); /* Owns: pairs_free */
void pairs_free(struct e2b_pair *pairs, size_t count);
const char *pair_of(struct e2b_pairs pairs, const char *name);           /* "": none */
struct place *place_find(const struct e2b_world *world, const char *id); /* NULL: none lives */
void place_end(struct place *place);
void place_set_end(struct place *place, int64_t live_ms);
struct stored_file *place_file(const struct place *place, const char *path); /* NULL: none */
void place_write(struct place *place, const char *path, struct bytes content);
bool e2b_world_take_fault(struct e2b_world *world, enum e2b_world_call call, const char *job,
                          struct e2b_world_fault *ret);

/* call.c */
struct e2b_operation *operation_begin(struct e2b_client *client, struct e2b_sandbox *handle,
                                      struct e2b_call *call, enum e2b_world_call kind,
                                      int64_t default_timeout_ms);
void operation_run(struct e2b_operation *operation, void (*perform)(struct e2b_operation *operation));
struct e2b_call *operation_end(struct e2b_operation *operation);
void operation_fail(struct e2b_operation *operation, const struct e2b_error *error);
void operation_fail_kind(struct e2b_operation *operation, enum e2b_error_kind kind, const char *message);
struct place *operation_place(struct e2b_operation *operation); /* NULL: gone, and it was answered so */

/* program.c */
struct program *program_new(struct place *place, const char *text);
struct program *program_find(const struct place *place, const char *record);
void program_start(struct program *program);
void program_stop(struct program *program, int signal);
void program_free(struct program *program);
/* stream.c: what its followers have not heard yet. */
void program_tell(struct program *program);

#endif
