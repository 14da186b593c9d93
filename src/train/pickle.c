/* A stack machine over pickle's opcodes, one small function each; the table at the end is the whole language. */
#include "train/pickle.h"

#include <string.h>

#include "base/banned.h"

enum { MEMO_MAXIMUM = 1 << 22 };

typedef struct Machine {
    const uint8_t *next, *end;
    Arena *arena;
    PickleValue stack; /* a list */
    PickleValue memo;  /* a list, NULL where nothing was put */
    bool failed, stopped;
} Machine;

typedef void Operation(Machine *m, int argument);

static PickleValue *value_new(Machine *m, PickleKind kind) {
    PickleValue *value = arena_new(m->arena, PickleValue);
    value->kind = kind;
    return value;
}

static void list_add(Machine *m, PickleValue *list, PickleValue *item) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 4;
        PickleValue **items = arena_new_array(m->arena, PickleValue *, capacity);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
}

static void push(Machine *m, PickleValue *value) {
    list_add(m, &m->stack, value);
}

/* Takes the top; never NULL: an empty stack is a failure. */
static PickleValue *pop(Machine *m) {
    if (m->stack.count == 0) {
        m->failed = true;
        return value_new(m, PICKLE_OPAQUE);
    }
    return m->stack.items[--m->stack.count];
}

static PickleValue *top(Machine *m) {
    PickleValue *value = pop(m);
    push(m, value);
    return value;
}

static uint64_t take_number(Machine *m, size_t bytes) {
    uint64_t number = 0;
    if ((size_t)(m->end - m->next) < bytes) {
        m->failed = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) number |= (uint64_t)m->next[i] << (8 * i);
    m->next += bytes;
    return number;
}

static const char *take_text(Machine *m, uint64_t size) {
    if (size > (uint64_t)(m->end - m->next)) {
        m->failed = true;
        return "";
    }
    const char *text = arena_strndup(m->arena, (const char *)m->next, (size_t)size);
    m->next += size;
    return text;
}

static const char *take_line(Machine *m) {
    const uint8_t *line_end = memchr(m->next, '\n', (size_t)(m->end - m->next));
    if (!line_end) {
        m->failed = true;
        return "";
    }
    const char *text = take_text(m, (uint64_t)(line_end - m->next));
    m->next++;
    return text;
}

static void push_text(Machine *m, const char *text) {
    PickleValue *value = value_new(m, PICKLE_TEXT);
    value->text = text;
    push(m, value);
}

static void push_integer(Machine *m, int64_t integer) {
    PickleValue *value = value_new(m, PICKLE_INTEGER);
    value->integer = integer;
    push(m, value);
}

/* Position on the stack of what follows the last mark; the mark is left in place. */
static size_t after_mark(Machine *m) {
    size_t i = m->stack.count;
    while (i > 0 && m->stack.items[i - 1]->kind != PICKLE_MARK) i--;
    if (i == 0) m->failed = true;
    return i;
}

static void op_skip(Machine *m, int bytes) {
    take_number(m, (size_t)bytes);
}

static void op_push(Machine *m, int kind) {
    push(m, value_new(m, (PickleKind)kind));
}

static void op_float(Machine *m, int bytes) {
    take_number(m, (size_t)bytes);
    push(m, value_new(m, PICKLE_OPAQUE));
}

static void op_integer(Machine *m, int bytes) {
    uint64_t number = take_number(m, (size_t)bytes);
    push_integer(m, bytes == 4 ? (int32_t)(uint32_t)number : (int64_t)number);
}

static void op_bool(Machine *m, int value) {
    push_integer(m, value);
}

/* An integer of as many bytes as the first one says, two's complement. */
static void op_long(Machine *m, int unused) {
    (void)unused;
    size_t bytes = (size_t)take_number(m, 1);
    if (bytes > 8) m->failed = true;
    uint64_t number = take_number(m, bytes > 8 ? 0 : bytes);
    if (bytes > 0 && bytes < 8 && (number >> (8 * bytes - 1) & 1)) number |= ~(uint64_t)0 << (8 * bytes);
    push_integer(m, (int64_t)number);
}

static void op_text(Machine *m, int length_bytes) {
    uint64_t size = take_number(m, (size_t)length_bytes);
    push_text(m, take_text(m, size));
}

static void op_global(Machine *m, int unused) {
    (void)unused;
    const char *module = take_line(m), *name = take_line(m);
    push_text(m, arena_printf(m->arena, "%s %s", module, name));
}

static void op_stack_global(Machine *m, int unused) {
    (void)unused;
    PickleValue *name = pop(m), *module = pop(m);
    if (name->kind != PICKLE_TEXT || module->kind != PICKLE_TEXT) {
        m->failed = true;
        return;
    }
    push_text(m, arena_printf(m->arena, "%.200s %.200s", module->text, name->text));
}

static void op_put(Machine *m, int bytes) {
    size_t index = bytes ? (size_t)take_number(m, (size_t)bytes) : m->memo.count; /* MEMOIZE has no argument */
    if (index >= MEMO_MAXIMUM || index > m->memo.count + 1024) {
        m->failed = true;
        return;
    }
    while (m->memo.count <= index) list_add(m, &m->memo, NULL);
    m->memo.items[index] = top(m);
}

static void op_get(Machine *m, int bytes) {
    uint64_t index = take_number(m, (size_t)bytes);
    if (index < m->memo.count && m->memo.items[index]) push(m, m->memo.items[index]);
    else m->failed = true;
}

static void op_tuple(Machine *m, int count) {
    size_t wanted = (size_t)count, first = m->stack.count >= wanted ? m->stack.count - wanted : 0;
    if (m->stack.count < wanted) m->failed = true;
    PickleValue *tuple = value_new(m, PICKLE_LIST);
    for (size_t i = first; i < m->stack.count; i++) list_add(m, tuple, m->stack.items[i]);
    m->stack.count = first;
    push(m, tuple);
}

/* Gathers what follows the mark into the list or dict below it (APPENDS, SETITEMS), or into a new tuple (TUPLE). */
static void op_gather(Machine *m, int new_tuple) {
    size_t first = after_mark(m), end = m->stack.count;
    if (m->failed) return;
    m->stack.count = first - 1;
    PickleValue *into = new_tuple ? value_new(m, PICKLE_LIST) : pop(m);
    if (m->failed) return;
    for (size_t i = first; i < end && (into->kind == PICKLE_LIST || into->kind == PICKLE_DICT); i++) list_add(m, into, m->stack.items[i]);
    push(m, into);
}

static void op_add(Machine *m, int count) {
    PickleValue *last = pop(m), *first = count == 2 ? pop(m) : NULL, *into = top(m);
    if (into->kind != PICKLE_LIST && into->kind != PICKLE_DICT) return;
    if (first) list_add(m, into, first);
    list_add(m, into, last);
}

/* A call: only those that make weights mean anything. */
static void op_call(Machine *m, int unused) {
    (void)unused;
    PickleValue *arguments = pop(m), *callee = pop(m), *result = value_new(m, PICKLE_OPAQUE);
    const char *name = callee->kind == PICKLE_TEXT ? callee->text : "";
    if (strcmp(name, "collections OrderedDict") == 0) {
        result->kind = PICKLE_DICT;
    } else if (strcmp(name, "torch._utils _rebuild_tensor_v2") == 0 && arguments->kind == PICKLE_LIST && arguments->count >= 4) {
        result->kind = PICKLE_TENSOR;
        result->items = arguments->items;
        result->count = 4;
    } else if (strcmp(name, "torch._utils _rebuild_parameter") == 0 && arguments->kind == PICKLE_LIST && arguments->count >= 1) {
        result = arguments->items[0];
    }
    push(m, result);
}

/* A reference to an array outside of the pickle: ("storage", type, key, place, elements). */
static void op_persistent(Machine *m, int unused) {
    (void)unused;
    PickleValue *id = pop(m), *result = value_new(m, PICKLE_OPAQUE);
    if (id->kind == PICKLE_LIST && id->count >= 5) {
        result->kind = PICKLE_STORAGE;
        result->items = id->items;
        result->count = 5;
    }
    push(m, result);
}

static void op_drop(Machine *m, int unused) {
    (void)unused;
    pop(m);
}

static void op_stop(Machine *m, int unused) {
    (void)unused;
    m->stopped = true;
}

static const struct {
    Operation *run;
    int argument;
} operations[256] = {
    [0x80] = {op_skip, 1},                /* PROTO */
    [0x95] = {op_skip, 8},                /* FRAME */
    ['('] = {op_push, PICKLE_MARK},       /* MARK */
    ['N'] = {op_push, PICKLE_OPAQUE},     /* NONE */
    ['}'] = {op_push, PICKLE_DICT},       /* EMPTY_DICT */
    [']'] = {op_push, PICKLE_LIST},       /* EMPTY_LIST */
    [')'] = {op_push, PICKLE_LIST},       /* EMPTY_TUPLE */
    [0x8f] = {op_push, PICKLE_LIST},      /* EMPTY_SET */
    [0x88] = {op_bool, 1},                /* NEWTRUE */
    [0x89] = {op_bool, 0},                /* NEWFALSE */
    ['G'] = {op_float, 8},                /* BINFLOAT */
    ['J'] = {op_integer, 4},              /* BININT */
    ['K'] = {op_integer, 1},              /* BININT1 */
    ['M'] = {op_integer, 2},              /* BININT2 */
    [0x8a] = {op_long, 0},                /* LONG1 */
    ['X'] = {op_text, 4},                 /* BINUNICODE */
    [0x8c] = {op_text, 1},                /* SHORT_BINUNICODE */
    ['T'] = {op_text, 4},                 /* BINSTRING */
    ['U'] = {op_text, 1},                 /* SHORT_BINSTRING */
    ['B'] = {op_text, 4},                 /* BINBYTES */
    ['C'] = {op_text, 1},                 /* SHORT_BINBYTES */
    ['c'] = {op_global, 0},               /* GLOBAL */
    [0x93] = {op_stack_global, 0},        /* STACK_GLOBAL */
    ['q'] = {op_put, 1},                  /* BINPUT */
    ['r'] = {op_put, 4},                  /* LONG_BINPUT */
    [0x94] = {op_put, 0},                 /* MEMOIZE */
    ['h'] = {op_get, 1},                  /* BINGET */
    ['j'] = {op_get, 4},                  /* LONG_BINGET */
    [0x85] = {op_tuple, 1},               /* TUPLE1 */
    [0x86] = {op_tuple, 2},               /* TUPLE2 */
    [0x87] = {op_tuple, 3},               /* TUPLE3 */
    ['t'] = {op_gather, 1},               /* TUPLE */
    ['e'] = {op_gather, 0},               /* APPENDS */
    ['u'] = {op_gather, 0},               /* SETITEMS */
    [0x90] = {op_gather, 0},              /* ADDITEMS */
    ['a'] = {op_add, 1},                  /* APPEND */
    ['s'] = {op_add, 2},                  /* SETITEM */
    ['R'] = {op_call, 0},                 /* REDUCE */
    [0x81] = {op_call, 0},                /* NEWOBJ */
    ['b'] = {op_drop, 0},                 /* BUILD: the state of an object that is not built */
    ['0'] = {op_drop, 0},                 /* POP */
    ['Q'] = {op_persistent, 0},           /* BINPERSID */
    ['.'] = {op_stop, 0},                 /* STOP */
};

Status pickle_read(const PickleValue **out, const uint8_t *bytes, size_t size, Arena *arena, Error *err) {
    Machine m = {.next = bytes, .end = bytes + size, .arena = arena};
    while (!m.failed && !m.stopped && m.next < m.end) {
        int code = *m.next++;
        if (!operations[code].run)
            return error_set(err, STATUS_VALIDATION_ERROR, "the pickle has an operation (%d) that checkpoints have no use for", code);
        operations[code].run(&m, operations[code].argument);
        if (arena_exceeded(arena)) return error_set(err, STATUS_OUT_OF_MEMORY, "the pickle asks for more memory than its size justifies");
    }
    *out = pop(&m);
    return m.failed || !m.stopped ? error_set(err, STATUS_VALIDATION_ERROR, "the pickle is damaged") : STATUS_OK;
}

const PickleValue *pickle_get(const PickleValue *dict, const char *key) {
    if (!dict || dict->kind != PICKLE_DICT) return NULL;
    for (size_t i = 0; i + 1 < dict->count; i += 2) {
        if (dict->items[i]->kind == PICKLE_TEXT && strcmp(dict->items[i]->text, key) == 0) return dict->items[i + 1];
    }
    return NULL;
}
