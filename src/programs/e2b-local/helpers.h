#ifndef E2B_LOCAL_HELPERS_H
#define E2B_LOCAL_HELPERS_H
#include <stddef.h>

/* The helper files (helpers/), carried inside the program so that it runs from anywhere. */

struct helper {
    const char *name; /* NULL: the end of the list */
    const char *text;
    const size_t *length;
};

/* Generated from the files. */
extern const char helper_zygote[], helper_python[], helper_bash[], helper_javascript[];
extern const size_t helper_zygote_length, helper_python_length, helper_bash_length, helper_javascript_length;

extern const struct helper helpers[];

#endif
