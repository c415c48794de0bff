/* Threads of librdkafka under the thread sanitizer: the library starts them by C11's thrd_create, which the
 * sanitizer does not see, and then falls over them. Linked into every program of the tsan preset, this stands
 * in front of libc's and starts them as POSIX threads, which it knows. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

struct start {
    thrd_start_t fn;
    void *arg;
};

static void *run(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    return (void *)(intptr_t)start.fn(start.arg);
}

__attribute__((visibility("default"))) int thrd_create(thrd_t *thread, thrd_start_t fn, void *arg)
{
    struct start *start = malloc(sizeof *start);
    if (!start)
        return thrd_nomem;
    *start = (struct start){fn, arg};
    return pthread_create(thread, NULL, run, start) == 0 ? thrd_success : thrd_error;
}

__attribute__((visibility("default"))) int thrd_join(thrd_t thread, int *ret_result)
{
    void *result = NULL;
    if (pthread_join(thread, &result) != 0)
        return thrd_error;
    if (ret_result)
        *ret_result = (int)(intptr_t)result;
    return thrd_success;
}
