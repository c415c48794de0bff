#ifndef CONFIG_SOURCES_H
#define CONFIG_SOURCES_H
#include "config/assign.h"

/* Where values come from: the file, the environment and its file, --set. Private to config/. */

struct environment {
    char *const *process; /* NAME=VALUE, NULL at the end; wins over the file's */
    struct pair_list file;
};

/* Returns: NULL for a variable that is not set, or empty. */
const char *environment_find(const struct environment *environment, const char *name);

/* Reads NAME=VALUE lines; # begins a comment, quotes around a value go, "export" is passed over. */
bool source_env_file(const char *path, struct arena *arena, struct pair_list *ret,
                     struct error *reterr) MUST_USE;

bool source_defaults(struct assignment *assignment) MUST_USE;
/* Reads the JSON file; ${VAR} in its strings is replaced, $${ stands for ${. */
bool source_file(struct assignment *assignment, const char *path,
                 const struct environment *environment) MUST_USE;
bool source_environment(struct assignment *assignment, const struct environment *environment) MUST_USE;
bool source_sets(struct assignment *assignment, const char *const *sets, size_t count) MUST_USE;

#endif
