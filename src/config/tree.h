#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H
#include "base/buffer.h"

#include <jansson.h>

/* JSON trees of our own making, which cannot fail but for lack of memory. Private to config/. */

/* Owns: takes `value`. */
void tree_set(json_t *object, const char *name, json_t *value);
/* Indented, with a newline at its end. Appends. */
void tree_dump(const json_t *root, struct buffer *out);

#endif
