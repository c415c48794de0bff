/* xoshiro256** (Blackman and Vigna, public domain description), seeded by the system or by splitmix64. */
#include "base/random.h"

#include <assert.h>
#include <sys/random.h>

static uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

void random_init(struct random *random)
{
    do {
        if (getrandom(random->state, sizeof random->state, 0) != (ssize_t)sizeof random->state)
            base_die("getrandom: the system gives no random bytes");
    } while (!(random->state[0] | random->state[1] | random->state[2] | random->state[3]));
}

void random_init_seed(struct random *random, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LENGTH(random->state); i++) {
        seed += 0x9e3779b97f4a7c15u;
        uint64_t mixed = seed;
        mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
        random->state[i] = mixed ^ mixed >> 31;
    }
}

uint64_t random_next(struct random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    assert(bound > 0);
    return (uint64_t)(((unsigned __int128)random_next(random) * bound) >> 64);
}

int64_t random_jitter_ms(struct random *random, int64_t ms)
{
    assert(ms >= 0);
    int64_t spread = ms * 2 / 5;
    return ms - ms / 5 + (spread > 0 ? (int64_t)random_below(random, (uint64_t)spread) : 0);
}

void random_uuid(struct random *random, char text[RANDOM_UUID_SIZE])
{
    uint64_t high = random_next(random), low = random_next(random);
    high = (high & ~0xf000ull) | 0x4000u;
    low = (low & ~(3ull << 62)) | 2ull << 62;
    const struct {
        uint64_t value;
        size_t digits;
    } groups[] = {{high >> 32, 8}, {high >> 16, 4}, {high, 4}, {low >> 48, 4}, {low, 12}};
    for (size_t i = 0; i < ARRAY_LENGTH(groups); i++) {
        base_hex_text(groups[i].value, groups[i].digits, text);
        text += groups[i].digits;
        *text++ = '-';
    }
    text[-1] = '\0';
}
