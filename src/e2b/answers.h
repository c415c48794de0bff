#ifndef E2B_ANSWERS_H
#define E2B_ANSWERS_H
#include "base/arena.h"
#include "e2b/e2b.h"

/* The JSON of whole answers, control plane and envd, into plain values whose texts live in an arena. Unknown
 * fields are ignored; what proto3 or E2B leaves out has its zero. No json_t comes out. Private to libe2b. */

struct answer_handle {
    const char *id, *token, *traffic_token, *domain; /* all but id may be NULL */
};

/* All return false, *ret untouched, when the bytes are not such an answer. */
bool answers_handle(struct bytes json, struct arena *arena, struct answer_handle *ret) MUST_USE;
/* remaining_ms is left 0: it needs the answer's date. */
bool answers_info(struct bytes json, struct arena *arena, struct e2b_sandbox_info *ret) MUST_USE;
/* Only items and count. */
bool answers_page(struct bytes json, struct arena *arena, struct e2b_sandbox_page *ret) MUST_USE;
bool answers_file(struct bytes json, struct arena *arena, struct e2b_file_info *ret) MUST_USE;
bool answers_files(struct bytes json, struct arena *arena, struct e2b_file_page *ret) MUST_USE;

/* What a refusal says, from JSON of any of the servers or from plain text. code: E2B's error_code or
 * Connect's code, else "". Both are always terminated, and cut between characters.
 * Returns: whether it was JSON. */
bool answers_refusal(struct bytes body, char *code, size_t code_size, char *message, size_t message_size);

#endif
