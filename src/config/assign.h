#ifndef CONFIG_ASSIGN_H
#define CONFIG_ASSIGN_H
#include "config/keys.h"

#include <jansson.h>

/* Values into the struct, as the table of keys allows. Private to config/. */

struct assignment {
    struct config *config;
    struct arena *arena;
    json_t *templates;  /* what all sources said of templates, one over the other */
    const char *source; /* "config.json", "--set", "REDIS_URL in the environment": for messages */
    struct error *reterr;
};

/* Sets `key` (or, of a map, adds the members) to a JSON value, as it stands in the file.
 * Returns: false with a sentence in reterr. */
bool assign_json(struct assignment *assignment, const struct config_key *key, json_t *value) MUST_USE;

/* Sets `key`, or its member (NULL: all of it), to a text, as in --set and the environment. */
bool assign_text(struct assignment *assignment, const struct config_key *key, const char *member,
                 const char *text) MUST_USE;

#endif
