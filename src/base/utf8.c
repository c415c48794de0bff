/* UTF-8, by the table of RFC 3629 section 4. */
#include "base/utf8.h"

#include <string.h>

/* Returns: the length of the valid character at `p`, 0 when there is none within `left` bytes. */
static size_t character(const unsigned char *p, size_t left)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0) {
        length = 2;
    } else if (p[0] < 0xf0) {
        length = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;   /* overlong */
        high = p[0] == 0xed ? 0x9f : high; /* surrogates */
    } else {
        length = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high;
    }
    if (left < length || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return length;
}

/* Most text is ASCII: eight bytes at a time are passed over as long as none is 0 or above 0x7f.
 * Returns: how many bytes of `p` are neither. */
static size_t plain_run(const unsigned char *p, size_t left)
{
    size_t n = 0;
    for (uint64_t word; left - n >= sizeof word; n += sizeof word) {
        memcpy(&word, p + n, sizeof word);
        uint64_t zeros = (word - 0x0101010101010101u) & ~word;
        if ((word | zeros) & 0x8080808080808080u)
            break;
    }
    while (n < left && p[n] != 0 && p[n] < 0x80)
        n++;
    return n;
}

bool utf8_is_valid(struct bytes text)
{
    const unsigned char *p = text.data;
    for (size_t i = 0, n; i < text.length; i += n) {
        i += plain_run(p + i, text.length - i);
        if (i == text.length)
            break;
        n = character(p + i, text.length - i);
        if (n == 0)
            return false;
    }
    return true;
}

void utf8_append_repaired(struct buffer *out, struct bytes text)
{
    const unsigned char *p = text.data;
    size_t good = 0; /* start of the valid run not yet appended */
    buffer_reserve(out, text.length);
    for (size_t i = 0; i < text.length;) {
        i += plain_run(p + i, text.length - i);
        if (i == text.length)
            break;
        size_t n = p[i] == 0 ? 0 : character(p + i, text.length - i);
        if (n > 0) {
            i += n;
            continue;
        }
        buffer_append(out, p + good, i - good);
        buffer_append(out, "\xef\xbf\xbd", 3);
        good = ++i;
    }
    if (text.length > good)
        buffer_append(out, p + good, text.length - good);
}

size_t utf8_prefix(struct bytes text, size_t limit)
{
    const unsigned char *p = text.data;
    if (limit >= text.length)
        return text.length;
    size_t start = limit;
    while (start > 0 && limit - start < 3 && (p[start] & 0xc0) == 0x80)
        start--;
    return (p[start] & 0xc0) == 0x80 ? limit : start;
}
