#ifndef WORKER_WORDS_H
#define WORKER_WORDS_H
#include "base/base.h"

/* A command line in the making: words that it owns, and a NULL behind the last. Zero is an empty one. */

struct words {
    char **items;
    size_t count;
};

void words_release(struct words *words);
void words_add(struct words *words, const char *text);
void words_add_number(struct words *words, int64_t number);

#endif
