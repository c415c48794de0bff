/* A job's input files and the globs of what it brings back. */
#include "base/base64.h"
#include "codec/job_fields.h"

#include <assert.h>
#include <string.h>

enum {
    FILES_MAX = 300,
    GLOBS_MAX = 32,
    PATH_BYTES_MAX = 1024,
    URL_BYTES_MAX = 4096,
    MODE_MAX = 0777,
};

struct file_draft {
    const char *path, *url, *sha256;
    struct bytes content;
    bool has_content, has_base64;
    unsigned mode;
};

static bool read_path(struct reader *reader, json_t *value, void *target)
{
    struct file_draft *file = target;
    if (!json_is_string(value))
        return reader_mismatch(reader, value, "a string");
    const char *path = json_string_value(value);
    if (strlen(path) != json_string_length(value) || !job_path_normalise(path, reader->arena, &file->path))
        return reader_fail(reader, CODE_FILE_PATH_INVALID,
                           "is no usable path: it must be 1 to %d bytes that name a file, without \"..\", "
                           "control characters or a slash at the end",
                           PATH_BYTES_MAX);
    return true;
}

static bool read_content(struct reader *reader, json_t *value, void *target)
{
    struct file_draft *file = target;
    file->has_content = true;
    return reader_text(reader, value, SIZE_MAX, &file->content);
}

static bool read_content_base64(struct reader *reader, json_t *value, void *target)
{
    struct file_draft *file = target;
    CLEANUP(buffer_release) struct buffer decoded = {0};
    if (!json_is_string(value))
        return reader_mismatch(reader, value, "a string");
    if (!base64_decode((struct bytes){json_string_value(value), json_string_length(value)}, &decoded))
        return reader_fail(
            reader, CODE_INVALID_JOB,
            "is no base64: the standard alphabet with padding and without line breaks is read");
    file->has_base64 = true;
    file->content = (struct bytes){arena_copy(reader->arena, decoded.data, decoded.length), decoded.length};
    return true;
}

static bool read_url(struct reader *reader, json_t *value, void *target)
{
    struct file_draft *file = target;
    reader_unsupported(reader, "a file by URL");
    return reader_line(reader, value, URL_BYTES_MAX, &file->url);
}

static bool read_sha256(struct reader *reader, json_t *value, void *target)
{
    struct file_draft *file = target;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    if (strlen(text) != 64 || strspn(text, "0123456789abcdefABCDEF") != 64)
        return reader_mismatch(reader, value, "a SHA-256 as 64 hexadecimal digits");
    file->sha256 = arena_strdup(reader->arena, text);
    return true;
}

/* "0644" and "755" are octal as with chmod; a number is taken as it is, since JSON has no octal. */
static bool read_mode(struct reader *reader, json_t *value, void *target)
{
    struct file_draft *file = target;
    int64_t mode = 0;
    if (json_is_integer(value)) {
        if (!reader_integer(reader, value, 1, MODE_MAX, &mode))
            return false;
        file->mode = (unsigned)mode;
        return true;
    }
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    text += *text == '0';
    if (strlen(text) != 3 || strspn(text, "01234567") != 3 || strcmp(text, "000") == 0)
        return reader_mismatch(reader, value, "an octal string from \"001\" to \"0777\"");
    for (; *text; text++)
        file->mode = file->mode * 8 + (unsigned)(*text - '0');
    return true;
}

static const struct field file_fields[] = {
    {.name = "path", .read = read_path, .is_required = true},
    {.name = "content", .read = read_content},
    {.name = "content_base64", .read = read_content_base64},
    {.name = "url", .read = read_url},
    {.name = "sha256", .read = read_sha256},
    {.name = "mode", .read = read_mode},
};

static const char *misspelt(struct reader *reader, const json_t *value, const char *name)
{
    return reader_misspelt(reader, value, file_fields, ARRAY_LENGTH(file_fields), name);
}

/* There is one source of its content, and whoever is to fetch it can check what came. */
static bool check_source(struct reader *reader, const json_t *value, const struct file_draft *file)
{
    static const char *const names[] = {"content", "content_base64", "url"};
    int sources = file->has_content + file->has_base64 + (file->url != NULL);
    const char *hint = "";
    for (size_t i = 0; i < ARRAY_LENGTH(names) && sources == 0 && *hint == '\0'; i++)
        hint = misspelt(reader, value, names[i]);
    if (sources != 1)
        return reader_fail(reader, CODE_INVALID_JOB,
                           "needs exactly one of \"content\", \"content_base64\" and \"url\", found %d%s",
                           sources, hint);
    if (file->url && !file->sha256)
        return reader_fail(reader, CODE_INVALID_JOB, "a file by \"url\" needs its \"sha256\"%s",
                           misspelt(reader, value, "sha256"));
    return true;
}

static bool read_file(struct reader *reader, json_t *value, struct input_file *ret)
{
    struct file_draft file = {0};
    if (!reader_object(reader, value, file_fields, ARRAY_LENGTH(file_fields), &file) ||
        !check_source(reader, value, &file))
        return false;
    *ret = (struct input_file){.path = file.path, .content = file.content, .mode = file.mode};
    return true;
}

/* Whether both are the same, or one is a directory on the other's way. */
static bool is_conflict(const char *a, const char *b)
{
    assert(a && b); /* required */
    size_t a_length = strlen(a), b_length = strlen(b), shorter = MIN(a_length, b_length);
    if (strncmp(a, b, shorter) != 0)
        return false;
    return a_length == b_length || (a_length < b_length ? b : a)[shorter] == '/';
}

static bool check_conflicts(struct reader *reader, const struct input_file *files, size_t last)
{
    for (size_t i = 0; i < last; i++)
        if (is_conflict(files[i].path, files[last].path))
            return reader_fail(
                reader, CODE_FILE_CONFLICT,
                "is in conflict with /files/%zu (%.100s): the same path, or one is a directory "
                "on the other's way",
                i, files[i].path);
    return true;
}

bool job_files_read(struct reader *reader, json_t *value, void *target)
{
    struct job *job = ((struct job_draft *)target)->job;
    if (!reader_array(reader, value, FILES_MAX))
        return false;
    size_t count = json_array_size(value);
    struct input_file *files = ARENA_ARRAY(reader->arena, struct input_file, count);
    for (size_t i = 0; i < count; i++) {
        reader_enter(reader, NULL, i);
        if (!read_file(reader, json_array_get(value, i), &files[i]) || !check_conflicts(reader, files, i))
            return false;
        reader_leave(reader);
    }
    job->files = files;
    job->file_count = count;
    return true;
}

static bool has_parent_segment(const char *path)
{
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && path[0] == '.' && path[1] == '.')
            return true;
        path += length;
        path += *path == '/';
    }
    return false;
}

bool job_artifacts_read(struct reader *reader, json_t *value, void *target)
{
    struct job *job = ((struct job_draft *)target)->job;
    struct text_list globs;
    if (!reader_lines(reader, value, GLOBS_MAX, PATH_BYTES_MAX, &globs))
        return false;
    for (size_t i = 0; i < globs.count; i++) {
        reader_enter(reader, NULL, i);
        if (*globs.items[i] == '\0' || has_parent_segment(globs.items[i]))
            return reader_fail(reader, CODE_FILE_PATH_INVALID,
                               "must be a glob such as \"out/*.csv\", not empty and without \"..\"");
        reader_leave(reader);
    }
    job->artifacts = globs;
    return true;
}
