/* Control groups through their file system. */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct cgroups {
    bool is_version_2;
    int count;
    char *roots[CGROUP_MAX_HIERARCHIES]; /* our folder in each hierarchy */
};

enum { REMOVE_TRIES = 200, REMOVE_PAUSE_US = 5000 };
#define UNIFIED "/sys/fs/cgroup"

static const char *const version_1[CGROUP_MAX_HIERARCHIES] = {"memory", "pids", "cpu", "freezer"};
static const char *const version_1_paths[CGROUP_MAX_HIERARCHIES] = {UNIFIED "/memory", UNIFIED "/pids",
                                                                    UNIFIED "/cpu", UNIFIED "/freezer"};

static bool write_text(const char *folder, const char *name, const char *text)
{
    CLEANUP(base_freep) char *path = base_printf("%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool is_written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    (void)close(fd);
    return is_written;
}

static void write_number(const char *folder, const char *name, int64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    (void)write_text(folder, name, text);
}

/* ---- what predecessors left ---- */

/* Calls fn for every folder below one that belonged to a dead e2b-local, then for that one. */
static void each_leftover(const char *hierarchy, void (*fn)(const char *path))
{
    DIR *folder = opendir(hierarchy);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        long pid = 0;
        if (sscanf(entry->d_name, "e2b-local-%ld", &pid) != 1 || pid <= 0 || kill((pid_t)pid, 0) == 0 ||
            errno != ESRCH)
            continue;
        CLEANUP(base_freep) char *path = base_printf("%s/%s", hierarchy, entry->d_name);
        DIR *groups = opendir(path);
        for (struct dirent *group; groups && (group = readdir(groups));) {
            if (group->d_type != DT_DIR || group->d_name[0] == '.')
                continue;
            CLEANUP(base_freep) char *child = base_printf("%s/%s", path, group->d_name);
            fn(child);
        }
        if (groups)
            (void)closedir(groups);
        fn(path);
    }
    if (folder)
        (void)closedir(folder);
}

static int signal_processes(const char *path, int signal)
{
    CLEANUP(base_freep) char *list = base_printf("%s/cgroup.procs", path);
    FILE *file = fopen(list, "re");
    int count = 0;
    for (long pid; file && fscanf(file, "%ld", &pid) == 1; count++)
        if (pid > 0)
            (void)kill((pid_t)pid, signal);
    if (file)
        (void)fclose(file);
    return count;
}

/* A frozen process dies when it is thawed. */
static void end_group(const char *path)
{
    (void)signal_processes(path, SIGKILL);
    (void)write_text(path, "freezer.state", "THAWED");
    (void)write_text(path, "cgroup.freeze", "0");
}

/* The kernel may need a moment after the last exit before it lets a group go. */
static void remove_group(const char *path)
{
    for (int i = 0; i < REMOVE_TRIES && rmdir(path) != 0 && errno == EBUSY; i++)
        (void)usleep(REMOVE_PAUSE_US);
}

static bool is_unified(void)
{
    return access(UNIFIED "/cgroup.controllers", F_OK) == 0;
}

/* In all hierarchies before the first removal: what is frozen in one of them is busy in the others. */
void cgroups_sweep(void)
{
    static const char *const unified = UNIFIED;
    const char *const *hierarchies = is_unified() ? &unified : version_1_paths;
    int count = is_unified() ? 1 : CGROUP_MAX_HIERARCHIES;
    for (int i = 0; i < count; i++)
        each_leftover(hierarchies[i], end_group);
    for (int i = 0; i < count; i++)
        each_leftover(hierarchies[i], remove_group);
}

/* ---- finding a place ---- */

static bool add_root(struct cgroups *cgroups, const char *hierarchy)
{
    char *path = base_printf("%s/e2b-local-%ld", hierarchy, (long)getpid());
    if (mkdir(path, 0755) != 0) {
        free(path);
        return false;
    }
    cgroups->roots[cgroups->count++] = path;
    return true;
}

struct cgroups *cgroups_new(void)
{
    struct cgroups *cgroups = base_alloc(sizeof *cgroups);
    if (is_unified()) {
        cgroups->is_version_2 = true;
        (void)write_text(UNIFIED, "cgroup.subtree_control", "+memory +pids +cpu");
        if (add_root(cgroups, UNIFIED))
            (void)write_text(cgroups->roots[0], "cgroup.subtree_control", "+memory +pids +cpu");
        return cgroups;
    }
    for (int i = 0; i < CGROUP_MAX_HIERARCHIES; i++) {
        if (!add_root(cgroups, version_1_paths[i])) { /* all or nothing: half a set would be a surprise */
            while (cgroups->count > 0) {
                (void)rmdir(cgroups->roots[--cgroups->count]);
                free(TAKE(cgroups->roots[cgroups->count]));
            }
            break;
        }
    }
    return cgroups;
}

void cgroups_free(struct cgroups *cgroups)
{
    if (!cgroups)
        return;
    for (int i = 0; i < cgroups->count; i++) {
        (void)rmdir(cgroups->roots[i]);
        free(cgroups->roots[i]);
    }
    free(cgroups);
}

bool cgroups_is_on(const struct cgroups *cgroups)
{
    return cgroups->count > 0;
}

const char *cgroups_kind(const struct cgroups *cgroups)
{
    return cgroups->count == 0 ? "none" : cgroups->is_version_2 ? "v2" : "v1";
}

/* ---- groups ---- */

static char *group_path(const struct cgroups *cgroups, int i, const char *name)
{
    return base_printf("%s/%s", cgroups->roots[i], name);
}

static void limit_version_1(const char *controller, const char *path, const struct cgroup_limits *limits)
{
    if (strcmp(controller, "memory") == 0) {
        write_number(path, "memory.limit_in_bytes", limits->memory_bytes);
        /* And with swap, or it would be paged for minutes before it is killed. */
        write_number(path, "memory.memsw.limit_in_bytes", limits->memory_bytes);
    } else if (strcmp(controller, "pids") == 0)
        write_number(path, "pids.max", limits->process_count);
    else if (strcmp(controller, "cpu") == 0)
        write_number(path, "cpu.cfs_quota_us", (int64_t)limits->cpu_percent * 1000);
}

static void limit_version_2(const char *path, const struct cgroup_limits *limits)
{
    char quota[64];
    (void)snprintf(quota, sizeof quota, "%d 100000", limits->cpu_percent * 1000);
    write_number(path, "memory.max", limits->memory_bytes);
    write_number(path, "memory.swap.max", 0);
    write_number(path, "pids.max", limits->process_count);
    (void)write_text(path, "cpu.max", quota);
}

void cgroups_make(struct cgroups *cgroups, const char *name, const struct cgroup_limits *limits)
{
    for (int i = 0; i < cgroups->count; i++) {
        CLEANUP(base_freep) char *path = group_path(cgroups, i, name);
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            continue;
        if (cgroups->is_version_2)
            limit_version_2(path, limits);
        else
            limit_version_1(version_1[i], path, limits);
    }
}

int cgroups_open(struct cgroups *cgroups, const char *name, int ret_fds[CGROUP_MAX_HIERARCHIES])
{
    int count = 0;
    for (int i = 0; i < cgroups->count; i++) {
        CLEANUP(base_freep) char *path = base_printf("%s/%s/cgroup.procs", cgroups->roots[i], name);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd >= 0)
            ret_fds[count++] = fd;
    }
    return count;
}

char *cgroups_memory_folder(struct cgroups *cgroups, const char *name)
{
    return cgroups->count > 0 ? group_path(cgroups, 0, name) : NULL;
}

static void set_frozen(struct cgroups *cgroups, const char *name, const char *word_1, const char *word_2)
{
    if (cgroups->count == 0)
        return;
    int last = cgroups->is_version_2 ? 0 : cgroups->count - 1;
    CLEANUP(base_freep) char *path = group_path(cgroups, last, name);
    if (cgroups->is_version_2)
        (void)write_text(path, "cgroup.freeze", word_2);
    else
        (void)write_text(path, "freezer.state", word_1);
}

void cgroups_freeze(struct cgroups *cgroups, const char *name)
{
    set_frozen(cgroups, name, "FROZEN", "1");
}

void cgroups_thaw(struct cgroups *cgroups, const char *name)
{
    set_frozen(cgroups, name, "THAWED", "0");
}

int cgroups_signal(struct cgroups *cgroups, const char *name, int signal)
{
    if (cgroups->count == 0)
        return 0;
    CLEANUP(base_freep) char *path = group_path(cgroups, 0, name);
    return signal_processes(path, signal);
}

bool cgroups_remove(struct cgroups *cgroups, const char *name)
{
    bool is_removed = true;
    for (int i = 0; i < cgroups->count; i++) {
        CLEANUP(base_freep) char *path = group_path(cgroups, i, name);
        if (rmdir(path) != 0 && errno != ENOENT)
            is_removed = false;
    }
    return is_removed;
}
