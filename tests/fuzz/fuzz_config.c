/* A configuration: the file's text, or after a first byte '=' one --set. What is taken can be printed. */
#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char variable[] = "REDIS=redis://h", *environment[] = {variable, NULL};
    char path[64], *set = base_strndup((const char *)data + (size > 0), size > 0 ? size - 1 : 0);
    const char *const sets[] = {set};
    struct config_input input = {.environment = environment};
    int fd = -1;
    if (size > 0 && data[0] == '=') {
        input.sets = sets;
        input.set_count = 1;
    } else {
        fd = memfd_create("config", MFD_CLOEXEC);
        if (fd < 0 || write(fd, data, size) != (ssize_t)size)
            abort();
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        input.file = path;
    }
    struct arena arena = {0};
    struct config config;
    struct error error;
    if (config_load(&input, &arena, &config, &error)) {
        CLEANUP(buffer_release) struct buffer out = {0};
        struct text_list warnings;
        config_print(&config, &out);
        config_warnings(&config, &arena, &warnings);
    } else if (error.kind != ERROR_REJECTED) {
        abort();
    }
    arena_release(&arena);
    if (fd >= 0)
        close(fd);
    free(set);
    return 0;
}
