/* filesystem.Filesystem over Connect: the unary calls. */
#include "envd.h"

#include "http/server.h"
#include "path.h"
#include "sandbox.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { MAX_DEPTH = 64, MAX_ENTRIES = 20000 };

/* ---- entries ---- */

static void format_permissions(mode_t mode, char text[11])
{
    static const char letters[] = "rwxrwxrwx";
    text[0] = S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'L' : '-';
    for (int i = 0; i < 9; i++)
        text[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
    text[10] = '\0';
}

static const char *type_name(mode_t mode)
{
    return S_ISDIR(mode) ? "FILE_TYPE_DIRECTORY" : S_ISLNK(mode) ? "FILE_TYPE_SYMLINK" : "FILE_TYPE_FILE";
}

static json_t *read_metadata(int folder, const char *name)
{
    static const char prefix[] = "user.e2b.";
    char list[8192], path[PATH_MAX], value[4096];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", folder, name);
    ssize_t length = llistxattr(path, list, sizeof list);
    json_t *metadata = json_object();
    for (ssize_t i = 0; i < length; i += (ssize_t)strlen(list + i) + 1) {
        if (strncmp(list + i, prefix, sizeof prefix - 1) != 0)
            continue;
        ssize_t size = lgetxattr(path, list + i, value, sizeof value);
        if (size >= 0)
            json_object_set_new(metadata, list + i + sizeof prefix - 1, json_stringn(value, (size_t)size));
    }
    return metadata;
}

/* Returns: NULL when it is not there. */
static json_t *encode_entry(int folder, const char *name, const char *path)
{
    struct stat status;
    char permissions[11], size[32], day[32], modified[64], target[PATH_MAX];
    if (fstatat(folder, *name ? name : ".", &status, AT_SYMLINK_NOFOLLOW) != 0)
        return NULL;
    struct tm time;
    (void)gmtime_r(&status.st_mtim.tv_sec, &time);
    (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &time);
    (void)snprintf(modified, sizeof modified, "%s.%09ldZ", day, status.st_mtim.tv_nsec);
    (void)snprintf(size, sizeof size, "%lld", (long long)status.st_size);
    format_permissions(status.st_mode, permissions);
    json_t *entry = json_pack("{s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:s,s:s}", "name", *name ? name : "/", "type",
                              type_name(status.st_mode), "path", path, "size", size, "mode",
                              (int)(status.st_mode & 07777), "permissions", permissions, "owner", "user",
                              "group", "user", "modifiedTime", modified);
    if (!entry) /* a name that is no UTF-8 has no place in JSON */
        return NULL;
    ssize_t length = S_ISLNK(status.st_mode) ? readlinkat(folder, name, target, sizeof target) : -1;
    if (length >= 0)
        json_object_set_new(entry, "symlinkTarget", json_stringn(target, (size_t)length));
    json_t *metadata = S_ISREG(status.st_mode) ? read_metadata(folder, name) : json_object();
    if (json_object_size(metadata) > 0)
        json_object_set(entry, "metadata", metadata);
    json_decref(metadata);
    return entry;
}

static json_t *encode_path(struct sandbox *sandbox, const char *path)
{
    const char *name;
    int folder = path_open_parent(sandbox, path, &name);
    if (folder < 0)
        return NULL;
    json_t *entry = encode_entry(folder, name, path);
    (void)close(folder);
    return entry;
}

/* ---- calls ---- */

static void answer_entry(struct sandbox *sandbox, struct http_exchange *exchange, const char *path)
{
    json_t *entry = encode_path(sandbox, path);
    if (entry)
        envd_answer(exchange, json_pack("{s:o}", "entry", entry));
    else
        envd_answer_error(exchange, "not_found", "file not found: lstat %s: no such file or directory", path);
}

static void make_folder(struct sandbox *sandbox, struct http_exchange *exchange, const char *path)
{
    bool is_new = false;
    if (!path_make_folders(sandbox, path, &is_new))
        envd_answer_error(exchange, errno == ENOTDIR ? "invalid_argument" : "internal",
                          "path already exists but it is not a directory: %s", path);
    else if (!is_new)
        envd_answer_error(exchange, "already_exists", "directory already exists: %s", path);
    else
        answer_entry(sandbox, exchange, path);
}

static void move(struct sandbox *sandbox, struct http_exchange *exchange, const char *source,
                 const char *target)
{
    const char *source_name, *target_name, *slash = strrchr(target, '/');
    CLEANUP(base_freep)
    char *folder = slash == target ? base_strdup("/") : base_strndup(target, (size_t)(slash - target));
    int from = path_open_parent(sandbox, source, &source_name);
    int to = path_make_folders(sandbox, folder, NULL) ? path_open_parent(sandbox, target, &target_name) : -1;
    bool is_moved = from >= 0 && to >= 0 && renameat(from, source_name, to, target_name) == 0;
    int why = errno;
    if (from >= 0)
        (void)close(from);
    if (to >= 0)
        (void)close(to);
    if (is_moved)
        answer_entry(sandbox, exchange, target);
    else
        envd_answer_error(exchange, why == ENOENT ? "not_found" : "internal",
                          why == ENOENT ? "source file not found: %s" : "error renaming: %s", source);
}

static void remove_path(struct sandbox *sandbox, struct http_exchange *exchange, const char *path)
{
    const char *name;
    int folder = path_open_parent(sandbox, path, &name);
    bool is_removed = folder < 0 || !*name || tree_remove_at(folder, name);
    if (folder >= 0)
        (void)close(folder);
    if (is_removed)
        envd_answer(exchange, json_object());
    else
        envd_answer_error(exchange, "internal", "error removing file or directory: %s", path);
}

struct listing {
    json_t *entries;
    int depth; /* levels still to go down */
};

static void list_folder(struct listing *listing, int fd, const char *path, int level);

static void list_below(struct listing *listing, int folder, const char *name, const char *path, int level)
{
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        list_folder(listing, fd, path, level);
}

static int is_shown(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* Takes fd. */
static void list_folder(struct listing *listing, int fd, const char *path, int level)
{
    struct dirent **names = NULL;
    int count = scandirat(fd, ".", &names, is_shown, alphasort);
    for (int i = 0; i < count; i++) {
        CLEANUP(base_freep)
        char *child = base_printf("%s/%s", strcmp(path, "/") == 0 ? "" : path, names[i]->d_name);
        json_t *entry = json_array_size(listing->entries) < MAX_ENTRIES
                            ? encode_entry(fd, names[i]->d_name, child)
                            : NULL;
        if (entry) {
            bool is_folder =
                strcmp(json_string_value(json_object_get(entry, "type")), "FILE_TYPE_DIRECTORY") == 0;
            json_array_append_new(listing->entries, entry);
            if (is_folder && level < listing->depth)
                list_below(listing, fd, names[i]->d_name, child, level + 1);
        }
        free(names[i]);
    }
    free(names);
    (void)close(fd);
}

static void list(struct sandbox *sandbox, struct http_exchange *exchange, const char *path, int64_t depth)
{
    int fd = path_open(sandbox, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        bool is_file = errno == ENOTDIR;
        envd_answer_error(exchange, is_file ? "invalid_argument" : "not_found",
                          is_file ? "path is not a directory: %s" : "directory not found: %s", path);
        return;
    }
    struct listing listing = {.entries = json_array(), .depth = (int)MIN(MAX(depth, 1), MAX_DEPTH)};
    list_folder(&listing, fd, path, 1);
    json_t *answer = json_object();
    if (json_array_size(listing.entries) > 0)
        json_object_set(answer, "entries", listing.entries);
    json_decref(listing.entries);
    envd_answer(exchange, answer);
}

/* ---- routes ---- */

void envd_filesystem_handle(struct sandbox *sandbox, struct http_exchange *exchange, const char *method)
{
    bool is_move = strcmp(method, "Move") == 0;
    json_auto_t *request = envd_parse(exchange);
    if (!request)
        return;
    const char *given = json_string_value(json_object_get(request, is_move ? "source" : "path"));
    const char *given_target = json_string_value(json_object_get(request, "destination"));
    CLEANUP(base_freep) char *path = path_normalize(given ? given : "");
    CLEANUP(base_freep) char *target = path_normalize(given_target ? given_target : "");
    if (strcmp(method, "Stat") == 0)
        answer_entry(sandbox, exchange, path);
    else if (strcmp(method, "MakeDir") == 0)
        make_folder(sandbox, exchange, path);
    else if (is_move)
        move(sandbox, exchange, path, target);
    else if (strcmp(method, "ListDir") == 0)
        list(sandbox, exchange, path, json_integer_value(json_object_get(request, "depth")));
    else if (strcmp(method, "Remove") == 0)
        remove_path(sandbox, exchange, path);
    else
        envd_answer_error(exchange, "unimplemented", "e2b-local does not watch folders: %s", method);
}
