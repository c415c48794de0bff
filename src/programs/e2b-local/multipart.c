/* Reading multipart bodies. */
#include "multipart.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void multipart_part_release(struct multipart_part *part)
{
    free(part->name);
    free(part->filename);
    *part = (struct multipart_part){0};
}

/* Returns: the value of `name="..."` or `name=...` in a header's parameters. */
static char *find_parameter(const char *text, size_t length, const char *name)
{
    size_t name_length = strlen(name);
    for (size_t i = 0; i + name_length < length; i++) {
        bool is_start = i == 0 || text[i - 1] == ' ' || text[i - 1] == ';';
        if (!is_start || strncasecmp(text + i, name, name_length) != 0 || text[i + name_length] != '=')
            continue;
        size_t at = i + name_length + 1, n = 0;
        char *value = base_alloc(length - at + 1);
        if (at < length && text[at] == '"') {
            for (at++; at < length && text[at] != '"'; at++) {
                if (text[at] == '\\' && at + 1 < length)
                    at++;
                value[n++] = text[at];
            }
        } else {
            while (at < length && !strchr("; \r\n", text[at]))
                value[n++] = text[at++];
        }
        return value;
    }
    return NULL;
}

char *multipart_boundary(const char *content_type)
{
    return find_parameter(content_type, strlen(content_type), "boundary");
}

static const char *find(struct bytes where, const char *what, size_t length)
{
    return where.length >= length ? memmem(where.data, where.length, what, length) : NULL;
}

static void skip_to(struct bytes *rest, const char *place)
{
    rest->length -= (size_t)(place - (const char *)rest->data);
    rest->data = place;
}

static void read_disposition(const char *head, size_t length, struct multipart_part *part)
{
    static const char wanted[] = "content-disposition:";
    for (size_t i = 0; i + sizeof wanted - 1 <= length; i++) {
        if ((i > 0 && head[i - 1] != '\n') || strncasecmp(head + i, wanted, sizeof wanted - 1) != 0)
            continue;
        const char *line = head + i + sizeof wanted - 1;
        const char *end = memchr(line, '\r', length - (size_t)(line - head));
        size_t line_length = end ? (size_t)(end - line) : length - (size_t)(line - head);
        part->name = find_parameter(line, line_length, "name");
        part->filename = find_parameter(line, line_length, "filename");
        return;
    }
}

bool multipart_next(struct bytes *rest, const char *boundary, struct multipart_part *ret)
{
    CLEANUP(base_freep) char *line = base_printf("--%s\r\n", boundary);
    CLEANUP(base_freep) char *next = base_printf("\r\n--%s", boundary);
    const char *start = find(*rest, line, strlen(line));
    if (!start)
        return false;
    struct bytes left = *rest;
    skip_to(&left, start + strlen(line));
    const char *head = left.data, *blank = find(left, "\r\n\r\n", 4);
    if (!blank)
        return false;
    struct bytes data = left;
    skip_to(&data, blank + 4);
    const char *end = find(data, next, strlen(next));
    if (!end)
        return false;
    struct multipart_part part = {.data = {data.data, (size_t)(end - (const char *)data.data)}};
    read_disposition(head, (size_t)(blank - head), &part);
    *ret = part;
    skip_to(&data, end + 2);
    *rest = data;
    return true;
}
