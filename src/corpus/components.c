#include "corpus/components.h"

#include <string.h>

struct star_turn {
    struct external_sort *from, *to; /* owned by the caller */
    uint64_t changes;
};

static status add_edge(struct external_sort *to, uint64_t a, uint64_t b, struct error *error)
{
    return external_sort_add(to, (const uint64_t[]){a, b}, 1, error);
}

static status add_both_ways(struct external_sort *to, uint64_t a, uint64_t b, struct error *error)
{
    TRY(add_edge(to, a, b, error));
    return add_edge(to, b, a, error);
}

/* The next edge, each only once; false after the last. */
static status next_edge(bool *found, uint64_t edge[2], struct external_sort *from, bool first,
                        struct error *error)
{
    const uint64_t *record;
    do
        TRY(external_sort_next(&record, from, error));
    while (record && !first && record[0] == edge[0] && record[1] == edge[1]);
    *found = record != NULL;
    if (record)
        memcpy(edge, record, 2 * sizeof *record);
    return OK;
}

/* From both directions of each edge: the larger neighbours of a node go to the smallest of them
 * all.  Neighbours come in rising order, so the first tells the smallest. */
static status large_stars(struct star_turn *turn, struct error *error)
{
    uint64_t edge[2], node = 0, least = 0;
    bool found;
    TRY(next_edge(&found, edge, turn->from, true, error));
    for (bool first = true; found; first = false) {
        if (first || edge[0] != node) {
            node = edge[0];
            least = edge[1] < node ? edge[1] : node;
        }
        if (edge[1] > node) {
            turn->changes += least != node;
            TRY(add_edge(turn->to, edge[1], least, error));
        }
        TRY(next_edge(&found, edge, turn->from, false, error));
    }
    return OK;
}

/* From edges {larger, smaller}: a node and its smaller neighbours go to the smallest of these. */
static status small_stars(struct star_turn *turn, struct error *error)
{
    uint64_t edge[2], node = 0, least = 0;
    bool found;
    TRY(next_edge(&found, edge, turn->from, true, error));
    for (bool first = true; found; first = false) {
        if (first || edge[0] != node) {
            node = edge[0];
            least = edge[1];
            TRY(add_both_ways(turn->to, node, least, error));
        } else {
            turn->changes++;
            TRY(add_both_ways(turn->to, edge[1], least, error));
        }
        TRY(next_edge(&found, edge, turn->from, false, error));
    }
    return OK;
}

static status copy_both_ways(struct external_sort *to, struct external_sort *edges,
                             struct error *error)
{
    const uint64_t *record;
    TRY(external_sort_rewind(edges, error));
    for (;;) {
        TRY(external_sort_next(&record, edges, error));
        if (!record)
            return OK;
        if (record[0] != record[1])
            TRY(add_both_ways(to, record[0], record[1], error));
    }
}

/* Runs a turn from *from, which it destroys, into a new sort. */
static status take_turn(struct star_turn *turn, status (*stars)(struct star_turn *, struct error *),
                        const struct external_sort_settings *settings, struct error *error)
{
    TRY(external_sort_create(&turn->to, settings, error));
    TRY(stars(turn, error));
    return external_sort_finish(turn->to, error);
}

/* The last small star also wrote the edges both ways; what is wanted is {larger, smaller}. */
static status keep_larger_first(struct external_sort *to, struct external_sort *from,
                                struct error *error)
{
    uint64_t edge[2];
    bool found, first = true;
    for (;; first = false) {
        TRY(next_edge(&found, edge, from, first, error));
        if (!found)
            return external_sort_finish(to, error);
        if (edge[0] > edge[1])
            TRY(external_sort_add(to, edge, 1, error));
    }
}

/* Turns until nothing changes.  turn->from and turn->to are left for the caller to destroy. */
static status turns(struct star_turn *turn, const struct external_sort_settings *settings,
                    struct error *error)
{
    do {
        turn->changes = 0;
        TRY(take_turn(turn, large_stars, settings, error));
        external_sort_destroy(turn->from);
        turn->from = turn->to;
        turn->to = NULL;
        TRY(take_turn(turn, small_stars, settings, error));
        external_sort_destroy(turn->from);
        turn->from = turn->to;
        turn->to = NULL;
    } while (turn->changes);
    TRY(external_sort_create(&turn->to, settings, error));
    return keep_larger_first(turn->to, turn->from, error);
}

status components_find(struct external_sort **out, struct external_sort *edges,
                       const struct external_sort_settings *settings, struct error *error)
{
    ASSERT(out && edges && settings && error);
    struct external_sort_settings pairs = *settings;
    pairs.words = 2;
    struct star_turn turn = {0};
    TRY(external_sort_create(&turn.from, &pairs, error));
    status result = copy_both_ways(turn.from, edges, error);
    if (result == OK)
        result = external_sort_finish(turn.from, error);
    if (result == OK)
        result = turns(&turn, &pairs, error);
    external_sort_destroy(turn.from);
    if (result != OK) {
        external_sort_destroy(turn.to);
        return result;
    }
    *out = turn.to;
    return OK;
}
