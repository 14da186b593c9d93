#include "vision/flow.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/banned.h"

/* Parent of a node where it is not an arc. */
enum { FREE = -1, TERMINAL = -2, ORPHAN = -3 };
enum { NOBODY = -1 };

typedef struct Arc {
    int head;      /* node it leads to */
    int next;      /* next arc out of the same node, NOBODY at the end */
    int32_t left;  /* residual capacity */
} Arc;             /* arc i and its reverse i ^ 1 lie side by side */

typedef struct Node {
    int first;    /* arc */
    int parent;   /* arc from this node to its parent in the tree, or FREE, TERMINAL, ORPHAN */
    int next;     /* in the queue of active nodes: NOBODY when not in it, itself when last */
    int time;     /* when `distance` was found right */
    int distance; /* to the terminal, in arcs */
    bool sink;    /* tree, where parent is not FREE */
    int64_t left; /* residual capacity from the source (positive) or to the sink (negative) */
} Node;

struct Flow {
    Node *nodes;
    Arc *arcs;
    int node_count, arc_count;
    int queue_first, queue_last; /* active nodes, first in first out */
    int *orphans;                /* to be adopted, first in first out: children wait for what becomes of their parents' level */
    int orphan_first, orphan_count, orphan_room;
    int time;
    int64_t value;
};

Flow *flow_new(int nodes, int edges) {
    Flow *f = xcalloc(1, sizeof *f);
    f->nodes = xcalloc((size_t)nodes + 1, sizeof *f->nodes);
    f->arcs = xmalloc(((size_t)edges + 1) * 2 * sizeof *f->arcs);
    f->node_count = nodes;
    f->queue_first = f->queue_last = NOBODY;
    for (int i = 0; i < nodes; i++) f->nodes[i] = (Node){.first = NOBODY, .parent = FREE, .next = NOBODY};
    return f;
}

void flow_free(Flow *flow) {
    if (!flow) return;
    free(flow->nodes);
    free(flow->arcs);
    free(flow->orphans);
    free(flow);
}

void flow_terminals(Flow *flow, int node, int64_t from_source, int64_t to_sink) {
    /* what can run straight through counts at once; the rest of an earlier call takes part */
    int64_t left = flow->nodes[node].left;
    if (left > 0) from_source += left;
    else to_sink -= left;
    flow->value += from_source < to_sink ? from_source : to_sink;
    flow->nodes[node].left = from_source - to_sink;
}

void flow_edge(Flow *flow, int a, int b, int32_t forth, int32_t back) {
    int arc = flow->arc_count;
    flow->arcs[arc] = (Arc){.head = b, .next = flow->nodes[a].first, .left = forth};
    flow->arcs[arc + 1] = (Arc){.head = a, .next = flow->nodes[b].first, .left = back};
    flow->nodes[a].first = arc;
    flow->nodes[b].first = arc + 1;
    flow->arc_count += 2;
}

/* ---- queue of active nodes ---- */

static void activate(Flow *f, int i) {
    if (f->nodes[i].next != NOBODY) return;
    if (f->queue_last == NOBODY) f->queue_first = i;
    else f->nodes[f->queue_last].next = i;
    f->queue_last = i;
    f->nodes[i].next = i;
}

/* The first active node that still belongs to a tree; NOBODY when all is done. */
static int next_active(Flow *f) {
    while (f->queue_first != NOBODY) {
        int i = f->queue_first;
        f->queue_first = f->nodes[i].next == i ? NOBODY : f->nodes[i].next;
        if (f->queue_first == NOBODY) f->queue_last = NOBODY;
        f->nodes[i].next = NOBODY;
        if (f->nodes[i].parent != FREE) return i;
    }
    return NOBODY;
}

static void make_orphan(Flow *f, int i) {
    if (f->orphan_count == f->orphan_room) {
        f->orphan_room = f->orphan_room ? 2 * f->orphan_room : 256;
        f->orphans = xrealloc(f->orphans, (size_t)f->orphan_room * sizeof *f->orphans);
    }
    f->nodes[i].parent = ORPHAN;
    f->orphans[f->orphan_count++] = i;
}

/* ---- growth ---- */

/* Capacity of an arc in the direction in which flow runs: from a source node outwards, towards a sink node inwards. */
static int32_t capacity(const Flow *f, int arc, bool sink) { return f->arcs[sink ? arc ^ 1 : arc].left; }

static void adopt_if_nearer(Flow *f, int child, int parent, int arc) {
    Node *c = &f->nodes[child];
    const Node *p = &f->nodes[parent];
    if (c->time > p->time || c->distance <= p->distance) return;
    c->parent = arc ^ 1;
    c->time = p->time;
    c->distance = p->distance + 1;
}

/* Grows the tree of node i by its neighbours. Returns an arc from the source's tree into the sink's, or NOBODY. */
static int grow(Flow *f, int i) {
    Node *n = &f->nodes[i];
    for (int arc = n->first; arc != NOBODY; arc = f->arcs[arc].next) {
        if (capacity(f, arc, n->sink) == 0) continue;
        int other = f->arcs[arc].head;
        Node *o = &f->nodes[other];
        if (o->parent == FREE) {
            o->sink = n->sink;
            o->parent = arc ^ 1;
            o->time = n->time;
            o->distance = n->distance + 1;
            activate(f, other);
        } else if (o->sink != n->sink) {
            return n->sink ? arc ^ 1 : arc;
        } else {
            adopt_if_nearer(f, other, i, arc);
        }
    }
    return NOBODY;
}

/* ---- augmentation ---- */

/* Smallest residual capacity from node i up its tree to the terminal. */
static int64_t bottleneck(const Flow *f, int i, bool sink, int64_t most) {
    while (f->nodes[i].parent != TERMINAL) {
        int up = f->nodes[i].parent; /* arc from the node to its parent */
        int64_t c = f->arcs[sink ? up : up ^ 1].left;
        if (c < most) most = c;
        i = f->arcs[up].head;
    }
    int64_t c = sink ? -f->nodes[i].left : f->nodes[i].left;
    return c < most ? c : most;
}

static void push(Flow *f, int i, bool sink, int64_t amount) {
    while (f->nodes[i].parent != TERMINAL) {
        int up = f->nodes[i].parent, along = sink ? up : up ^ 1;
        f->arcs[along].left -= (int32_t)amount;
        f->arcs[along ^ 1].left += (int32_t)amount;
        int parent = f->arcs[up].head;
        if (f->arcs[along].left == 0) make_orphan(f, i);
        i = parent;
    }
    f->nodes[i].left += sink ? amount : -amount;
    if (f->nodes[i].left == 0) make_orphan(f, i);
}

static void augment(Flow *f, int arc) {
    int from = f->arcs[arc ^ 1].head, to = f->arcs[arc].head;
    int64_t amount = bottleneck(f, from, false, f->arcs[arc].left);
    amount = bottleneck(f, to, true, amount);
    f->arcs[arc].left -= (int32_t)amount;
    f->arcs[arc ^ 1].left += (int32_t)amount;
    push(f, from, false, amount);
    push(f, to, true, amount);
    f->value += amount;
}

/* ---- adoption ---- */

/* Arcs from node i to the terminal of its tree, -1 when its branch hangs on an orphan. Marks the way with the present time, so that it is
 * walked once in a round of adoptions. */
static int distance_to_terminal(Flow *f, int i) {
    int steps = 0, at = i;
    while (f->nodes[at].time != f->time && f->nodes[at].parent != TERMINAL) {
        int parent = f->nodes[at].parent;
        if (parent == ORPHAN || parent == FREE) return -1;
        at = f->arcs[parent].head;
        steps++;
    }
    int total = steps + (f->nodes[at].time == f->time ? f->nodes[at].distance : 1);
    for (int left = total, node = i; node != at; left--, node = f->arcs[f->nodes[node].parent].head) {
        f->nodes[node].time = f->time;
        f->nodes[node].distance = left;
    }
    f->nodes[at].distance = total - steps;
    f->nodes[at].time = f->time;
    return total;
}

/* The neighbour in the same tree that is nearest to the terminal and can pass flow, as an arc from the orphan; NOBODY. */
static int find_parent(Flow *f, int i) {
    int best = NOBODY, best_distance = 0;
    bool sink = f->nodes[i].sink;
    for (int arc = f->nodes[i].first; arc != NOBODY; arc = f->arcs[arc].next) {
        const Node *other = &f->nodes[f->arcs[arc].head];
        if (capacity(f, arc ^ 1, sink) == 0 || other->parent == FREE || other->sink != sink) continue;
        int distance = distance_to_terminal(f, f->arcs[arc].head);
        if (distance >= 0 && (best == NOBODY || distance < best_distance)) {
            best = arc;
            best_distance = distance;
        }
    }
    if (best != NOBODY) {
        f->nodes[i].time = f->time;
        f->nodes[i].distance = best_distance + 1;
    }
    return best;
}

/* An orphan without a parent leaves the tree: its children become orphans, and who might take it in again becomes active. */
static void release(Flow *f, int i) {
    bool sink = f->nodes[i].sink;
    for (int arc = f->nodes[i].first; arc != NOBODY; arc = f->arcs[arc].next) {
        int other = f->arcs[arc].head;
        const Node *o = &f->nodes[other];
        if (o->parent == FREE || o->sink != sink) continue;
        if (capacity(f, arc ^ 1, sink) > 0) activate(f, other);
        if (o->parent >= 0 && f->arcs[o->parent].head == i) make_orphan(f, other);
    }
    f->nodes[i].parent = FREE;
}

static void adopt_orphans(Flow *f) {
    while (f->orphan_first < f->orphan_count) {
        int i = f->orphans[f->orphan_first++];
        int parent = find_parent(f, i);
        if (parent == NOBODY) release(f, i);
        else f->nodes[i].parent = parent;
    }
    f->orphan_first = f->orphan_count = 0;
}

/* ---- all together ---- */

static void plant(Flow *f) {
    for (int i = 0; i < f->node_count; i++) {
        Node *n = &f->nodes[i];
        if (n->left == 0) continue;
        n->sink = n->left < 0;
        n->parent = TERMINAL;
        n->distance = 1;
        activate(f, i);
    }
}

int64_t flow_solve(Flow *flow) {
    plant(flow);
    for (int i = next_active(flow); i != NOBODY; i = next_active(flow)) {
        for (int arc; flow->nodes[i].parent != FREE && (arc = grow(flow, i)) != NOBODY;) {
            flow->time++;
            augment(flow, arc);
            adopt_orphans(flow);
        }
    }
    return flow->value;
}

bool flow_is_source(const Flow *flow, int node) { return flow->nodes[node].parent != FREE && !flow->nodes[node].sink; }
