#include "sim/random.h"

#include <string.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void sim_random_seed(struct sim_random *random, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++)
        random->s[i] = splitmix(&seed);
}

uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t *s = random->s;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* The bias of a plain remainder is below 2^-32 for the small numbers that are asked for. */
uint64_t sim_random_below(struct sim_random *random, uint64_t n)
{
    return sim_random_next(random) % n;
}

uint64_t sim_random_between(struct sim_random *random, uint64_t least, uint64_t most)
{
    return least + sim_random_below(random, most - least + 1);
}

bool sim_random_chance(struct sim_random *random, uint32_t millionths)
{
    return sim_random_below(random, 1000000) < millionths;
}

void sim_random_bytes(struct sim_random *random, void *out, size_t n)
{
    uint8_t *p = out;
    while (n > 0) {
        uint64_t v = sim_random_next(random);
        size_t part = n < sizeof(v) ? n : sizeof(v);
        memcpy(p, &v, part);
        p += part;
        n -= part;
    }
}
