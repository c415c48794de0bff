/* One locked directory, and what is found beside it. */
#include "home.h"

#include "strays.h"
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KILL_TRIES = 200, KILL_PAUSE_US = 5000 };
#define NAME_BEGINS "e2b-local."

struct home {
    char *path;
    int lock_fd;
};

/* ---- predecessors ---- */

/* Returns: the lock of a directory whose owner is dead, -1 when it lives or the directory is not for us. */
static int take_lock_of_dead(const char *directory)
{
    CLEANUP(base_freep) char *path = base_printf("%s/lock", directory);
    int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct stat status;
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* Its sandboxes are the folders whose names begin as their ids do. Returns: how many processes there were. */
static int kill_processes_of(const char *directory)
{
    DIR *folder = opendir(directory);
    int killed = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        int found;
        if (entry->d_name[0] != 'i')
            continue;
        for (int i = 0; i < KILL_TRIES && (found = strays_kill(entry->d_name)) > 0; i++) {
            killed += i == 0 ? found : 0;
            (void)usleep(KILL_PAUSE_US);
        }
    }
    if (folder)
        (void)closedir(folder);
    return killed;
}

static void sweep(const char *base, const struct log *log)
{
    DIR *folder = opendir(base);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strncmp(entry->d_name, NAME_BEGINS, strlen(NAME_BEGINS)) != 0)
            continue;
        CLEANUP(base_freep) char *path = base_printf("%s/%s", base, entry->d_name);
        int lock_fd = take_lock_of_dead(path);
        if (lock_fd < 0)
            continue;
        int killed = kill_processes_of(path);
        bool is_removed = tree_remove(path);
        log_warn(log, "predecessor.swept", LOG_TEXT("directory", path), LOG_INT("processes", killed),
                 LOG_BOOL("removed", is_removed));
        (void)close(lock_fd);
    }
    if (folder)
        (void)closedir(folder);
}

/* ---- our own ---- */

/* Under another name until it is locked: nobody may find it open to be taken. */
static bool lock(struct home *home)
{
    CLEANUP(base_freep) char *beside = base_printf("%s/lock.new", home->path);
    CLEANUP(base_freep) char *path = base_printf("%s/lock", home->path);
    home->lock_fd = open(beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return home->lock_fd >= 0 && flock(home->lock_fd, LOCK_EX | LOCK_NB) == 0 && rename(beside, path) == 0;
}

static bool make(struct home *home, const char *base, struct error *reterr)
{
    home->path = base_printf("%s/" NAME_BEGINS "XXXXXX", base);
    if (!mkdtemp(home->path)) {
        free(TAKE(home->path));
        return error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot write to %s: %s", base,
                         strerror(errno));
    }
    (void)chmod(home->path, 0755);
    return lock(home) || error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot lock %s: %s",
                                   home->path, strerror(errno));
}

struct home *home_new(const char *base, const struct log *log, struct error *reterr)
{
    if (base && mkdir(base, 0755) != 0 && errno != EEXIST) {
        error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot make %s: %s", base, strerror(errno));
        return NULL;
    }
    CLEANUP(base_freep) char *given = base ? realpath(base, NULL) : base_strdup("/tmp");
    if (!given) {
        error_set(reterr, ERROR_REJECTED, "e2b-local", errno, "cannot use %s: %s", base, strerror(errno));
        return NULL;
    }
    sweep(given, log);
    struct home *home = base_alloc(sizeof *home);
    home->lock_fd = -1;
    if (make(home, given, reterr))
        return home;
    home_free(home);
    return NULL;
}

void home_free(struct home *home)
{
    if (!home)
        return;
    if (home->path)
        (void)tree_remove(home->path);
    if (home->lock_fd >= 0)
        (void)close(home->lock_fd);
    free(home->path);
    free(home);
}

const char *home_path(const struct home *home)
{
    return home->path;
}
