/* Preloaded into a program: its wall clock is off by as many milliseconds as the file SHIFTED_CLOCK says,
 * from the moment the file says so. Monotonic clocks go on as they are, as they do on a host whose clock is
 * set. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MS_PER_S = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000 };

static const volatile int64_t *shift_ms;

/* Before main: allocators ask for the time before they can be asked for memory, so nothing here allocates. */
__attribute__((constructor)) static void open_shift(void)
{
    const char *path = getenv("SHIFTED_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shift_ms, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED)
        shift_ms = page;
    if (fd >= 0)
        (void)close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    long status = syscall(SYS_clock_gettime, clock, ret);
    if (status != 0 || !shift_ms || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return (int)status;
    int64_t shift = *shift_ms, ns = ret->tv_nsec + shift % MS_PER_S * NS_PER_MS;
    ret->tv_sec += shift / MS_PER_S + (ns < 0 ? -1 : ns / NS_PER_S);
    ret->tv_nsec = ns < 0 ? ns + NS_PER_S : ns % NS_PER_S;
    return 0;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    *ret = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *ret)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    if (ret)
        *ret = now.tv_sec;
    return now.tv_sec;
}
