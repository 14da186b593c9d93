#include "vision/flow.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/banned.h"

const struct FlowStep FLOW_STEPS[FLOW_DIRECTIONS] = {{1, 0}, {0, 1}, {1, 1}, {-1, 1}, {-1, 0}, {0, -1}, {-1, -1}, {1, -1}};

enum { FREE = 0, SOURCE = 1, SINK = 2 }; /* the tree that a node is in */
enum { TERMINAL = -1, ORPHAN = -2 };      /* parent where it is not a direction */
enum { NOBODY = -1 };

typedef struct Node {
    int16_t link[FLOW_DIRECTIONS]; /* residual capacity towards each neighbour */
    int32_t left;     /* residual capacity from the source (positive) or to the sink (negative) */
    int32_t time;     /* when `distance` was found right */
    int32_t distance; /* to the terminal, in steps */
    uint8_t tree;
    int8_t parent;    /* direction, or TERMINAL, ORPHAN; where the node is in a tree */
    bool active;      /* in the queue */
    bool listed;      /* among `used` */
} Node;

typedef struct List {
    int *items;
    int count, room;
} List;

/* Around the grid lies a margin of nodes without links, so that no step needs a look at where it goes. */
struct Flow {
    Node *nodes;
    int step[FLOW_DIRECTIONS]; /* to a neighbour, in nodes */
    int width, stride;
    List used;                 /* nodes that ever leaned */
    List active;               /* first in first out, from active_first on */
    int active_first;
    List orphans;              /* likewise: children wait for what becomes of their parents' level */
    int orphan_first;
    int time;
};

Flow *flow_new(int width, int height) {
    Flow *f = xcalloc(1, sizeof *f);
    f->width = width;
    f->stride = width + 1; /* the column right of the grid is also the one left of it */
    f->nodes = xcalloc((size_t)f->stride * ((size_t)height + 2) + 1, sizeof *f->nodes); /* untouched pages cost nothing */
    for (int d = 0; d < FLOW_DIRECTIONS; d++) f->step[d] = FLOW_STEPS[d].dy * f->stride + FLOW_STEPS[d].dx;
    return f;
}

void flow_free(Flow *flow) {
    if (!flow) return;
    free(flow->nodes);
    free(flow->used.items);
    free(flow->active.items);
    free(flow->orphans.items);
    free(flow);
}

static void append(List *list, int item) {
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 1024;
        list->items = xrealloc(list->items, (size_t)list->room * sizeof *list->items);
    }
    list->items[list->count++] = item;
}

static int node_of(const Flow *f, int pixel) { return (pixel / f->width + 1) * f->stride + 1 + pixel % f->width; }
static int opposite(int direction) { return direction ^ 4; }

/* Whatever is linked or leans may be in a tree later, and only what is `used` is planted. */
static void use(Flow *f, int i) {
    if (f->nodes[i].listed) return;
    f->nodes[i].listed = true;
    append(&f->used, i);
}

void flow_link(Flow *flow, int pixel, int direction, int weight) {
    int i = node_of(flow, pixel), other = i + flow->step[direction];
    flow->nodes[i].link[direction] = flow->nodes[other].link[opposite(direction)] = (int16_t)weight;
    use(flow, i);
    use(flow, other);
}

void flow_lean(Flow *flow, int pixel, int amount) {
    int i = node_of(flow, pixel);
    use(flow, i);
    flow->nodes[i].left += amount;
}

/* ---- queue of active nodes ---- */

static void activate(Flow *f, int i) {
    if (f->nodes[i].active) return;
    f->nodes[i].active = true;
    append(&f->active, i);
}

/* The queue gives up its read half when that is most of it. */
static void shorten(List *list, int *first) {
    if (*first < 4096 || *first * 2 < list->count) return;
    for (int i = *first; i < list->count; i++) list->items[i - *first] = list->items[i];
    list->count -= *first;
    *first = 0;
}

/* The first active node that still belongs to a tree; NOBODY when all is done. */
static int next_active(Flow *f) {
    while (f->active_first < f->active.count) {
        int i = f->active.items[f->active_first++];
        shorten(&f->active, &f->active_first);
        f->nodes[i].active = false;
        if (f->nodes[i].tree != FREE) return i;
    }
    f->active.count = f->active_first = 0;
    return NOBODY;
}

static void make_orphan(Flow *f, int i) {
    f->nodes[i].parent = ORPHAN;
    append(&f->orphans, i);
}

/* ---- growth ---- */

/* Capacity of a link by which a neighbour may become a child: flow runs from the source's root outwards, to the sink's root inwards. */
static int outwards(const Node *n, const Node *neighbour, int direction) {
    return n->tree == SINK ? neighbour->link[opposite(direction)] : n->link[direction];
}

/* … and by which it may become the parent. */
static int inwards(const Node *n, const Node *neighbour, int direction) {
    return n->tree == SINK ? n->link[direction] : neighbour->link[opposite(direction)];
}

/* Grows the tree of node i by its neighbours. Returns the direction of one in the other tree to which flow can run, or NOBODY. */
static int grow(Flow *f, int i) {
    const Node *n = &f->nodes[i];
    for (int d = 0; d < FLOW_DIRECTIONS; d++) {
        Node *o = &f->nodes[i + f->step[d]];
        if (outwards(n, o, d) == 0) continue;
        if (o->tree == FREE) {
            o->tree = n->tree;
            activate(f, i + f->step[d]);
        } else if (o->tree != n->tree) {
            return d;
        } else if (o->time > n->time || o->distance <= n->distance) {
            continue; /* it has a way that is no longer */
        }
        o->parent = (int8_t)opposite(d);
        o->time = n->time;
        o->distance = n->distance + 1;
    }
    return NOBODY;
}

/* ---- augmentation ---- */

/* Smallest residual capacity from node i up its tree to the terminal. */
static int bottleneck(const Flow *f, int i, bool sink, int most) {
    const Node *n = &f->nodes[i];
    while (n->parent != TERMINAL) {
        const Node *up = n + f->step[n->parent];
        int c = sink ? n->link[n->parent] : up->link[opposite(n->parent)];
        if (c < most) most = c;
        n = up;
    }
    int c = sink ? -n->left : n->left;
    return c < most ? c : most;
}

static void push(Flow *f, int i, bool sink, int amount) {
    Node *n = &f->nodes[i];
    int sign = sink ? amount : -amount;
    while (n->parent != TERMINAL) {
        int direction = n->parent;
        Node *up = n + f->step[direction];
        n->link[direction] = (int16_t)(n->link[direction] - sign);
        up->link[opposite(direction)] = (int16_t)(up->link[opposite(direction)] + sign);
        if ((sink ? n->link[direction] : up->link[opposite(direction)]) == 0) make_orphan(f, (int)(n - f->nodes));
        n = up;
    }
    n->left += sign;
    if (n->left == 0) make_orphan(f, (int)(n - f->nodes));
}

/* Saturates the path over node i and its neighbour in the other tree. */
static void augment(Flow *f, int i, int direction) {
    if (f->nodes[i].tree == SINK) i += f->step[direction], direction = opposite(direction);
    Node *from = &f->nodes[i], *to = from + f->step[direction];
    int j = i + f->step[direction];
    int amount = bottleneck(f, j, true, bottleneck(f, i, false, from->link[direction]));
    from->link[direction] = (int16_t)(from->link[direction] - amount);
    to->link[opposite(direction)] = (int16_t)(to->link[opposite(direction)] + amount);
    push(f, i, false, amount);
    push(f, j, true, amount);
}

/* ---- adoption ---- */

/* Steps from a node to the terminal of its tree, -1 when its branch hangs on an orphan. Marks the way with the present time, so that it
 * is walked once in a round of adoptions. */
static int distance_to_terminal(Flow *f, Node *node) {
    int steps = 0;
    Node *at = node;
    while (at->time != f->time && at->parent != TERMINAL) {
        if (at->parent < 0) return -1;
        at += f->step[at->parent];
        steps++;
    }
    int total = steps + (at->time == f->time ? at->distance : 1);
    at->distance = total - steps;
    at->time = f->time;
    for (int left = total; node != at; left--, node += f->step[node->parent]) {
        node->time = f->time;
        node->distance = left;
    }
    return total;
}

/* The direction of the neighbour in the same tree that is nearest to the terminal and can pass flow; NOBODY. */
static int find_parent(Flow *f, Node *n) {
    int best = NOBODY, best_distance = 0;
    for (int d = 0; d < FLOW_DIRECTIONS; d++) {
        Node *other = n + f->step[d];
        if (other->tree != n->tree || inwards(n, other, d) == 0) continue;
        int distance = distance_to_terminal(f, other);
        if (distance >= 0 && (best == NOBODY || distance < best_distance)) best = d, best_distance = distance;
    }
    if (best != NOBODY) {
        n->time = f->time;
        n->distance = best_distance + 1;
    }
    return best;
}

/* An orphan without a parent leaves the tree: its children become orphans, and who might take it in again becomes active. */
static void release(Flow *f, int i) {
    Node *n = &f->nodes[i];
    for (int d = 0; d < FLOW_DIRECTIONS; d++) {
        const Node *o = n + f->step[d];
        if (o->tree != n->tree) continue;
        if (inwards(n, o, d) > 0) activate(f, i + f->step[d]);
        if (o->parent == opposite(d)) make_orphan(f, i + f->step[d]);
    }
    n->tree = FREE;
}

static void adopt_orphans(Flow *f) {
    while (f->orphan_first < f->orphans.count) {
        int i = f->orphans.items[f->orphan_first++];
        int parent = find_parent(f, &f->nodes[i]);
        if (parent == NOBODY) release(f, i);
        else f->nodes[i].parent = (int8_t)parent;
    }
    f->orphan_first = f->orphans.count = 0;
}

/* ---- all together ---- */

static void plant(Flow *f) {
    f->time++;
    for (int k = 0; k < f->used.count; k++) {
        Node *n = &f->nodes[f->used.items[k]];
        n->tree = n->left > 0 ? SOURCE : n->left < 0 ? SINK : FREE;
        n->parent = TERMINAL;
        n->distance = 1;
        n->time = f->time;
        if (n->left) activate(f, f->used.items[k]);
    }
}

void flow_solve(Flow *flow) {
    plant(flow);
    for (int i = next_active(flow); i != NOBODY; i = next_active(flow)) {
        for (int d; flow->nodes[i].tree != FREE && (d = grow(flow, i)) != NOBODY;) {
            flow->time++;
            augment(flow, i, d);
            adopt_orphans(flow);
        }
    }
}

bool flow_is_source(const Flow *flow, int pixel) {
    return flow->nodes[node_of(flow, pixel)].tree == SOURCE;
}
