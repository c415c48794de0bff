/* Stacks by ucontext, known to the sanitizer. */
#include "fakes/loop/fiber.h"

#include <stdlib.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ADDRESS_SANITIZER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#endif

#ifdef HAS_ADDRESS_SANITIZER
#include <sanitizer/common_interface_defs.h>
#else
static void __sanitizer_start_switch_fiber(void **fake_stack, const void *bottom, size_t size)
{
    (void)fake_stack, (void)bottom, (void)size;
}

static void __sanitizer_finish_switch_fiber(void *fake_stack, const void **bottom, size_t *size)
{
    (void)fake_stack, (void)bottom, (void)size;
}
#endif

enum { STACK_BYTES = 512 * 1024 };

struct fiber {
    ucontext_t inside, outside;
    void (*fn)(void *arg);
    void *arg;
    char *stack;
    const void *outside_bottom;
    size_t outside_size;
    void *inside_fakes, *outside_fakes; /* the sanitizer's */
    bool is_over;
};

/* makecontext passes ints only. */
static void begin(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)(((uintptr_t)high << 32) | low);
    __sanitizer_finish_switch_fiber(NULL, &fiber->outside_bottom, &fiber->outside_size);
    fiber->fn(fiber->arg);
    fiber->is_over = true;
    __sanitizer_start_switch_fiber(NULL, fiber->outside_bottom, fiber->outside_size);
}

struct fiber *fiber_new(void (*fn)(void *arg), void *arg)
{
    struct fiber *fiber = base_alloc(sizeof *fiber);
    fiber->fn = fn;
    fiber->arg = arg;
    fiber->stack = malloc(STACK_BYTES); /* not zeroed: most of it is never touched */
    if (!fiber->stack || getcontext(&fiber->inside) != 0)
        base_die("no memory for a stack");
    fiber->inside.uc_stack.ss_sp = fiber->stack;
    fiber->inside.uc_stack.ss_size = STACK_BYTES;
    fiber->inside.uc_link = &fiber->outside;
    uintptr_t self = (uintptr_t)fiber;
    makecontext(&fiber->inside, (void (*)(void))begin, 2, (unsigned)(self >> 32), (unsigned)self);
    return fiber;
}

bool fiber_resume(struct fiber *fiber)
{
    __sanitizer_start_switch_fiber(&fiber->outside_fakes, fiber->stack, STACK_BYTES);
    (void)swapcontext(&fiber->outside, &fiber->inside);
    __sanitizer_finish_switch_fiber(fiber->outside_fakes, NULL, NULL);
    return fiber->is_over;
}

void fiber_pause(struct fiber *fiber)
{
    __sanitizer_start_switch_fiber(&fiber->inside_fakes, fiber->outside_bottom, fiber->outside_size);
    (void)swapcontext(&fiber->inside, &fiber->outside);
    __sanitizer_finish_switch_fiber(fiber->inside_fakes, &fiber->outside_bottom, &fiber->outside_size);
}

void fiber_free(struct fiber *fiber)
{
    if (!fiber)
        return;
    free(fiber->stack);
    free(fiber);
}
