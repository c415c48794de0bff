/* Looking through /proc. */
#include "strays.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENVIRONMENT_BYTES = 128 * 1024 };

static bool is_variable_in(const char *text, size_t length, const char *variable)
{
    for (size_t i = 0; i < length; i += strnlen(text + i, length - i) + 1)
        if (strcmp(text + i, variable) == 0)
            return true;
    return false;
}

int strays_kill(const char *sandbox)
{
    CLEANUP(base_freep) char *variable = base_printf("E2B_SANDBOX_ID=%s", sandbox);
    CLEANUP(base_freep) char *text = base_alloc(ENVIRONMENT_BYTES + 1);
    DIR *folder = opendir("/proc");
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char path[64];
        long pid = strtol(entry->d_name, NULL, 10);
        (void)snprintf(path, sizeof path, "/proc/%ld/environ", pid);
        int fd = pid > 1 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        ssize_t length = fd >= 0 ? read(fd, text, ENVIRONMENT_BYTES) : -1;
        if (fd >= 0)
            (void)close(fd);
        if (length <= 0)
            continue;
        text[length] = '\0';
        if (is_variable_in(text, (size_t)length, variable) && kill((pid_t)pid, SIGKILL) == 0)
            count++;
    }
    if (folder)
        (void)closedir(folder);
    return count;
}
