#ifndef TESTS_UNIT_CORE_WALK_H
#define TESTS_UNIT_CORE_WALK_H
#include "base/random.h"
#include "test.h"

/* Random walks through a machine: each has a seed of its own, which a failure prints, so that it alone can be
 * walked again. */

enum { WALK_COUNT = 1000000, WALK_FIRST_SEED = 1 };

struct walk {
    uint64_t seed;
    struct random random;
};

static inline void walk_begin(struct walk *walk, uint64_t seed)
{
    walk->seed = seed;
    random_init_seed(&walk->random, seed);
}

static inline bool walk_one_in(struct walk *walk, uint64_t n)
{
    return random_below(&walk->random, n) == 0;
}

static inline int64_t walk_below(struct walk *walk, int64_t bound)
{
    return (int64_t)random_below(&walk->random, (uint64_t)bound);
}

#define WALK_HOLDS(walk, condition)                                                                          \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            print_error("the walk of seed %llu:\n", (unsigned long long)(walk)->seed);                       \
            assert_true(condition);                                                                          \
        }                                                                                                    \
    } while (0)

#endif
