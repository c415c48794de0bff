/* Files: write, read, list. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { DATA_TIMEOUT_MS = 60000, LIST_TIMEOUT_MS = 10000, LISTED_MAX = 256 };

static void answer_write(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    for (size_t i = 0; i < operation->count; i++)
        place_write(place, operation->paths[i], buffer_bytes(&operation->contents[i]));
    e2b_done_fn done = operation->on.done;
    done(operation_end(operation), NULL);
}

void e2b_files_write(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_file *files,
                     size_t count, e2b_done_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_WRITE, DATA_TIMEOUT_MS);
    operation->on.done = done;
    operation->count = count;
    operation->paths = base_alloc(sizeof *operation->paths * count);
    operation->contents = base_alloc(sizeof *operation->contents * count);
    for (size_t i = 0; i < count; i++) {
        operation->paths[i] = base_strdup(files[i].path);
        buffer_append(&operation->contents[i], files[i].content.data, files[i].content.length);
    }
    operation_run(operation, answer_write);
}

static void answer_read(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    const struct stored_file *file = place_file(place, operation->text);
    if (!file) {
        operation_fail_kind(operation, E2B_ERROR_NOT_FOUND, "no such file");
        return;
    }
    operation->bytes(operation->call, (struct e2b_bytes){file->content.data, file->content.length});
    if (!operation->call)
        return;
    e2b_done_fn done = operation->on.done;
    done(operation_end(operation), NULL);
}

void e2b_file_read(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_bytes_fn bytes,
                   e2b_done_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_READ, DATA_TIMEOUT_MS);
    operation->text = base_strdup(path);
    operation->bytes = bytes;
    operation->on.done = done;
    operation_run(operation, answer_read);
}

/* A process's record is a directory that only its wrapper makes. */
static void answer_stat(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    const struct stored_file *file = place_file(place, operation->text);
    const struct program *program = file ? NULL : program_find(place, operation->text);
    if (!file && !program) {
        operation_fail_kind(operation, E2B_ERROR_NOT_FOUND, "no such file");
        return;
    }
    const struct e2b_file_info info = {.name = operation->text,
                                       .path = operation->text,
                                       .kind = file ? E2B_FILE_REGULAR : E2B_FILE_DIRECTORY,
                                       .bytes = file ? (int64_t)file->content.length : 0};
    e2b_file_fn done = operation->on.file;
    done(operation_end(operation), NULL, &info);
}

void e2b_file_stat(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_file_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_STAT, LIST_TIMEOUT_MS);
    operation->text = base_strdup(path);
    operation->on.file = done;
    operation_run(operation, answer_stat);
}

/* How many levels below the directory; 0: not below it. */
static unsigned depth_below(const char *directory, const char *path)
{
    size_t length = strlen(directory);
    if (strncmp(path, directory, length) != 0 || path[length] != '/')
        return 0;
    unsigned depth = 1;
    for (const char *p = path + length + 1; *p; p++)
        depth += *p == '/';
    return depth;
}

static void answer_files(struct e2b_operation *operation)
{
    struct e2b_file_info items[LISTED_MAX];
    struct e2b_file_page page = {.items = items};
    struct place *place = operation_place(operation);
    if (!place)
        return;
    const char *path = operation->text;
    bool is_home = strcmp(path, ".") == 0 || path[0] == '\0';
    CLEANUP(base_freep)
    char *directory = is_home          ? base_strdup("/home/user")
                      : path[0] == '/' ? base_strdup(path)
                                       : base_printf("/home/user/%s", path);
    LIST_EACH(&place->files, link)
    {
        struct stored_file *file = LIST_OBJECT(link, struct stored_file, link);
        unsigned depth = depth_below(directory, file->path);
        if (depth > 0 && depth <= operation->depth && page.count < LISTED_MAX)
            items[page.count++] = (struct e2b_file_info){.name = strrchr(file->path, '/') + 1,
                                                         .path = file->path,
                                                         .kind = E2B_FILE_REGULAR,
                                                         .bytes = (int64_t)file->content.length,
                                                         .mode = 0644};
    }
    if (page.count == 0 && !is_home) {
        operation_fail_kind(operation, E2B_ERROR_NOT_FOUND, "no such directory");
        return;
    }
    e2b_files_fn done = operation->on.files;
    done(operation_end(operation), NULL, &page);
}

void e2b_file_list(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, unsigned depth,
                   e2b_files_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_FILES, LIST_TIMEOUT_MS);
    operation->text = base_strdup(path);
    operation->depth = depth;
    operation->on.files = done;
    operation_run(operation, answer_files);
}
