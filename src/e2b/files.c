/* Files in a sandbox: contents over plain HTTP, everything about them over Connect. */
#include "e2b/answers.h"
#include "e2b/operation.h"
#include "e2b/rpc.h"
#include "e2b/sandbox.h"
#include "e2b/text.h"

#include "base/quoted.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRANSFER_MS = 60000,
    CALL_MS = 10000,
    IDLE_MS = 60000, /* a transfer in which nothing moves */
    ARENA_BYTES = 512,
};

static bool is_good_path(const char *path)
{
    return text_is_good(path) && *path && text_is_header_safe(path);
}

static const char bad_path[] = "a path is missing, not UTF-8, or holds control characters";

/* ---- write ---- */

struct files_write {
    struct e2b_operation operation;
    struct bytes *pieces; /* of the request's body: heads in `text`, contents of the caller's */
    struct buffer text;   /* the multipart's heads and its end, one after the other */
    char type_line[96];
};

static void write_release(struct e2b_operation *operation)
{
    struct files_write *write = (struct files_write *)operation;
    free(write->pieces);
    buffer_release(&write->text);
}

static void append_quoted(struct buffer *out, const char *path)
{
    for (; *path; path++) {
        if (*path == '"' || *path == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, *path);
    }
}

/* One part a file: its path goes as the part's file name. Contents are sent from where they lie. */
static size_t write_multipart(struct files_write *write, const struct e2b_file *files, size_t count)
{
    struct random random;
    char boundary[RANDOM_UUID_SIZE];
    size_t *ends = base_alloc((count + 1) * sizeof *ends);
    random_init(&random); /* 122 bits that no content knows beforehand */
    random_uuid(&random, boundary);
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(&write->text,
                             "%s--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"",
                             i > 0 ? "\r\n" : "", boundary);
        append_quoted(&write->text, files[i].path);
        buffer_append_text(&write->text, "\"\r\nContent-Type: application/octet-stream\r\n\r\n");
        ends[i] = write->text.length;
    }
    buffer_append_format(&write->text, "\r\n--%s--\r\n", boundary);
    ends[count] = write->text.length;
    write->pieces = base_alloc((2 * count + 1) * sizeof *write->pieces);
    for (size_t i = 0; i <= count; i++) {
        size_t start = i > 0 ? ends[i - 1] : 0;
        write->pieces[2 * i] = (struct bytes){.data = write->text.data + start, .length = ends[i] - start};
        if (i < count)
            write->pieces[2 * i + 1] =
                (struct bytes){.data = files[i].content.data, .length = files[i].content.length};
    }
    free(ends);
    (void)snprintf(write->type_line, sizeof write->type_line,
                   "Content-Type: multipart/form-data; boundary=%s", boundary);
    return 2 * count + 1;
}

static size_t write_single(struct files_write *write, const struct e2b_file *file, struct buffer *url)
{
    buffer_append_text(url, "?path=");
    text_append_percent(url, file->path);
    write->pieces = base_alloc(sizeof *write->pieces);
    *write->pieces = (struct bytes){.data = file->content.data, .length = file->content.length};
    (void)snprintf(write->type_line, sizeof write->type_line, "Content-Type: application/octet-stream");
    return 1;
}

void e2b_files_write(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_file *files,
                     size_t count, e2b_done_fn done)
{
    struct files_write *write = operation_new(sandbox->client, call, sizeof *write,
                                              (struct done){.kind = DONE_PLAIN, .plain = done}, TRANSFER_MS);
    struct e2b_operation *operation = &write->operation;
    struct buffer CLEANUP(buffer_release) url = {0};
    struct sandbox_lines lines;
    operation->place = PLACE_ENVD;
    operation->sandbox = sandbox;
    operation->answered = operation_answered_plainly;
    operation->release = write_release;
    for (size_t i = 0; i < count; i++)
        if (!is_good_path(files[i].path)) {
            operation_refuse(operation, bad_path);
            return;
        }
    if (count == 0) {
        operation_refuse(operation, "there is no file to write");
        return;
    }
    sandbox_route(sandbox, SANDBOX_ENVD, &url, &lines);
    buffer_append_text(&url, "/files");
    size_t pieces = count == 1 ? write_single(write, files, &url) : write_multipart(write, files, count);
    sandbox_add_line(&lines, write->type_line);
    struct http_request request = {.method = HTTP_POST,
                                   .url = url.data,
                                   .headers = lines.items,
                                   .header_count = lines.count,
                                   .pieces = write->pieces,
                                   .piece_count = pieces,
                                   .idle_ms = IDLE_MS,
                                   .is_repeatable = true};
    operation_send(operation, sandbox->client->envd, &request);
}

/* ---- read ---- */

struct file_read {
    struct e2b_operation operation;
    e2b_bytes_fn bytes;
};

static void read_pump(struct e2b_operation *operation, struct bytes chunk)
{
    struct file_read *read = (struct file_read *)operation;
    if (read->bytes)
        read->bytes(operation->call, (struct e2b_bytes){.data = chunk.data, .length = chunk.length});
}

static bool read_concluded(struct e2b_operation *operation)
{
    if (operation->failure)
        return false;
    operation_succeed(operation, NULL);
    return true;
}

void e2b_file_read(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_bytes_fn bytes,
                   e2b_done_fn done)
{
    struct file_read *read = operation_new(sandbox->client, call, sizeof *read,
                                           (struct done){.kind = DONE_PLAIN, .plain = done}, TRANSFER_MS);
    struct e2b_operation *operation = &read->operation;
    struct buffer CLEANUP(buffer_release) url = {0};
    struct sandbox_lines lines;
    operation->place = PLACE_ENVD;
    operation->sandbox = sandbox;
    operation->pump = read_pump;
    operation->concluded = read_concluded;
    read->bytes = bytes;
    if (!is_good_path(path)) {
        operation_refuse(operation, bad_path);
        return;
    }
    sandbox_route(sandbox, SANDBOX_ENVD, &url, &lines);
    buffer_append_text(&url, "/files?path=");
    text_append_percent(&url, path);
    /* Not repeatable: what was told cannot be taken back, and the caller knows what it has. */
    struct http_request request = {.method = HTTP_GET,
                                   .url = url.data,
                                   .headers = lines.items,
                                   .header_count = lines.count,
                                   .idle_ms = IDLE_MS};
    operation_send(operation, sandbox->client->envd, &request);
}

/* ---- about files ---- */

static void stat_answered(struct e2b_operation *operation, const struct http_response *response)
{
    struct arena CLEANUP(arena_release) arena;
    struct e2b_file_info info;
    arena_init(&arena, ARENA_BYTES);
    if (answers_file(response->body, &arena, &info))
        operation_succeed(operation, &info);
    else
        operation_fail_nonsense(operation, response);
}

static void list_answered(struct e2b_operation *operation, const struct http_response *response)
{
    struct arena CLEANUP(arena_release) arena;
    struct e2b_file_page page;
    arena_init(&arena, response->body.length + ARENA_BYTES);
    if (answers_files(response->body, &arena, &page))
        operation_succeed(operation, &page);
    else
        operation_fail_nonsense(operation, response);
}

/* A call that takes {"path": ...}. more: further fields, or "". */
static void call_by_path(struct e2b_operation *operation, struct e2b_sandbox *sandbox, const char *method,
                         const char *path, const char *more)
{
    operation->place = PLACE_ENVD;
    operation->sandbox = sandbox;
    if (!is_good_path(path)) {
        operation_refuse(operation, bad_path);
        return;
    }
    buffer_append_text(&operation->body, "{\"path\":");
    quoted_append_text(&operation->body, path);
    buffer_append_text(&operation->body, more);
    buffer_append_byte(&operation->body, '}');
    rpc_send(operation, method, RPC_REPEATABLE);
}

void e2b_file_stat(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_file_fn done)
{
    struct e2b_operation *operation = operation_new(sandbox->client, call, sizeof *operation,
                                                    (struct done){.kind = DONE_FILE, .file = done}, CALL_MS);
    operation->answered = stat_answered;
    call_by_path(operation, sandbox, "/filesystem.Filesystem/Stat", path, "");
}

void e2b_file_list(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, unsigned depth,
                   e2b_files_fn done)
{
    struct e2b_operation *operation = operation_new(
        sandbox->client, call, sizeof *operation, (struct done){.kind = DONE_FILES, .files = done}, CALL_MS);
    char more[32];
    (void)snprintf(more, sizeof more, ",\"depth\":%u", depth > 0 ? depth : 1);
    operation->answered = list_answered;
    call_by_path(operation, sandbox, "/filesystem.Filesystem/ListDir", path, more);
}

void e2b_file_remove(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_done_fn done)
{
    struct e2b_operation *operation = operation_new(
        sandbox->client, call, sizeof *operation, (struct done){.kind = DONE_PLAIN, .plain = done}, CALL_MS);
    operation->answered = operation_answered_plainly;
    call_by_path(operation, sandbox, "/filesystem.Filesystem/Remove", path, "");
}
