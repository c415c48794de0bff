/* Paths inside sandboxes. */
#include "path.h"

#include "base/buffer.h"
#include "cell.h"
#include "sandbox.h"
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char home[] = "/home/user";

static void append_parts(struct buffer *out, const char *path)
{
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length == 2 && memcmp(path, "..", 2) == 0) {
            const char *slash = out->length > 0 ? strrchr(out->data, '/') : NULL;
            out->length = slash ? (size_t)(slash - out->data) : 0;
            if (out->data)
                out->data[out->length] = '\0';
        } else if (length > 0 && !(length == 1 && *path == '.')) {
            buffer_append_byte(out, '/');
            buffer_append(out, path, length);
        }
        path += length;
        path += *path == '/';
    }
}

char *path_normalize(const char *path)
{
    struct buffer out = {0};
    if (strcmp(path, "~") == 0 || strncmp(path, "~/", 2) == 0) {
        append_parts(&out, home);
        path += 1;
    } else if (path[0] != '/') {
        append_parts(&out, home);
    }
    append_parts(&out, path);
    if (out.length == 0)
        buffer_append_byte(&out, '/');
    return buffer_take(&out);
}

static bool is_in_tree(struct sandbox *sandbox, const char *path)
{
    return cells_is_isolated(sandbox->service->cells) ||
           (strncmp(path, home, sizeof home - 1) == 0 &&
            (path[sizeof home - 1] == '/' || !path[sizeof home - 1]));
}

int path_open(struct sandbox *sandbox, const char *path, int flags, mode_t mode)
{
    if (!is_in_tree(sandbox, path))
        return open(path, flags | O_CLOEXEC, mode);
    struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, cell_root_fd(sandbox->cell), path, &how, sizeof how);
}

int path_open_parent(struct sandbox *sandbox, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(base_freep)
    char *folder = slash == path ? base_strdup("/") : base_strndup(path, (size_t)(slash - path));
    *ret_name = slash + 1;
    return path_open(sandbox, folder, O_RDONLY | O_DIRECTORY, 0);
}

bool path_make_folders(struct sandbox *sandbox, const char *path, bool *ret_is_new)
{
    bool is_new = false;
    for (size_t end = 1; path[1]; end++) {
        end += strcspn(path + end, "/");
        CLEANUP(base_freep) char *part = base_strndup(path, end);
        const char *name;
        int parent = path_open_parent(sandbox, part, &name);
        if (parent < 0)
            return false;
        is_new = mkdirat(parent, name, 0755) == 0;
        int saved = errno;
        (void)close(parent);
        errno = saved;
        if (!is_new && errno != EEXIST)
            return false;
        if (!path[end])
            break;
    }
    int folder = path_open(sandbox, path, O_PATH | O_DIRECTORY, 0); /* what was there may be a file */
    if (folder < 0)
        return false;
    (void)close(folder);
    if (ret_is_new)
        *ret_is_new = is_new;
    return true;
}
