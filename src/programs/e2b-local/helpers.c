/* The helper files as bytes: the assembler copies them in. */
#include "helpers.h"

#include <stddef.h>

#define EMBED(symbol, file)                                                                                  \
    __asm__(".pushsection .rodata\n"                                                                         \
            "helper_" #symbol ": .incbin \"" HELPERS_FOLDER "/" file "\"\n"                                  \
            "helper_end_" #symbol ": .byte 0\n"                                                              \
            ".popsection\n");                                                                                \
    extern const char helper_##symbol[], helper_end_##symbol[]

EMBED(zygote, "zygote.py");
EMBED(python, "kernel_python.py");
EMBED(bash, "kernel_bash.py");
EMBED(javascript, "kernel_javascript.js");

const struct helper helpers[] = {
    {"zygote.py", helper_zygote, helper_end_zygote},
    {"kernel_python.py", helper_python, helper_end_python},
    {"kernel_bash.py", helper_bash, helper_end_bash},
    {"kernel_javascript.js", helper_javascript, helper_end_javascript},
    {NULL, NULL, NULL},
};
