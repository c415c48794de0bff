/* GET and POST /files, POST /files/compose. */
#include "envd.h"

#include "answer.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/digest.h"
#include "http/server.h"
#include "multipart.h"
#include "path.h"
#include "sandbox.h"
#include "service.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { METADATA_BYTES = 4096 };

/* ---- who may ---- */

static void sign(const char *text, struct buffer *out)
{
    char hex[DIGEST_HEX_SIZE];
    unsigned char raw[32];
    digest_sha256_hex((struct bytes){text, strlen(text)}, hex);
    for (size_t i = 0; i < sizeof raw; i++) {
        unsigned byte = 0;
        (void)sscanf(hex + 2 * i, "%2x", &byte);
        raw[i] = (unsigned char)byte;
    }
    buffer_append_text(out, "v1_");
    base64_encode((struct bytes){raw, sizeof raw}, out);
    while (out->length > 0 && out->data[out->length - 1] == '=')
        out->data[--out->length] = '\0';
}

static const char *judge_signature(const struct sandbox *sandbox, struct http_exchange *exchange,
                                   const char *operation)
{
    const char *signature = http_exchange_query(exchange, "signature");
    const char *expiry = http_exchange_query(exchange, "signature_expiration");
    const char *path = http_exchange_query(exchange, "path"),
               *user = http_exchange_query(exchange, "username");
    if (!signature)
        return "missing signature query parameter";
    CLEANUP(base_freep)
    char *text = base_printf("%s:%s:%s:%s%s%s", path ? path : "", operation, user ? user : "", sandbox->token,
                             expiry ? ":" : "", expiry ? expiry : "");
    struct buffer wanted = {0};
    sign(text, &wanted);
    bool is_right = strcmp(wanted.data, signature) == 0;
    buffer_release(&wanted);
    if (!is_right)
        return "invalid signature";
    return expiry && strtoll(expiry, NULL, 10) < clock_unix_ms() / 1000 ? "signature is already expired"
                                                                        : NULL;
}

/* Returns: false, the exchange answered. */
static bool may_touch(struct sandbox *sandbox, struct http_exchange *exchange, const char *operation)
{
    const char *user = http_exchange_query(exchange, "username");
    if (!envd_has_token(sandbox, exchange)) {
        if (http_exchange_header(exchange, "X-Access-Token")) {
            envd_refuse(exchange);
            return false;
        }
        const char *refusal = judge_signature(sandbox, exchange, operation);
        if (refusal) {
            answer_error(exchange, 401, "%s", refusal);
            return false;
        }
    }
    if (user && *user && strcmp(user, "user") != 0 && strcmp(user, "root") != 0) {
        answer_error(exchange, 401, "error looking up user '%s': user: unknown user %s", user, user);
        return false;
    }
    return true;
}

/* ---- download ---- */

static const char *guess_type(const char *name)
{
    static const struct {
        const char *suffix, *type;
    } rows[] = {{".txt", "text/plain; charset=utf-8"},
                {".html", "text/html; charset=utf-8"},
                {".json", "application/json"},
                {".csv", "text/csv; charset=utf-8"},
                {".png", "image/png"},
                {".jpg", "image/jpeg"},
                {".svg", "image/svg+xml"},
                {".pdf", "application/pdf"}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < ARRAY_LENGTH(rows); i++)
        if (strcmp(rows[i].suffix, dot) == 0)
            return rows[i].type;
    return "application/octet-stream";
}

struct range {
    uint64_t offset, length;
    bool is_partial;
};

/* "bytes=a-b", "bytes=a-", "bytes=-n". Returns: false when it lies outside the file; other forms ask for all
 * of it. */
static bool decode_range(const char *text, uint64_t size, struct range *ret)
{
    unsigned long long first = 0, last = 0;
    int end = 0;
    *ret = (struct range){.length = size};
    if (!text || strchr(text, ','))
        return true;
    if (sscanf(text, "bytes=-%llu", &last) == 1) {
        ret->length = MIN((uint64_t)last, size);
        ret->offset = size - ret->length;
    } else if (sscanf(text, "bytes=%llu-%n", &first, &end) == 1 && end > 0) {
        if (first >= size)
            return false;
        if (sscanf(text + end, "%llu", &last) != 1 || last >= size)
            last = size - 1;
        ret->offset = first;
        ret->length = last >= first ? last - first + 1 : size - first;
    } else {
        return true;
    }
    ret->is_partial = true;
    return true;
}

static void send_file(struct http_exchange *exchange, const char *path, int fd, const struct stat *status)
{
    const char *name = strrchr(path, '/') + 1;
    struct range range;
    char text[128];
    if (!decode_range(http_exchange_header(exchange, "Range"), (uint64_t)status->st_size, &range)) {
        (void)close(fd);
        answer_text(exchange, 416, "invalid range: failed to overlap\n");
        return;
    }
    CLEANUP(base_freep) char *disposition = base_printf("inline; filename=%s", name);
    http_exchange_set_header(exchange, "Accept-Ranges", "bytes");
    http_exchange_set_header(exchange, "Content-Disposition", disposition);
    http_exchange_set_header(exchange, "Content-Type", guess_type(name));
    struct tm time;
    (void)gmtime_r(&status->st_mtime, &time);
    (void)strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &time);
    http_exchange_set_header(exchange, "Last-Modified", text);
    if (range.is_partial) {
        (void)snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)range.offset,
                       (unsigned long long)(range.offset + range.length - 1),
                       (unsigned long long)status->st_size);
        http_exchange_set_header(exchange, "Content-Range", text);
    }
    http_exchange_reply_file(exchange, range.is_partial ? 206 : 200, fd, range.offset, range.length);
}

static void download(struct sandbox *sandbox, struct http_exchange *exchange)
{
    const char *given = http_exchange_query(exchange, "path");
    CLEANUP(base_freep) char *path = path_normalize(given ? given : "");
    /* O_NONBLOCK: a named pipe must not make the service wait. */
    int fd = path_open(sandbox, path, O_RDONLY | O_NONBLOCK, 0);
    struct stat status;
    if (fd < 0 || fstat(fd, &status) != 0) {
        answer_error(exchange, errno == ENOENT || errno == ENOTDIR ? 404 : 500,
                     errno == ENOENT || errno == ENOTDIR ? "path '%s' does not exist"
                                                         : "error opening file '%s'",
                     path);
        return;
    }
    if (!S_ISREG(status.st_mode)) {
        (void)close(fd);
        answer_error(exchange, 400,
                     S_ISDIR(status.st_mode) ? "path '%s' is a directory" : "path '%s' is no file", path);
        return;
    }
    sandbox->service->stats.files_read++;
    send_file(exchange, path, fd, &status);
}

/* ---- upload ---- */

struct upload {
    struct sandbox *sandbox;
    struct http_exchange *exchange;
    json_t *metadata, *written;
    size_t metadata_bytes;
};

static void collect_metadata(void *arg, const char *name, const char *value)
{
    static const char prefix[] = "X-Metadata-";
    struct upload *upload = arg;
    if (strncasecmp(name, prefix, sizeof prefix - 1) != 0)
        return;
    CLEANUP(base_freep) char *key = base_strdup(name + sizeof prefix - 1);
    for (char *c = key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    upload->metadata_bytes += strlen(key) + strlen(value);
    json_object_set_new(upload->metadata, key, json_string(value));
}

static void set_attributes(int fd, const json_t *metadata)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)metadata, key, value)
    {
        CLEANUP(base_freep) char *name = base_printf("user.e2b.%s", key);
        (void)fsetxattr(fd, name, json_string_value(value), json_string_length(value), 0);
    }
}

void envd_refuse_write(struct http_exchange *exchange, const char *path)
{
    if (errno == EISDIR)
        answer_error(exchange, 400, "path is a directory: %s", path);
    else if (errno == ENOSPC || errno == EDQUOT)
        answer_error(exchange, 507, "not enough disk space available");
    else
        answer_error(exchange, 500, "error opening file: open %s: %s", path, strerror(errno));
}

bool envd_write_all(int fd, struct bytes data)
{
    const char *bytes = data.data;
    for (size_t done = 0; done < data.length;) {
        ssize_t written = write(fd, bytes + done, data.length - done);
        if (written < 0 && errno != EINTR)
            return false;
        done += written > 0 ? (size_t)written : 0;
    }
    return true;
}

json_t *envd_encode_written(const char *path, const json_t *metadata)
{
    json_t *row = json_object();
    if (json_object_size(metadata) > 0)
        json_object_set(row, "metadata", (json_t *)(uintptr_t)metadata);
    json_object_set_new(row, "name", json_string(strrchr(path, '/') + 1));
    json_object_set_new(row, "path", json_string(path));
    json_object_set_new(row, "type", json_string("file"));
    return row;
}

bool envd_make_parent(struct sandbox *sandbox, const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(base_freep)
    char *folder = slash == path ? base_strdup("/") : base_strndup(path, (size_t)(slash - path));
    return path_make_folders(sandbox, folder, NULL);
}

/* Returns: false, the exchange answered. */
static bool write_file(struct upload *upload, const char *given, struct bytes data)
{
    CLEANUP(base_freep) char *path = path_normalize(given);
    int fd = -1;
    if (envd_make_parent(upload->sandbox, path))
        fd = path_open(upload->sandbox, path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, 0666);
    bool is_written = fd >= 0 && envd_write_all(fd, data);
    if (is_written)
        set_attributes(fd, upload->metadata);
    if (!is_written)
        envd_refuse_write(upload->exchange, path);
    if (fd >= 0)
        (void)close(fd);
    if (is_written) {
        upload->sandbox->service->stats.files_written++;
        json_array_append_new(upload->written, envd_encode_written(path, upload->metadata));
    }
    return is_written;
}

static bool write_parts(struct upload *upload, const char *path, const char *type)
{
    CLEANUP(base_freep) char *boundary = multipart_boundary(type);
    struct bytes rest = http_exchange_body(upload->exchange);
    struct multipart_part part;
    bool is_written = true;
    while (is_written && boundary && multipart_next(&rest, boundary, &part)) {
        const char *target = path && *path ? path : part.filename;
        if (part.name && strcmp(part.name, "file") == 0) {
            is_written = target && write_file(upload, target, part.data);
            if (!target)
                answer_error(upload->exchange, 400, "a part has neither a path nor a filename");
        }
        multipart_part_release(&part);
    }
    return is_written;
}

/* Returns: false, the exchange answered. */
static bool take_upload(struct upload *upload)
{
    struct http_exchange *exchange = upload->exchange;
    const char *path = http_exchange_query(exchange, "path");
    const char *type = http_exchange_header(exchange, "Content-Type");
    if (upload->metadata_bytes > METADATA_BYTES) {
        answer_error(exchange, 400, "metadata is larger than %d bytes", METADATA_BYTES);
        return false;
    }
    if (http_exchange_header(exchange, "Content-Encoding")) {
        answer_error(exchange, 400, "unsupported content encoding: e2b-local takes files as they are");
        return false;
    }
    if (type && strncmp(type, "multipart/form-data", 19) == 0)
        return write_parts(upload, path, type);
    if (!type || strncmp(type, "application/octet-stream", 24) != 0) {
        answer_error(exchange, 400,
                     "unsupported content type: %s, expected multipart/form-data or application/octet-stream",
                     type ? type : "");
        return false;
    }
    if (!path || !*path) {
        answer_error(exchange, 400, "path query parameter is required for raw body upload");
        return false;
    }
    return write_file(upload, path, http_exchange_body(exchange));
}

static void upload_files(struct sandbox *sandbox, struct http_exchange *exchange)
{
    struct upload upload = {
        .sandbox = sandbox, .exchange = exchange, .metadata = json_object(), .written = json_array()};
    http_exchange_each_header(exchange, collect_metadata, &upload);
    if (take_upload(&upload)) {
        CLEANUP(base_freep) char *text = json_dumps(upload.written, JSON_COMPACT);
        answer_text(exchange, 200, "%s", text);
    }
    json_decref(upload.metadata);
    json_decref(upload.written);
}

void envd_files_handle(struct sandbox *sandbox, struct http_exchange *exchange)
{
    const char *method = http_exchange_method(exchange);
    bool is_get = strcmp(method, "GET") == 0;
    if (!is_get && strcmp(method, "POST") != 0) {
        answer_text(exchange, 405, "method not allowed\n");
        return;
    }
    if (!may_touch(sandbox, exchange, is_get ? "read" : "write"))
        return;
    if (is_get)
        download(sandbox, exchange);
    else
        upload_files(sandbox, exchange);
}
