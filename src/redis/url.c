/* Reads the address of a Redis. */
#include "redis/url.h"

#include "base/buffer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_PORT = 6379, LONGEST_URL = 4096, LARGEST_DATABASE = 65535 };

#define FORM "write it as redis://[user:password@]host[:port][/database] or unix:/path/to/socket"

void url_release(struct url *url)
{
    free(url->path);
    free(url->host);
    free(url->user);
    free(url->password);
    *url = (struct url){0};
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Returns: NULL for a broken or a NUL escape. */
static char *decode(const char *text, size_t length)
{
    char *plain = base_alloc(length + 1);
    size_t n = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '%') {
            plain[n++] = text[i];
            continue;
        }
        int high = i + 2 < length ? hex_value(text[i + 1]) : -1;
        int low = i + 2 < length ? hex_value(text[i + 2]) : -1;
        if (high < 0 || low < 0 || high + low == 0) {
            free(plain);
            return NULL;
        }
        plain[n++] = (char)(high * 16 + low);
        i += 2;
    }
    return plain;
}

/* Digits only, all of them. */
static bool read_number(const char *text, size_t length, int largest, int *ret)
{
    int value = 0;
    if (length == 0 || length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        value = value * 10 + (text[i] - '0');
    }
    if (value > largest)
        return false;
    *ret = value;
    return true;
}

static bool read_login(const char *text, size_t length, struct url *url, struct error *reterr)
{
    const char *colon = memchr(text, ':', length);
    if (!colon)
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "the Redis URL names a user but no password: write redis://user:password@host, "
                         "or redis://:password@host for the default user");
    size_t user_length = (size_t)(colon - text);
    url->user = decode(text, user_length);
    url->password = decode(colon + 1, length - user_length - 1);
    if (!url->user || !url->password)
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "user or password in the Redis URL has a broken %%-escape: write %%25 for a %%");
    return true;
}

static bool read_host(const char *text, size_t length, struct url *url, struct error *reterr)
{
    const char *host = text, *rest;
    size_t host_length;
    const char *end = text + length;
    if (length > 0 && text[0] == '[') {
        const char *close = memchr(text, ']', length);
        if (!close)
            return error_set(reterr, ERROR_REJECTED, "redis", 0, "the Redis URL has a [ without a ]: " FORM);
        host = text + 1;
        host_length = (size_t)(close - host);
        rest = close + 1;
    } else {
        const char *colon = memchr(text, ':', length);
        rest = colon ? colon : end;
        host_length = (size_t)(rest - host);
    }
    url->port = DEFAULT_PORT;
    if (host_length == 0)
        return error_set(reterr, ERROR_REJECTED, "redis", 0, "the Redis URL names no host: " FORM);
    if (rest < end && (*rest != ':' || !read_number(rest + 1, (size_t)(end - rest - 1), 65535, &url->port) ||
                       url->port == 0))
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "the port in the Redis URL is no number from 1 to 65535: " FORM);
    url->host = base_strndup(host, host_length);
    return true;
}

static bool read_tcp(const char *text, struct url *url, struct error *reterr)
{
    const char *slash = strchr(text, '/');
    /* A password may hold a slash only as %2F, so the first slash ends the authority. */
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (slash && slash[1] != '\0' &&
        !read_number(slash + 1, strlen(slash + 1), LARGEST_DATABASE, &url->database))
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "what follows the host in the Redis URL is no database number: " FORM);
    const char *at = memrchr(text, '@', length);
    if (at && !read_login(text, (size_t)(at - text), url, reterr))
        return false;
    const char *host = at ? at + 1 : text;
    return read_host(host, length - (size_t)(host - text), url, reterr);
}

static bool parse(const char *text, struct url *url, struct error *reterr)
{
    if (strlen(text) > LONGEST_URL)
        return error_set(reterr, ERROR_REJECTED, "redis", 0, "the Redis URL is longer than %d bytes",
                         LONGEST_URL);
    if (strncmp(text, "rediss://", 9) == 0)
        return error_set(reterr, ERROR_REJECTED, "redis", 0,
                         "this build cannot speak TLS to Redis (rediss://): use redis:// through a TLS proxy "
                         "such as stunnel on this host, or a unix: socket");
    if (strncmp(text, "unix:", 5) == 0) {
        const char *path = strncmp(text, "unix://", 7) == 0 ? text + 7 : text + 5;
        if (path[0] == '\0')
            return error_set(reterr, ERROR_REJECTED, "redis", 0, "the Redis URL names no socket: " FORM);
        url->path = base_strdup(path);
        return true;
    }
    if (strncmp(text, "redis://", 8) == 0)
        return read_tcp(text + 8, url, reterr);
    return error_set(reterr, ERROR_REJECTED, "redis", 0, "the Redis URL has an unknown scheme: " FORM);
}

bool url_parse(const char *text, struct url *ret, struct error *reterr)
{
    struct url url = {0};
    if (!parse(text, &url, reterr)) {
        url_release(&url);
        return false;
    }
    char **texts[] = {&url.path, &url.host, &url.user, &url.password};
    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++)
        if (!*texts[i])
            *texts[i] = base_strdup("");
    *ret = url;
    return true;
}
