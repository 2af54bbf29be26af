/* Who sends what to whom: the rounds of an exchange, without any sending.
 *
 * In the round of distance d (a power of two) a process and its partner, rank ^ d, hold sums (or
 * finished items) of the same group of ranks, or of neighbouring ones.  A sum goes by the distances
 * 1, 2, 4, ...: each sends the items whose owner stands nearer to the partner and adds what it
 * receives, so that after the last round an owner has added neighbours, then neighbours of these:
 * the balanced tree, left + right.  Sharing goes the same way back.  (Recursive halving and
 * doubling: Thakur, Rabenseifner, Gropp 2005.) */
#ifndef RODNIK_TENSOR_COMM_PLAN_H
#define RODNIK_TENSOR_COMM_PLAN_H

#include "tensor/comm.h"

enum exchange { EXCHANGE_SUM, EXCHANGE_SHARE };

enum {
    BUCKET_BYTES_MAX = 8 << 20, /* exchanged as one */
    BUCKET_PARTS_MAX = 64,
    EXCHANGES_MAX = 4 /* under way at once, each with memory for a bucket that arrives */
};

/* The end of the bucket that begins at `begin`; <= end. */
size_t comm_bucket_end(const struct comm_map *map, size_t begin, size_t end, size_t item_bytes);

/* Distance to the partner in round 0, 1, ...; 0 after the last. */
int comm_round_distance(enum exchange kind, int processes, int round);

struct comm_round {
    enum exchange kind;
    int rank, distance;
    size_t begin, end; /* of a bucket */
};
struct comm_span {
    size_t begin, end;
    bool send; /* else receive */
};
/* What the process sends and receives, ascending: the partner's spans are the same with `send`
 * turned.  Returns how many; at most BUCKET_PARTS_MAX. */
size_t comm_round_spans(struct comm_span out[BUCKET_PARTS_MAX], const struct comm_map *map,
                        const struct comm_round *round);

#endif
