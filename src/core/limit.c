/* The names of limits, and what a denial means. */
#include "core/limit.h"

#include <assert.h>
#include <string.h>

/* A form that ends with a colon is followed by whose limit it is. */
static const struct {
    const char *key, *name;
} forms[] = {
    [LIMIT_GLOBAL] = {LIMIT_KEY_GLOBAL, "global"},
    [LIMIT_TENANT] = {"n:", "tenant:"},
    [LIMIT_TEMPLATE] = {"t:", "template:"},
    [LIMIT_CLASS] = {"c:", "class:"},
    [LIMIT_SESSION] = {"s:", "session:"},
    [LIMIT_RESERVE] = {"r:", "reserve:"},
    [LIMIT_CREATE_RATE] = {LIMIT_KEY_CREATE_RATE, "create_rate"},
};

const char *limit_key(enum limit_kind kind, const char *of, struct arena *arena)
{
    assert((size_t)kind < ARRAY_LENGTH(forms));
    return ARENA_JOIN(arena, forms[kind].key, of);
}

/* "n:acme" is of the form "n:", "g" of the form "g". Returns: whose it is, "" for one that stands alone; NULL
 * when it is of another form. */
static const char *owner_in(const char *text, const char *form)
{
    size_t length = strlen(form);
    bool has_owner = form[length - 1] == ':';
    if (strncmp(text, form, length) != 0 || (text[length] != '\0') != has_owner)
        return NULL;
    return text + length;
}

bool limit_parse(const char *key, struct limit *ret)
{
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        const char *of = owner_in(key, forms[i].key);
        if (!of)
            continue;
        *ret = (struct limit){(enum limit_kind)i, of};
        return true;
    }
    return false;
}

bool limit_parse_name(const char *name, struct limit *ret)
{
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        const char *of = owner_in(name, forms[i].name);
        if (!of)
            continue;
        *ret = (struct limit){(enum limit_kind)i, of};
        return true;
    }
    return false;
}

static const char *name_of(const struct limit *limit, struct arena *arena)
{
    return ARENA_JOIN(arena, forms[limit->kind].name, limit->of);
}

const char *limit_name(const char *key, struct arena *arena)
{
    struct limit limit;
    return limit_parse(key, &limit) ? name_of(&limit, arena) : arena_strdup(arena, key);
}

static struct limit_denial explain_rate(const struct limit_answer *answer, struct arena *arena)
{
    return (struct limit_denial){
        .limit = limit_name(answer->key, arena),
        .used = -1,
        .max = -1,
        .reserved = -1,
        .message = arena_printf(arena, "all workers together create at most %g sandboxes a second",
                                (double)answer->open / 1000),
    };
}

struct limit_denial limit_explain(const struct limit_answer *answer, struct arena *arena)
{
    struct limit limit;
    bool is_known = limit_parse(answer->key, &limit);
    if (is_known && limit.kind == LIMIT_CREATE_RATE)
        return explain_rate(answer, arena);
    bool may_be_kept = is_known && limit.kind == LIMIT_GLOBAL && answer->reserved_for;
    int64_t used = answer->used, open = answer->open, max = may_be_kept ? MAX(answer->max, open) : open;
    bool is_kept = used >= open && used < max;
    const char *reserve = "", *others = "";
    if (max > open)
        reserve = arena_printf(arena, ", %lld %s reserved for %s jobs", (long long)(max - open),
                               max - open == 1 ? "is" : "are", answer->reserved_for);
    if (used < open)
        others = ", the rest goes first to tenants that hold less and to jobs that waited longer";
    return (struct limit_denial){
        .limit = is_kept ? name_of(&(struct limit){LIMIT_RESERVE, answer->reserved_for}, arena)
                         : limit_name(answer->key, arena),
        .used = used,
        .max = max,
        .reserved = max - open,
        .message = arena_printf(arena, "%lld of %lld places %s taken%s%s", (long long)used, (long long)max,
                                used == 1 ? "is" : "are", reserve, others),
    };
}
