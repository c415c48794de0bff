#ifndef E2B_LOCAL_HELPERS_H
#define E2B_LOCAL_HELPERS_H

/* The helper files (helpers/), carried inside the program so that it runs from anywhere. */

struct helper {
    const char *name; /* NULL: the end of the list */
    const char *text, *end;
};

extern const struct helper helpers[];

#endif
