#ifndef E2B_WORKER_LIMITS_TABLE_H
#define E2B_WORKER_LIMITS_TABLE_H
#include "config/config.h"
#include "redis/ledger.h"

/* The parts of `limits` that need no ledger: its table, and the words that name a limit and its value. Texts
 * lie in the arena. */

struct limit_row {
    struct limit limit;
    const char *name;
    int64_t used, waiters, oldest_ms; /* oldest_ms: of the oldest sandbox; -1: none */
    int64_t configured;               /* by this configuration; -1: no bound of its own */
    int64_t set;                      /* by an operator; -1: not */
    int64_t max;                      /* in force; -1: no bound of its own */
    int64_t cut_left_ms;              /* max is lowered by E2B's quota, for so long; -1: not */
};

struct limit_table {
    struct limit_row *rows; /* global first, then by kind and name */
    size_t count;
};

/* What is configured, and what the ledger tells of: limits under which somebody holds a place or that have a
 * value of their own. What this version does not know is left out. */
struct limit_table limit_table_of(const struct config *config, const struct ledger_usage *usage, size_t count,
                                  struct arena *arena);
/* Also for a limit that the table does not list. */
struct limit_row limit_table_find(const struct limit_table *table, const struct config *config,
                                  const struct limit *limit, struct arena *arena);

void limit_table_show(const struct limit_table *table, struct buffer *out);
/* With what stands in the ledger's way, and how many workers live. */
void limit_table_encode(const struct limit_table *table, const struct ledger_condition *condition,
                        struct buffer *out);

enum { LIMIT_VALUE_MAX = 100000, LIMIT_VALUE_DEFAULT = -1 };

/* "tenant:acme": a limit whose maximum an operator may set. */
bool limit_target_parse(const char *name, const struct config *config, struct limit *ret,
                        struct error *reterr) MUST_USE;
/* "20", or "default". */
bool limit_value_parse(const char *text, int64_t *ret, struct error *reterr) MUST_USE;

/* What a new value means, in a few lines for people, or as JSON. row: as it was before. */
void limit_change_show(const struct limit_row *row, int64_t value, const char *ledger, struct buffer *out);
void limit_change_encode(const struct limit_row *row, int64_t value, struct buffer *out);

#endif
