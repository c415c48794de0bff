#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H
#include "base/base.h"

/* Random numbers from an object, so that a simulation repeats from its seed. Seeded with 256 bits of the
 * system in production, which makes collisions of ids between workers a matter of 122 random bits. Not for
 * secrets. */

struct random {
    uint64_t state[4]; /* xoshiro256**; never all zero */
};

void random_init(struct random *random);                     /* from the system */
void random_init_seed(struct random *random, uint64_t seed); /* repeatable */

uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound); /* 0 .. bound-1; bound > 0 */

/* Spreads a wait: ms · [0.8, 1.2). */
int64_t random_jitter_ms(struct random *random, int64_t ms);

enum { RANDOM_UUID_SIZE = 37 };
/* A version 4 UUID in lower case. */
void random_uuid(struct random *random, char text[RANDOM_UUID_SIZE]);

#endif
