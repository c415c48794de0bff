/* Talking to the parent of all kernels. */
#include "zygote.h"

#include "cell.h"
#include "helpers.h"
#include "loop/loop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HELLO_S = 60, MESSAGE_BYTES = 128 * 1024, MAX_FDS = 16, MAX_FOLDERS = 8, MAX_ASKED = 4 };

struct zygote {
    struct loop *loop;     /* borrowed */
    const struct log *log; /* borrowed */
    struct zygote_options options;
    char *script;
    pid_t pid;
    int socket;
    struct watch *watch;
    int64_t last_id;
    struct link waiting, asked; /* zygote_request */
    int asked_count;
    char *folders[MAX_FOLDERS + 1];
};

/* ---- starting ---- */

static bool write_file(const char *directory, const char *name, const char *text, size_t length)
{
    CLEANUP(base_freep) char *path = base_printf("%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool is_written = fd >= 0 && write(fd, text, length) == (ssize_t)length;
    if (fd >= 0)
        (void)close(fd);
    return is_written;
}

static bool write_helpers(struct zygote *zygote, struct error *reterr)
{
    CLEANUP(base_freep) char *folder = base_printf("%s/helpers", zygote->options.directory);
    bool is_written = mkdir(folder, 0755) == 0 || errno == EEXIST;
    for (const struct helper *helper = helpers; is_written && helper->name; helper++)
        is_written = write_file(folder, helper->name, helper->text, *helper->length);
    zygote->script = base_printf("%s/zygote.py", folder);
    return is_written || error_set(reterr, ERROR_INTERNAL, "e2b-local", errno, "cannot write to %s: %s",
                                   folder, strerror(errno));
}

static void exec_python(const struct zygote *zygote, int socket)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    int null = open("/dev/null", O_RDWR);
    (void)dup2(null, 0);
    (void)dup2(null, 1);
    if (socket == 3)
        (void)fcntl(socket, F_SETFD, 0);
    else
        (void)dup2(socket, 3);
    execlp(zygote->options.python, zygote->options.python, "-B", zygote->script, zygote->options.node, NULL);
    _exit(127);
}

static bool spawn(struct zygote *zygote, struct error *reterr)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return error_set(reterr, ERROR_INTERNAL, "e2b-local", errno, "no socket: %s", strerror(errno));
    zygote->pid = fork();
    if (zygote->pid == 0)
        exec_python(zygote, pair[1]);
    (void)close(pair[1]);
    zygote->socket = pair[0];
    return zygote->pid > 0 ||
           error_set(reterr, ERROR_INTERNAL, "e2b-local", errno, "no further process: %s", strerror(errno));
}

static void take_folders(struct zygote *zygote, const json_t *folders)
{
    for (size_t i = 0; i < MIN(json_array_size(folders), (size_t)MAX_FOLDERS); i++) {
        free(zygote->folders[i]);
        zygote->folders[i] = base_strdup(json_string_value(json_array_get(folders, i)));
    }
}

static bool read_hello(struct zygote *zygote, struct error *reterr)
{
    char text[4096];
    struct timeval limit = {.tv_sec = HELLO_S};
    (void)setsockopt(zygote->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ssize_t length = recv(zygote->socket, text, sizeof text, 0);
    json_auto_t *hello = length > 0 ? json_loadb(text, (size_t)length, 0, NULL) : NULL;
    if (!hello)
        return error_set(reterr, ERROR_REJECTED, "e2b-local", 0,
                         "%s does not run our helper; name a Python 3.9 or later with --python",
                         zygote->options.python);
    take_folders(zygote, json_object_get(hello, "folders"));
    return true;
}

/* ---- requests ---- */

static char *encode(const struct zygote_request *request, const int *kinds, int kind_count, int group_count)
{
    json_t *list = json_array();
    for (int i = 0; i < kind_count; i++)
        json_array_append_new(list, json_integer(kinds[i]));
    json_auto_t *message =
        json_pack("{s:I,s:s,s:s,s:s,s:O,s:i,s:o}", "id", (json_int_t)request->id, "language",
                  request->language, "cwd", request->cwd, "home", request->home, "variables",
                  request->variables, "groups", group_count, "kinds", list);
    return json_dumps(message, JSON_COMPACT);
}

static bool send_with_fds(int socket, const char *text, const int *fds, int count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)count)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)count);
    memcpy(CMSG_DATA(header), fds, sizeof(int) * (size_t)count);
    return sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)part.iov_len;
}

static bool ask(struct zygote *zygote, struct zygote_request *request)
{
    int fds[1 + CGROUP_MAX_HIERARCHIES + CELL_NAMESPACE_COUNT], kinds[CELL_NAMESPACE_COUNT];
    fds[0] = request->socket;
    int group_count = cell_open_groups(request->cell, fds + 1);
    int kind_count = cell_namespaces(request->cell, fds + 1 + group_count, kinds);
    CLEANUP(base_freep) char *text = encode(request, kinds, kind_count, group_count);
    bool is_sent = strlen(text) < MESSAGE_BYTES &&
                   send_with_fds(zygote->socket, text, fds, 1 + group_count + kind_count);
    for (int i = 1; i <= group_count; i++)
        (void)close(fds[i]);
    return is_sent;
}

static void answer(struct zygote_request *request, pid_t pid, int pidfd, const char *error)
{
    link_remove(&request->link);
    if (request->socket >= 0)
        (void)close(request->socket);
    request->socket = -1;
    request->on_started(request->arg, pid, pidfd, error);
}

static void ask_next(struct zygote *zygote)
{
    while (!list_is_empty(&zygote->waiting) && zygote->asked_count < MAX_ASKED) {
        struct zygote_request *request =
            LIST_OBJECT(list_pop_front(&zygote->waiting), struct zygote_request, link);
        list_push_back(&zygote->asked, &request->link);
        if (!ask(zygote, request)) {
            answer(request, -1, -1, "the kernel's parent process takes no requests (environment too large?)");
            continue;
        }
        zygote->asked_count++;
    }
}

static void start_again(struct zygote *zygote);

static ssize_t receive(struct zygote *zygote, char *text, size_t size, int *ret_fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {.iov_base = text, .iov_len = size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    ssize_t length = recvmsg(zygote->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *ret_fd = -1;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(header), sizeof *ret_fd);
    return length;
}

static void take_answer(struct zygote *zygote, const json_t *message, int pidfd)
{
    int64_t id = json_integer_value(json_object_get(message, "id"));
    if (json_object_get(message, "folders"))
        return; /* the hello of a restarted one */
    zygote->asked_count--;
    LIST_EACH(&zygote->asked, link)
    {
        struct zygote_request *request = LIST_OBJECT(link, struct zygote_request, link);
        if (request->id == id) {
            json_t *pid = json_object_get(message, "pid");
            const char *error = json_string_value(json_object_get(message, "error"));
            answer(request, pidfd >= 0 ? (pid_t)json_integer_value(pid) : -1, pidfd,
                   error ? error : "no descriptor");
            return;
        }
    }
    if (pidfd >= 0) /* nobody waits: the kernel ends by the closed socket */
        (void)close(pidfd);
}

static void on_message(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct zygote *zygote = arg;
    char text[4096];
    int pidfd = -1;
    ssize_t length = receive(zygote, text, sizeof text, &pidfd);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        start_again(zygote);
        return;
    }
    json_auto_t *message = json_loadb(text, (size_t)length, 0, NULL);
    take_answer(zygote, message, pidfd);
    ask_next(zygote);
}

static void listen_to(struct zygote *zygote)
{
    zygote->watch = loop_watch_new(zygote->loop, zygote->socket, on_message, zygote);
    watch_set(zygote->watch, WATCH_READ);
}

static void stop(struct zygote *zygote)
{
    if (zygote->watch)
        watch_close(TAKE(zygote->watch));
    if (zygote->socket >= 0)
        (void)close(zygote->socket);
    zygote->socket = -1;
    if (zygote->pid > 0) {
        (void)kill(zygote->pid, SIGKILL);
        (void)waitpid(zygote->pid, NULL, 0);
    }
    zygote->pid = 0;
}

static void start_again(struct zygote *zygote)
{
    log_error(zygote->log, "zygote.ended",
              LOG_TEXT("then", "all code contexts are lost; it is started again"));
    stop(zygote);
    zygote->asked_count = 0;
    while (!list_is_empty(&zygote->asked))
        answer(LIST_OBJECT(zygote->asked.next, struct zygote_request, link), -1, -1,
               "the kernel's parent ended");
    struct error error;
    if (!spawn(zygote, &error)) {
        log_error(zygote->log, "zygote.failed", LOG_TEXT("why", error.text));
        return;
    }
    listen_to(zygote);
    ask_next(zygote);
}

void zygote_start(struct zygote *zygote, struct zygote_request *request)
{
    assert(!link_is_on_list(&request->link));
    request->id = ++zygote->last_id;
    list_push_back(&zygote->waiting, &request->link);
    ask_next(zygote);
}

void zygote_cancel(struct zygote *zygote, struct zygote_request *request)
{
    (void)zygote;
    link_remove(&request->link);
    if (request->socket >= 0)
        (void)close(request->socket);
    request->socket = -1;
}

/* ---- life cycle ---- */

struct zygote *zygote_new(struct loop *loop, const struct log *log, const struct zygote_options *options,
                          struct error *reterr)
{
    struct zygote *zygote = base_alloc(sizeof *zygote);
    zygote->loop = loop;
    zygote->log = log;
    zygote->options = *options;
    zygote->socket = -1;
    list_init(&zygote->waiting);
    list_init(&zygote->asked);
    if (!write_helpers(zygote, reterr) || !spawn(zygote, reterr) || !read_hello(zygote, reterr)) {
        zygote_free(zygote);
        return NULL;
    }
    listen_to(zygote);
    return zygote;
}

void zygote_free(struct zygote *zygote)
{
    if (!zygote)
        return;
    stop(zygote);
    for (int i = 0; i < MAX_FOLDERS; i++)
        free(zygote->folders[i]);
    free(zygote->script);
    free(zygote);
}

const char *const *zygote_folders(const struct zygote *zygote)
{
    return (const char *const *)zygote->folders;
}
