/* Starting bubblewrap. */
#include "bubblewrap.h"

#include "tree.h"

#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* One digit each: dash knows no others. */
enum { HOLDER_INFO_FD = 4, HOLDER_READY_FD = 5 };
enum { MAX_ARGUMENTS = 96 };

static void add(char **arguments, int *count, const char *text)
{
    assert(*count < MAX_ARGUMENTS - 1);
    arguments[(*count)++] = base_strdup(text);
}

static void add_bind(char **arguments, int *count, const char *how, const char *source, const char *target)
{
    add(arguments, count, how);
    add(arguments, count, source);
    add(arguments, count, target);
}

/* /bin and its like are links into /usr on some systems and folders on others. */
static void add_system_folder(char **arguments, int *count, const char *path)
{
    char target[256];
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length > 0) {
        target[length] = '\0';
        add_bind(arguments, count, "--symlink", target, path);
    } else if (access(path, F_OK) == 0) {
        add_bind(arguments, count, "--ro-bind", path, path);
    }
}

static void add_arguments(char **arguments, const char *root, const char *const *extra_folders,
                          const char *group_folder)
{
    static const char *const first[] = {
        "bwrap",         "--die-with-parent", "--new-session", "--unshare-pid",
        "--unshare-ipc", "--unshare-uts",     "--hostname",    "e2b"};
    static const char *const folders[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    int count = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(first); i++)
        add(arguments, &count, first[i]);
    add_bind(arguments, &count, "--bind", root, "/");
    add_bind(arguments, &count, "--ro-bind", "/usr", "/usr");
    add_bind(arguments, &count, "--ro-bind", "/etc", "/etc");
    for (size_t i = 0; i < ARRAY_LENGTH(folders); i++)
        add_system_folder(arguments, &count, folders[i]);
    for (const char *const *extra = extra_folders; extra && *extra && count < 70; extra++)
        add_bind(arguments, &count, "--ro-bind", *extra, *extra);
    if (group_folder)
        add_bind(arguments, &count, "--ro-bind-try", group_folder, group_folder);
    add(arguments, &count, "--dev");
    add(arguments, &count, "/dev");
    add(arguments, &count, "--proc");
    add(arguments, &count, "/proc");
    CLEANUP(base_freep) char *info = base_printf("%d", HOLDER_INFO_FD);
    add(arguments, &count, "--info-fd");
    add(arguments, &count, info);
    CLEANUP(base_freep)
    char *script = base_printf("echo >&%d; exec /bin/sleep infinity %d>&-", HOLDER_READY_FD, HOLDER_READY_FD);
    add(arguments, &count, "/bin/sh");
    add(arguments, &count, "-c");
    add(arguments, &count, script);
}

static void free_arguments(char **arguments)
{
    for (int i = 0; i < MAX_ARGUMENTS; i++)
        free(arguments[i]);
}

static void exec_bubblewrap(char **arguments, int info_fd, int ready_fd) NORETURN;
static void exec_bubblewrap(char **arguments, int info_fd, int ready_fd)
{
    int info_high = fcntl(info_fd, F_DUPFD, HOLDER_READY_FD + 1);
    int ready_high = fcntl(ready_fd, F_DUPFD, HOLDER_READY_FD + 1);
    (void)dup2(info_high, HOLDER_INFO_FD);
    (void)dup2(ready_high, HOLDER_READY_FD);
    (void)close(info_high);
    (void)close(ready_high);
    int null = open("/dev/null", O_RDWR);
    (void)dup2(null, 0);
    (void)dup2(null, 1);
    execvp("bwrap", arguments);
    _exit(127);
}

bool bubblewrap_start(const char *root, const char *const *extra_folders, const char *group_folder,
                      const int *group_fds, int group_count, struct bubblewrap *ret)
{
    int info[2], ready[2];
    if (pipe2(info, O_CLOEXEC) != 0)
        return false;
    if (pipe2(ready, O_CLOEXEC) != 0) {
        (void)close(info[0]);
        (void)close(info[1]);
        return false;
    }
    char *arguments[MAX_ARGUMENTS] = {NULL};
    add_arguments(arguments, root, extra_folders, group_folder);
    pid_t pid = fork();
    if (pid == 0) {
        for (int i = 0; i < group_count; i++) {
            ssize_t written = write(group_fds[i], "0", 1);
            (void)written;
        }
        exec_bubblewrap(arguments, info[1], ready[1]);
    }
    free_arguments(arguments);
    (void)close(info[1]);
    (void)close(ready[1]);
    if (pid < 0) {
        (void)close(info[0]);
        (void)close(ready[0]);
        return false;
    }
    *ret = (struct bubblewrap){.pid = pid, .ready_fd = ready[0], .info_fd = info[0]};
    return true;
}

pid_t bubblewrap_read_first(const struct bubblewrap *bubblewrap)
{
    char text[1024];
    ssize_t length = read(bubblewrap->info_fd, text, sizeof text);
    json_auto_t *info = length > 0 ? json_loadb(text, (size_t)length, 0, NULL) : NULL;
    return (pid_t)json_integer_value(json_object_get(info, "child-pid"));
}

bool bubblewrap_probe(const char *root)
{
    struct bubblewrap probe;
    if (geteuid() != 0 || mkdir(root, 0755) != 0)
        return false;
    bool is_up = false;
    if (bubblewrap_start(root, /* extra_folders= */ NULL, /* group_folder= */ NULL, /* group_fds= */ NULL, 0,
                         &probe)) {
        char byte;
        is_up = read(probe.ready_fd, &byte, 1) == 1;
        pid_t first = is_up ? bubblewrap_read_first(&probe) : 0;
        (void)kill(first > 0 ? first : probe.pid, SIGKILL);
        (void)waitpid(probe.pid, NULL, 0);
        (void)close(probe.info_fd);
        (void)close(probe.ready_fd);
    }
    (void)tree_remove(root);
    return is_up;
}
