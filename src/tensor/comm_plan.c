#include "tensor/comm_plan.h"

/* The part that holds item `at`. */
static size_t find_part(const struct comm_map *map, size_t at)
{
    size_t low = 0, high = map->parts;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (map->start[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t comm_bucket_end(const struct comm_map *map, size_t begin, size_t end, size_t item_bytes)
{
    ASSERT(map && begin < end && end <= map->start[map->parts] && item_bytes);
    size_t items = item_bytes < BUCKET_BYTES_MAX ? BUCKET_BYTES_MAX / item_bytes : 1;
    size_t last = find_part(map, begin) + BUCKET_PARTS_MAX;
    if (end - begin > items)
        end = begin + items;
    return last < map->parts && map->start[last] < end ? map->start[last] : end;
}

int comm_round_distance(enum exchange kind, int processes, int round)
{
    ASSERT(processes >= 1 && (processes & (processes - 1)) == 0 && round >= 0);
    int rounds = __builtin_ctz((unsigned)processes);
    if (round >= rounds)
        return 0;
    return kind == EXCHANGE_SUM ? 1 << round : processes >> (round + 1);
}

size_t comm_round_spans(struct comm_span out[BUCKET_PARTS_MAX], const struct comm_map *map,
                        const struct comm_round *round)
{
    ASSERT(out && map && round && round->distance >= 1 && round->begin < round->end);
    int mask = 2 * round->distance - 1, partner = round->rank ^ round->distance;
    size_t count = 0;
    for (size_t p = find_part(map, round->begin); p < map->parts && map->start[p] < round->end;
         p++) {
        bool own = ((map->owner[p] ^ round->rank) & mask) == 0;
        bool theirs = ((map->owner[p] ^ partner) & mask) == 0;
        size_t begin = map->start[p] < round->begin ? round->begin : map->start[p];
        size_t end = map->start[p + 1] > round->end ? round->end : map->start[p + 1];
        bool send = round->kind == EXCHANGE_SUM ? theirs : own;
        if ((!own && !theirs) || begin == end)
            continue;
        struct comm_span *last = count ? &out[count - 1] : NULL;
        if (last && last->end == begin && last->send == send) {
            last->end = end;
            continue;
        }
        ASSERT(count < BUCKET_PARTS_MAX);
        out[count++] = (struct comm_span){begin, end, send};
    }
    return count;
}
