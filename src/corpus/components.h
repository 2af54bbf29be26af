/* Connected components of a graph that does not fit into memory: stars are built by turns around
 * the smallest neighbour of each node (large stars) and among the smaller neighbours (small stars)
 * until each node hangs on the smallest one of its component (Kiveris et al., "Connected Components
 * in MapReduce and Beyond", SoCC 2014).  Each turn is a sort of the edges on disk. */
#ifndef RODNIK_CORPUS_COMPONENTS_H
#define RODNIK_CORPUS_COMPONENTS_H

#include "base/external_sort.h"

/* From `edges`, finished, of records {node, node} in any direction and any number of times, makes a
 * finished sort of {node, root}: every node with an edge that is not itself the smallest of its
 * component stands there once, root being that smallest.  `edges` is read from its beginning.
 * settings.memory_bytes is for each of the three sorts that live at once; settings.words counts for
 * nothing. */
MUST_USE status components_find(struct external_sort **out, struct external_sort *edges,
                                const struct external_sort_settings *settings, struct error *error);

#endif
