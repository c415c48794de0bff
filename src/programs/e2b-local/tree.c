/* Removing trees, level by level through descriptors. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_DEPTH = 512 };

static bool remove_at(int folder_fd, const char *name, int depth);

static bool remove_content(int fd, int depth)
{
    DIR *folder = fdopendir(fd);
    if (!folder) {
        (void)close(fd);
        return false;
    }
    bool is_removed = true;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            is_removed = remove_at(dirfd(folder), entry->d_name, depth + 1) && is_removed;
    (void)closedir(folder);
    return is_removed;
}

static bool remove_at(int folder_fd, const char *name, int depth)
{
    if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT)
        return true;
    if ((errno != EISDIR && errno != EPERM) || depth > MAX_DEPTH)
        return false;
    if (unlinkat(folder_fd, name, AT_REMOVEDIR) == 0)
        return true;
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(folder_fd, name, 0700, 0) == 0)
        fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    (void)fchmod(fd, 0700);
    bool is_empty = remove_content(fd, depth);
    return unlinkat(folder_fd, name, AT_REMOVEDIR) == 0 && is_empty;
}

bool tree_remove_at(int folder_fd, const char *name)
{
    return remove_at(folder_fd, name, 0);
}

bool tree_remove(const char *path)
{
    return remove_at(AT_FDCWD, path, 0);
}
