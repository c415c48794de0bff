#ifndef TESTS_UNIT_E2B_WORLD_H
#define TESTS_UNIT_E2B_WORLD_H
#include "e2b/e2b.h"
#include "server.h"
#include "test.h"

/* A client, a scripted server for both planes, one slot, and the story of what the callbacks saw. */

enum { WORLD_ANSWERS = 24 };

struct world {
    uv_loop_t uv;
    struct server *server;
    struct e2b_client *client;
    struct e2b_sandbox *sandbox;
    struct e2b_call call;
    struct buffer story;
    struct server_answer answers[WORLD_ANSWERS]; /* one a request, in order */
    char *heads[WORLD_ANSWERS];
    struct buffer bodies[WORLD_ANSWERS];
    int asked;
    bool in_start, is_closing, is_closed;
    bool is_patient;        /* for tests of pauses: pause after each output */
    struct e2b_error error; /* the last */
};

struct world *world_new(const struct e2b_client_options *options); /* the URLs and key are filled in */
void world_close(struct world *world); /* begins it; world_free does so by itself */
void world_free(struct world *world);
/* Opens a handle for "isandbox1"; the answers begin with 0 again afterwards. */
void world_open(struct world *world);
/* Runs the loop until the story holds the text. */
void world_wait(struct world *world, const char *text);
/* Runs the loop for so long. */
void world_run_ms(struct world *world, int ms);

/* For callbacks: the slot must be idle and no start function on the stack. */
void world_note(struct e2b_call *call, const char *what, const struct e2b_error *error);
void world_on_done(struct e2b_call *call, const struct e2b_error *error);
void world_on_output(struct e2b_call *call, const struct e2b_output *output);
void world_on_code(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception);
void world_on_exit(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *exit);
void world_on_sandbox(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox);

#define START(world, statement)                                                                              \
    do {                                                                                                     \
        (world)->in_start = true;                                                                            \
        statement;                                                                                           \
        (world)->in_start = false;                                                                           \
    } while (0)

extern const char world_handle[]; /* a create's answer */

#endif
