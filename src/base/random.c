#include "base/random.h"

__extension__ typedef unsigned __int128 wide;

/* Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).
 * */
struct random_block random_philox_raw(const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0;
        c1 = (uint32_t)p1;
        c2 = n2;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (struct random_block){{c0, c1, c2, c3}};
}

struct random_block random_philox(struct random_key key, uint64_t index)
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)key.stream,
                                 (uint32_t)(key.stream >> 32)};
    const uint32_t words[2] = {(uint32_t)key.seed,
                               (uint32_t)(key.seed >> 32) ^ key.purpose * 0x9E3779B9u};
    return random_philox_raw(counter, words);
}

uint64_t random_u64(struct random_key key, uint64_t index)
{
    struct random_block block = random_philox(key, index);
    return (uint64_t)block.word[1] << 32 | block.word[0];
}

float random_unit(struct random_key key, uint64_t index)
{
    return (float)(random_philox(key, index).word[0] >> 8) * 0x1p-24f;
}

uint64_t random_below(struct random_key key, uint64_t index, uint64_t limit)
{
    ASSERT(limit > 0);
    return (uint64_t)(((wide)random_u64(key, index) * limit) >> 64);
}
