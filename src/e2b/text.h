#ifndef E2B_TEXT_H
#define E2B_TEXT_H
#include "base/buffer.h"
#include "e2b/e2b.h"

/* Writing what goes over the wire: JSON straight into a buffer (a tree for five fields costs more than the
 * request; single texts by base/quoted.h), percent-encoding. Inputs are UTF-8; whoever takes them from
 * strangers checks first. Private to libe2b. */

void text_append_json_map(struct buffer *out, const struct e2b_pairs *pairs);
void text_append_json_list(struct buffer *out, const char *const *items, size_t count);
/* Everything but letters, digits and -._~ becomes %XX. */
void text_append_percent(struct buffer *out, const char *text);

/* UTF-8, and not NULL. */
bool text_is_good(const char *text) MUST_USE;
bool text_are_good(const struct e2b_pairs *pairs) MUST_USE;
/* May stand in a header line. */
bool text_is_header_safe(const char *text) MUST_USE;

#endif
