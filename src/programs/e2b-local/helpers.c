/* The list of the embedded helper files. */
#include "helpers.h"

const struct helper helpers[] = {
    {"zygote.py", helper_zygote, &helper_zygote_length},
    {"kernel_python.py", helper_python, &helper_python_length},
    {"kernel_bash.py", helper_bash, &helper_bash_length},
    {"kernel_javascript.js", helper_javascript, &helper_javascript_length},
    {NULL, NULL, NULL},
};
