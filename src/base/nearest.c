/* Nearest names: by edit distance (insertions, deletions, replacements and swaps of neighbours count one
 * each), then by what was left away at a name's end. */
#include "base/nearest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum {
    LONGEST = 64,  /* a longer word is no slip of a name of ours */
    BEGINNING = 3, /* fewer letters are the beginning of too much */
};

static size_t least(size_t a, size_t b, size_t c)
{
    return MIN(a, MIN(b, c));
}

static bool is_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Both are at most LONGEST long. Keeps three rows of the usual table: a swap looks two rows back. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = above[j - 1] + (is_same(a[i - 1], b[j - 1]) ? 0 : 1);
            row[j] = least(replaced, above[j] + 1, row[j - 1] + 1);
            if (i > 1 && j > 1 && is_same(a[i - 1], b[j - 2]) && is_same(a[i - 2], b[j - 1]))
                row[j] = MIN(row[j], two_above[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

static const char *nearest_by_slips(const char *word, size_t length, const char *const *names, size_t count)
{
    size_t best = MAX(length / 3, 1) + 1; /* nearer than this */
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(names[i]);
        if (other > LONGEST)
            continue;
        size_t steps = distance(word, length, names[i], other);
        if (steps < best) {
            best = steps;
            nearest = names[i];
        }
    }
    return nearest;
}

/* "timeout" for "timeout_ms". A dot ends it: "limit" is a slip of the group "limits", not
 * of "limits.global". */
static const char *nearest_by_beginning(const char *word, size_t length, const char *const *names,
                                        size_t count)
{
    const char *nearest = NULL;
    for (size_t i = 0; i < count && length >= BEGINNING; i++)
        if (strncasecmp(names[i], word, length) == 0 && !strchr(names[i] + length, '.') &&
            (!nearest || strlen(names[i]) < strlen(nearest)))
            nearest = names[i];
    return nearest;
}

const char *nearest_name(const char *word, const char *const *names, size_t count)
{
    size_t length = strlen(word);
    if (length < 2 || length > LONGEST)
        return NULL;
    const char *nearest = nearest_by_slips(word, length, names, count);
    return nearest ? nearest : nearest_by_beginning(word, length, names, count);
}
