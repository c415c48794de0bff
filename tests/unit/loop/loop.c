#include "loop/loop.h"
#include "base/buffer.h"
#include "loop/on_uv.h"
#include "test.h"

#include <pthread.h>
#include <unistd.h>
#include <uv.h>

/* Each callback writes its letter; the order tells the story. */
struct story {
    struct loop *loop;
    struct buffer letters;
    struct timer first, second, stopped;
    struct task task, again;
    struct turn_hook hook;
    struct wakeup *wakeup;
    struct watch *watch;
    int ends[2];
};

static void on_again(void *arg)
{
    struct story *story = arg;
    buffer_append_byte(&story->letters, 'a');
}

static void on_task(void *arg)
{
    struct story *story = arg;
    buffer_append_byte(&story->letters, 't');
    loop_defer(story->loop, &story->again, on_again, story);
}

static void free_reaped(void *object)
{
    struct story *story = object;
    buffer_append_byte(&story->letters, 'r');
}

static void on_hook(void *arg)
{
    struct story *story = arg;
    if (story->letters.length > 0 && story->letters.data[story->letters.length - 1] == 'a')
        buffer_append_byte(&story->letters, 'h');
}

static void on_second(void *arg)
{
    struct story *story = arg;
    buffer_append_byte(&story->letters, '2');
    loop_stop(story->loop);
}

static void on_first(void *arg)
{
    struct story *story = arg;
    buffer_append_byte(&story->letters, '1');
    loop_timer_stop(story->loop, &story->stopped);
    loop_defer(story->loop, &story->task, on_task, story);
    loop_defer(story->loop, &story->task, on_task, story); /* once */
    loop_reap(story->loop, story, free_reaped);
}

static void on_stopped(void *arg)
{
    (void)arg;
    fail();
}

static void a_turn_runs_timers_then_tasks_then_hooks_then_reaps(void **state)
{
    (void)state;
    struct story story = {.loop = loop_new()};
    loop_hook_add(story.loop, &story.hook, on_hook, &story);
    loop_timer_start(story.loop, &story.first, 1, on_first, &story);
    loop_timer_start(story.loop, &story.stopped, 2, on_stopped, &story);
    loop_timer_start(story.loop, &story.second, 10, on_second, &story);
    loop_run(story.loop);
    assert_text(story.letters.data, "1tahr2");
    loop_hook_remove(story.loop, &story.hook);
    loop_free(story.loop, NULL, NULL);
    buffer_release(&story.letters);
}

static void *send_from_elsewhere(void *arg)
{
    struct story *story = arg;
    wakeup_send(story->wakeup);
    return NULL;
}

static void on_wakeup(void *arg)
{
    struct story *story = arg;
    buffer_append_byte(&story->letters, 'w');
    assert_int_equal(write(story->ends[1], "x", 1), 1);
}

static void on_readable(void *arg, int events, int error)
{
    struct story *story = arg;
    char byte;
    assert_int_equal(error, 0);
    assert_int_equal(events, WATCH_READ);
    assert_int_equal(read(story->ends[0], &byte, 1), 1);
    buffer_append_byte(&story->letters, byte);
    loop_stop(story->loop);
}

static void on_thread(void *arg)
{
    struct story *story = arg;
    (void)story;
}

static void on_thread_done(void *arg)
{
    struct story *story = arg;
    buffer_append_byte(&story->letters, 'd');
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_from_elsewhere, story), 0);
    pthread_join(thread, NULL);
}

static void thread_jobs_wakeups_and_descriptors_reach_the_loop(void **state)
{
    (void)state;
    struct story story = {.loop = loop_new()};
    assert_int_equal(pipe(story.ends), 0);
    story.wakeup = loop_wakeup_new(story.loop, on_wakeup, &story);
    story.watch = loop_watch_new(story.loop, story.ends[0], on_readable, &story);
    watch_set(story.watch, WATCH_READ);
    loop_work(story.loop, on_thread, on_thread_done, &story);
    loop_run(story.loop);
    assert_text(story.letters.data, "dwx");
    wakeup_close(story.wakeup);
    watch_close(story.watch);
    loop_free(story.loop, NULL, NULL);
    close(story.ends[0]);
    close(story.ends[1]);
    buffer_release(&story.letters);
}

static void on_freed(void *arg)
{
    *(bool *)arg = true;
}

static void a_strangers_loop_ends_when_we_have_nothing_to_do(void **state)
{
    (void)state;
    uv_loop_t uv;
    assert_int_equal(uv_loop_init(&uv), 0);
    struct story story = {.loop = loop_new_on(&uv)};
    loop_timer_start(story.loop, &story.first, 1, on_again, &story);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_text(story.letters.data, "a");
    bool freed = false;
    loop_free(story.loop, on_freed, &freed);
    assert_int_equal(uv_run(&uv, UV_RUN_DEFAULT), 0);
    assert_true(freed);
    assert_int_equal(uv_loop_close(&uv), 0);
    buffer_release(&story.letters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_runs_timers_then_tasks_then_hooks_then_reaps),
        cmocka_unit_test(thread_jobs_wakeups_and_descriptors_reach_the_loop),
        cmocka_unit_test(a_strangers_loop_ends_when_we_have_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
