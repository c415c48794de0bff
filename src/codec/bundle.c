/* Whether a rich result may become part of a message. */
#include "codec/bundle.h"

#include <jansson.h>

enum { NESTING_MAX = 64 };

static bool is_too_deep(struct bytes json)
{
    const char *p = json.data;
    int depth = 0;
    bool is_in_string = false;
    for (size_t i = 0; i < json.length; i++) {
        if (is_in_string) {
            i += p[i] == '\\';
            is_in_string = i >= json.length || p[i] != '"';
            continue;
        }
        is_in_string = p[i] == '"';
        depth += (p[i] == '{' || p[i] == '[') - (p[i] == '}' || p[i] == ']');
        if (depth > NESTING_MAX)
            return true;
    }
    return false;
}

struct bundle bundle_inspect(struct bytes json)
{
    if (json.length == 0 || is_too_deep(json))
        return (struct bundle){0};
    json_auto_t *root = json_loadb(json.data, json.length,
                                   JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    if (!json_is_object(root))
        return (struct bundle){0};
    return (struct bundle){.is_valid = true,
                           .is_main = json_is_true(json_object_get(root, "is_main_result"))};
}
