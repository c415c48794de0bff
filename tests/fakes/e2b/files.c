/* Files: write, read, list. */
#include "fakes/e2b/inside.h"

#include <stdlib.h>
#include <string.h>

enum { DATA_TIMEOUT_MS = 60000, LIST_TIMEOUT_MS = 10000, LISTED_MAX = 256 };

static void do_write(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    for (size_t i = 0; i < request->count; i++)
        place_write(place, request->paths[i], buffer_bytes(&request->contents[i]));
    request_done(request);
}

void e2b_files_write(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_file *files,
                     size_t count, e2b_done_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_WRITE, DATA_TIMEOUT_MS);
    struct e2b_request *request = operation->request;
    operation->on.done = done;
    request->count = count;
    request->paths = base_alloc(sizeof *request->paths * count);
    request->contents = base_alloc(sizeof *request->contents * count);
    for (size_t i = 0; i < count; i++) {
        request->paths[i] = base_strdup(files[i].path);
        buffer_append(&request->contents[i], files[i].content.data, files[i].content.length);
    }
    operation_run(operation, do_write);
}

static void do_read(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    const struct stored_file *file = place_file(place, request->text);
    if (!file) {
        request_fail(request, E2B_ERROR_NOT_FOUND, "no such file");
        return;
    }
    struct letter *letter = letter_new(LETTER_BYTES);
    struct bytes content = buffer_bytes(&file->content);
    if (content.length > 0)
        content.data = arena_copy(&letter->arena, content.data, content.length);
    letter->is.bytes = (struct e2b_bytes){content.data, content.length};
    request_post(request, letter);
    request_done(request);
}

void e2b_file_read(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_bytes_fn bytes,
                   e2b_done_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_READ, DATA_TIMEOUT_MS);
    operation->request->text = base_strdup(path);
    operation->bytes = bytes;
    operation->on.done = done;
    operation_run(operation, do_read);
}

/* A process's record is a directory that only its wrapper makes. */
static void do_stat(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    const struct stored_file *file = place_file(place, request->text);
    const struct program *program = file ? NULL : program_find(place, request->text);
    if (!file && !program) {
        request_fail(request, E2B_ERROR_NOT_FOUND, "no such file");
        return;
    }
    struct letter *letter = letter_new(LETTER_FILE);
    const char *path = arena_strdup(&letter->arena, request->text);
    letter->is.file = (struct e2b_file_info){.name = path,
                                             .path = path,
                                             .kind = file ? E2B_FILE_REGULAR : E2B_FILE_DIRECTORY,
                                             .bytes = file ? (int64_t)file->content.length : 0};
    request_answer(request, letter);
}

void e2b_file_stat(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, e2b_file_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_STAT, LIST_TIMEOUT_MS);
    operation->request->text = base_strdup(path);
    operation->on.file = done;
    operation_run(operation, do_stat);
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

static void do_list(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    struct letter *letter = letter_new(LETTER_FILES);
    struct arena *arena = &letter->arena;
    struct e2b_file_info *items = ARENA_ARRAY(arena, struct e2b_file_info, LISTED_MAX);
    struct e2b_file_page page = {.items = items};
    const char *path = request->text;
    bool is_home = strcmp(path, ".") == 0 || path[0] == '\0';
    const char *directory = is_home          ? "/home/user"
                            : path[0] == '/' ? path
                                             : arena_printf(arena, "/home/user/%s", path);
    LIST_EACH(&place->files, link)
    {
        const struct stored_file *file = LIST_OBJECT(link, struct stored_file, link);
        unsigned depth = depth_below(directory, file->path);
        if (depth == 0 || depth > request->depth || page.count == LISTED_MAX)
            continue;
        const char *whole = arena_strdup(arena, file->path);
        items[page.count++] = (struct e2b_file_info){.name = strrchr(whole, '/') + 1,
                                                     .path = whole,
                                                     .kind = E2B_FILE_REGULAR,
                                                     .bytes = (int64_t)file->content.length,
                                                     .mode = 0644};
    }
    if (page.count == 0 && !is_home) {
        letter_free(letter);
        request_fail(request, E2B_ERROR_NOT_FOUND, "no such directory");
        return;
    }
    letter->is.files = page;
    request_answer(request, letter);
}

void e2b_file_list(struct e2b_sandbox *sandbox, struct e2b_call *call, const char *path, unsigned depth,
                   e2b_files_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_FILES, LIST_TIMEOUT_MS);
    operation->request->text = base_strdup(path);
    operation->request->depth = depth;
    operation->on.files = done;
    operation_run(operation, do_list);
}
