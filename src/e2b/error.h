#ifndef E2B_ERROR_H
#define E2B_ERROR_H
#include "base/error.h"
#include "e2b/e2b.h"
#include "http/client.h"

/* From what others say (curl, HTTP statuses, E2B's and Connect's codes, message texts) to our kinds: one
 * function. Private to libe2b. */

enum error_place {
    PLACE_CREATE,      /* control plane: create */
    PLACE_SANDBOX,     /* control plane: a sandbox by its id */
    PLACE_ACCOUNT,     /* control plane: lists */
    PLACE_ENVD,        /* in the sandbox: processes and files */
    PLACE_INTERPRETER, /* in the sandbox: code */
};

struct foreign_error {
    enum error_place place;
    enum http_failure failure; /* 0: there was an answer */
    bool was_sent;
    int status;          /* 0: none; ignored with a code of Connect's */
    bool is_explained;   /* the body is JSON of E2B's: it is no load balancer that talks */
    const char *code;    /* E2B's error_code or Connect's code; "" */
    const char *message; /* never NULL */
    bool says_when;      /* there was a Retry-After */
};

struct error_verdict {
    enum e2b_error_kind kind;
    bool undecided;
};

struct error_verdict error_judge(const struct foreign_error *foreign);

/* The failure of an exchange: transport is NULL when there was a whole answer (which was no 2xx). */
void error_of_exchange(enum error_place place, const struct error *transport,
                       const struct http_response *response, struct e2b_error *ret);
/* The error in a Connect stream's last frame. */
void error_of_stream(enum error_place place, const char *code, const char *message, struct e2b_error *ret);
/* One of our own making. */
void error_fill(struct e2b_error *ret, enum e2b_error_kind kind, const char *message);

#endif
