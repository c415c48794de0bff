/* Command lines in the making. */
#include "worker/words.h"

#include <stdlib.h>

static void take(struct words *words, char *text)
{
    words->items = base_realloc(words->items, sizeof *words->items * (words->count + 2));
    words->items[words->count++] = text;
    words->items[words->count] = NULL;
}

void words_release(struct words *words)
{
    for (size_t i = 0; i < words->count; i++)
        free(words->items[i]);
    free(TAKE(words->items));
    words->count = 0;
}

void words_add(struct words *words, const char *text)
{
    take(words, base_strdup(text));
}

void words_add_number(struct words *words, int64_t number)
{
    take(words, base_printf("%lld", (long long)number));
}
