/* Code as people and language models send it -> code as interpreters want it. */
#include "codec/job.h"

#include <assert.h>
#include <string.h>

enum { REMOVALS_MAX = 3 };

/* Whether a fence of at least three ` or ~ begins here. Returns: its length, 0: none. */
static size_t fence_length(const char *line, size_t length)
{
    size_t n = 0;
    while (n < length && n < 64 && (line[0] == '`' || line[0] == '~') && line[n] == line[0])
        n++;
    return n >= 3 ? n : 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The last line with something on it: where it begins, without the blanks around it. */
static struct bytes last_line(const char *text, size_t length)
{
    while (length > 0 && is_blank(text[length - 1]))
        length--;
    size_t start = length;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (start < length && is_blank(text[start]))
        start++;
    return (struct bytes){text + start, length - start};
}

/* Narrows *text to what stands between an opening fence on its first line and a closing one on its last.
 * Returns: false, *text untouched, when it is not fenced. */
static bool strip_fence(struct bytes *text)
{
    const char *start = text->data, *end = start + text->length;
    while (start < end && is_blank(*start))
        start++;
    size_t fence = fence_length(start, (size_t)(end - start));
    const char *newline = fence > 0 ? memchr(start, '\n', (size_t)(end - start)) : NULL;
    /* A ` after the fence on its line is inline code, no fence. */
    if (!newline || (*start == '`' && memchr(start + fence, '`', (size_t)(newline - start) - fence)))
        return false;
    const char *inside = newline + 1;
    struct bytes closing = last_line(inside, (size_t)(end - inside));
    if (closing.length < fence || closing.length > 63 || *(const char *)closing.data != *start ||
        fence_length(closing.data, closing.length) != closing.length)
        return false;
    const char *until = closing.data;
    while (until > inside && until[-1] != '\n')
        until--;
    *text = (struct bytes){inside, (size_t)(until - inside)};
    return true;
}

/* Copies without carriage returns before newlines. Returns: the new length. */
static size_t copy_lines(struct bytes text, char *out)
{
    const char *from = text.data;
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++)
        if (from[i] != '\r' || i + 1 == text.length || from[i + 1] != '\n')
            out[length++] = from[i];
    return length;
}

const char *code_clean(const char *code, size_t length, struct arena *arena, size_t *ret_length,
                       struct text_list *ret_removed)
{
    struct bytes text = {code, length};
    struct text_list removed = {.items = ARENA_ARRAY(arena, const char *, REMOVALS_MAX)};
    if (length >= 3 && memcmp(code, "\xef\xbb\xbf", 3) == 0) {
        text = (struct bytes){code + 3, length - 3};
        removed.items[removed.count++] = "/code: a byte-order mark was removed";
    }
    if (strip_fence(&text))
        removed.items[removed.count++] = "/code: a surrounding Markdown fence was removed";
    char *clean = arena_alloc(arena, text.length + 1);
    size_t clean_length = copy_lines(text, clean);
    if (clean_length < text.length)
        removed.items[removed.count++] = "/code: carriage returns before newlines were removed";
    assert(removed.count <= REMOVALS_MAX);
    *ret_length = clean_length;
    *ret_removed = removed;
    return clean;
}
