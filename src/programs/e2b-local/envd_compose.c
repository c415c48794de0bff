/* POST /files/compose: several files become one. */
#include "envd.h"

#include "answer.h"
#include "http/server.h"
#include "path.h"
#include "sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool append_source(struct sandbox *sandbox, struct http_exchange *exchange, const char *path,
                          int target)
{
    int fd = path_open(sandbox, path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0) {
        answer_error(exchange, 404, "source file not found: %s", path);
        return false;
    }
    char data[32 * 1024];
    ssize_t length;
    bool is_written = true;
    while (is_written && (length = read(fd, data, sizeof data)) > 0)
        is_written = envd_write_all(target, (struct bytes){data, (size_t)length});
    (void)close(fd);
    if (!is_written)
        envd_refuse_write(exchange, path);
    return is_written;
}

static void remove_sources(struct sandbox *sandbox, const json_t *sources)
{
    for (size_t i = 0; i < json_array_size(sources); i++) {
        CLEANUP(base_freep) char *path = path_normalize(json_string_value(json_array_get(sources, i)));
        const char *name;
        int parent = path_open_parent(sandbox, path, &name);
        if (parent < 0)
            continue;
        (void)unlinkat(parent, name, 0);
        (void)close(parent);
    }
}

static bool are_texts(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_string(json_array_get(list, i)))
            return false;
    return json_array_size(list) > 0;
}

static bool append_sources(struct sandbox *sandbox, struct http_exchange *exchange, const json_t *sources,
                           int target)
{
    for (size_t i = 0; i < json_array_size(sources); i++) {
        CLEANUP(base_freep) char *path = path_normalize(json_string_value(json_array_get(sources, i)));
        if (!append_source(sandbox, exchange, path, target))
            return false;
    }
    return true;
}

void envd_compose(struct sandbox *sandbox, struct http_exchange *exchange)
{
    json_auto_t *body = answer_parse_body(exchange);
    if (!body)
        return;
    json_t *sources = json_object_get(body, "source_paths");
    const char *given = json_string_value(json_object_get(body, "destination")), *name;
    if (!given || !are_texts(sources)) {
        answer_error(exchange, 400, "source_paths and destination are required");
        return;
    }
    CLEANUP(base_freep) char *path = path_normalize(given);
    int parent = envd_make_parent(sandbox, path) ? path_open_parent(sandbox, path, &name) : -1;
    CLEANUP(base_freep) char *part = base_printf(".%s.part", parent < 0 ? "" : name);
    int target =
        parent < 0 ? -1 : openat(parent, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (target < 0) {
        envd_refuse_write(exchange, path);
    } else if (!append_sources(sandbox, exchange, sources, target)) {
        (void)unlinkat(parent, part, 0);
    } else if (renameat(parent, part, parent, name) != 0) {
        envd_refuse_write(exchange, path);
        (void)unlinkat(parent, part, 0);
    } else {
        remove_sources(sandbox, sources);
        answer_json(exchange, 200, envd_encode_written(path, NULL));
    }
    if (target >= 0)
        (void)close(target);
    if (parent >= 0)
        (void)close(parent);
}
