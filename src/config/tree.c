/* JSON trees of our own making. */
#include "config/tree.h"

#include <stdlib.h>

/* jansson fails here only for lack of memory or for a text that is no UTF-8, which loading has refused. */
void tree_set(json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        base_die("jansson cannot set \"%s\"", name);
}

void tree_dump(const json_t *root, struct buffer *out)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    if (!text)
        base_die("jansson cannot write the configuration");
    buffer_append_text(out, text);
    buffer_append_byte(out, '\n');
    free(text);
}
