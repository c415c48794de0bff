#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H
#include "config/config.h"

/* The one table of keys. Everything that knows of a key reads it here: loading, --set, the environment,
 * printing, the JSON Schema, the README's table. Private to config/. */

enum config_type {
    CONFIG_TEXT,      /* const char * */
    CONFIG_CHOICE,    /* const char *, one of .choices */
    CONFIG_ENUM,      /* an int-sized enum: the index in .choices */
    CONFIG_INTEGER,   /* int64_t */
    CONFIG_RATE,      /* int64_t in thousandths, written as a number */
    CONFIG_BOOLEAN,   /* bool */
    CONFIG_LIST,      /* struct text_list; one text is a list of one */
    CONFIG_PAIRS,     /* struct pair_list, an object of texts */
    CONFIG_LIMITS,    /* struct plan_limit * and a size_t behind it, an object of integers */
    CONFIG_TEMPLATES, /* an object of templates; becomes the catalogue */
};

/* A CONFIG_LIMITS in struct config: the pointer and its count stand one behind the other. */
struct config_limits {
    struct plan_limit *items;
    size_t count;
};
_Static_assert(offsetof(struct config, limit_tenant_count) ==
                   offsetof(struct config, limit_tenants) + offsetof(struct config_limits, count),
               "a count stands behind its pointer");

struct config_key {
    const char *name; /* with dots: limits.global */
    enum config_type type;
    size_t offset; /* in struct config; not for TEMPLATES */
    const char
        *default_text; /* as --set takes it; NULL: absent or empty, and then .absent says what follows */
    int64_t min, max;  /* of INTEGER, RATE (thousandths), and the members of LIMITS */
    const char *const *choices;
    const char *environment; /* the variable that sets it; NULL: none */
    const char *help;        /* a sentence without its full stop */
    const char *absent;      /* what an absent value means; NULL: nothing to say */
    bool is_secret;
};

extern const struct config_key config_keys[];
extern const size_t config_key_count;

/* The first parts of the names with dots, in the order in which they come. */
struct config_group {
    const char *name, *help; /* help: as a key's */
};
extern const struct config_group config_groups[];
extern const size_t config_group_count;

/* The key of this name, or the map that `name` is a member of ("limits.tenants.acme"): *ret_member is the
 * rest then, NULL otherwise. Returns: NULL for an unknown name. */
const struct config_key *config_key_find(const char *name, const char **ret_member);
/* Whether some key lies below this name. */
bool config_key_is_group(const char *name);
/* The nearest key or group, NULL: none is near. */
const char *config_key_near(const char *name);
/* The index of a choice. Returns: false for a text that is none. */
bool config_choice_find(const struct config_key *key, const char *text, int *ret);
bool config_key_is_map(const struct config_key *key);

#endif
