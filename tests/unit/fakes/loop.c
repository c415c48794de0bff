#include "base/buffer.h"
#include "fakes/loop/virtual.h"
#include "test.h"

struct story {
    struct loop *loop;
    struct buffer letters;
    struct timer first, second, repeat;
    struct task task;
    struct turn_hook hook;
    struct wakeup *wakeup;
    int64_t seen_ms, boot_ms, now_ms;
};

static void write_letter(struct story *story, char letter)
{
    buffer_append_byte(&story->letters, letter);
}

static void on_task(void *arg)
{
    write_letter(arg, 't');
}

static void on_first(void *arg)
{
    struct story *story = arg;
    write_letter(story, '1');
    loop_defer(story->loop, &story->task, on_task, story);
    loop_defer(story->loop, &story->task, on_task, story);
}

static void on_second(void *arg)
{
    struct story *story = arg;
    write_letter(story, '2');
    story->seen_ms = loop_now_ms(story->loop);
    loop_stop(story->loop);
}

static void on_hook(void *arg)
{
    struct story *story = arg;
    if (story->letters.length > 0 && story->letters.data[story->letters.length - 1] == 't')
        write_letter(story, 'h');
}

static void free_nothing(void *arg)
{
    write_letter(arg, 'r');
}

static void a_turn_has_the_real_loops_order_and_run_jumps_from_timer_to_timer(void **state)
{
    (void)state;
    struct story story = {.loop = virtual_loop_new()};
    int64_t start_ms = loop_now_ms(story.loop);
    loop_hook_add(story.loop, &story.hook, on_hook, &story);
    loop_timer_start(story.loop, &story.first, 1000, on_first, &story);
    loop_timer_start(story.loop, &story.second, 3600000, on_second, &story);
    loop_run(story.loop);
    assert_text(story.letters.data, "1th2");
    assert_int_equal(story.seen_ms - start_ms, 3600000);
    loop_reap(story.loop, &story, free_nothing);
    loop_hook_remove(story.loop, &story.hook);
    virtual_loop_free(story.loop);
    assert_text(story.letters.data, "1th2r");
    buffer_release(&story.letters);
}

static void on_repeat(void *arg)
{
    struct story *story = arg;
    write_letter(story, '.');
    loop_timer_start(story->loop, &story->repeat, 100, on_repeat, story);
}

static void advance_runs_each_timer_at_its_own_time(void **state)
{
    (void)state;
    struct story story = {.loop = virtual_loop_new()};
    int64_t start_ms = loop_now_ms(story.loop), unix_ms = loop_unix_ms(story.loop);
    loop_timer_start(story.loop, &story.repeat, 100, on_repeat, &story);
    virtual_loop_advance(story.loop, 550);
    assert_text(story.letters.data, ".....");
    assert_int_equal(loop_now_ms(story.loop) - start_ms, 550);
    assert_int_equal(loop_unix_ms(story.loop) - unix_ms, 550);
    loop_timer_stop(story.loop, &story.repeat);
    virtual_loop_advance(story.loop, 1000);
    assert_text(story.letters.data, ".....");
    virtual_loop_free(story.loop);
    buffer_release(&story.letters);
}

static void on_stopped(void *arg)
{
    struct story *story = arg;
    virtual_loop_stop_process(story->loop, 40000);
    story->now_ms = loop_now_ms(story->loop);
    story->boot_ms = loop_boot_ms(story->loop);
}

static void a_stop_inside_a_callback_shows_in_boottime_alone(void **state)
{
    (void)state;
    struct story story = {.loop = virtual_loop_new()};
    int64_t start_ms = loop_now_ms(story.loop);
    loop_timer_start(story.loop, &story.first, 10, on_stopped, &story);
    virtual_loop_advance(story.loop, 10);
    assert_int_equal(story.now_ms - start_ms, 10);
    assert_int_equal(story.boot_ms - start_ms, 40010);
    assert_int_equal(loop_now_ms(story.loop) - start_ms, 40010);
    virtual_loop_set_boot_gap(story.loop, 5000);
    assert_int_equal(loop_boot_ms(story.loop) - loop_now_ms(story.loop), 5000);
    virtual_loop_free(story.loop);
}

static void on_work(void *arg)
{
    write_letter(arg, 'w');
}

static void on_work_done(void *arg)
{
    struct story *story = arg;
    write_letter(story, 'd');
    wakeup_send(story->wakeup);
    wakeup_send(story->wakeup);
}

static void on_wakeup(void *arg)
{
    write_letter(arg, 'u');
}

static void thread_jobs_and_wakeups_run_in_a_later_turn(void **state)
{
    (void)state;
    struct story story = {.loop = virtual_loop_new()};
    story.wakeup = loop_wakeup_new(story.loop, on_wakeup, &story);
    loop_work(story.loop, on_work, on_work_done, &story);
    assert_int_equal(story.letters.length, 0);
    virtual_loop_run_until_idle(story.loop);
    assert_text(story.letters.data, "wdu");
    wakeup_send(story.wakeup);
    wakeup_close(story.wakeup);
    virtual_loop_free(story.loop);
    assert_text(story.letters.data, "wdu");
    buffer_release(&story.letters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_has_the_real_loops_order_and_run_jumps_from_timer_to_timer),
        cmocka_unit_test(advance_runs_each_timer_at_its_own_time),
        cmocka_unit_test(a_stop_inside_a_callback_shows_in_boottime_alone),
        cmocka_unit_test(thread_jobs_and_wakeups_run_in_a_later_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
