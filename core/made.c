/* made.c - makes, numbers, forgets and frees the tensors of a tape.
   tape.h has a drawing of their states. A rewind forgets the newest first. Structs are used again.
   The one that was forgotten first is used first. */
#include "core/tape.h"

#include <stdlib.h>
#include <string.h>

bool tn_list_grow(void **list, size_t count, size_t *room, size_t entry)
{
    if (count < *room)
        return true;
    size_t more = *room ? 2 * *room : 16;
    void *grown = realloc(*list, more * entry);
    if (!grown)
        return false;
    *list = grown;
    *room = more;
    return true;
}

/* Puts a struct at the end of the list of forgotten ones. */
static void put_away(tn_made_list *l, tn_made *m)
{
    m->next = NULL;
    *(l->last ? &l->last->next : &l->first) = m;
    l->last = m;
    l->gone++;
}

/* Takes the struct that was forgotten first. The list is always longer than the number of live
   tensors. So a pointer from before a reset is recognised as stale for a whole step. */
static tn_made *take_struct(tn_made_list *l)
{
    while (l->gone < l->count + 2) {
        tn_made *more = malloc(sizeof *more);
        if (!more)
            return NULL;
        put_away(l, more);
    }
    tn_made *m = l->first;
    l->first = m->next;
    l->last = l->first ? l->last : NULL;
    l->gone--;
    return m;
}

tn_tensor *tn_made_new(tn_tape *t, tn_tensor start)
{
    tn_made_list *l = &t->made;
    void *list = l->live;
    bool room = tn_list_grow(&list, l->count, &l->room, sizeof(tn_made *));
    l->live = list;
    tn_made *m = tn_checked(t, room ? take_struct(l) : NULL);
    if (!m)
        return NULL;
    *m = (tn_made){ .tensor = start,
                    .number = l->next++,
                    .nodes = t->count,
                    .held = t->held_count,
                    .place = t->results.at };
    m->tensor.self = &m->tensor;
    m->tensor.tape = t;
    l->live[l->count++] = m;
    return &m->tensor;
}

bool tn_made_hold(tn_tape *t, tn_tensor *a)
{
    void *list = t->held;
    bool room = tn_list_grow(&list, t->held_count, &t->held_room, sizeof(tn_tensor *));
    t->held = list;
    if (!tn_checked(t, room ? a : NULL))
        return false;
    if (tn_tensor_hold(a))
        t->held[t->held_count++] = a;
    return true;
}

static tn_made *made_of(tn_tensor *a)
{
    return (tn_made *)a;
}

void tn_made_consume(tn_tensor *by, tn_tensor *a)
{
    made_of(by)->consumed = a;
    made_of(by)->before = a->place;
    a->place = SPENT;
}

/* ---- memory of results that are done ---- */

void tn_made_share(tn_tensor *a)
{
    made_of(a)->shared = true;
}

void tn_made_keep(tn_tensor *a)
{
    made_of(a)->kept = true;
}

/* The node that made a; NULL if it was not kept. */
static tn_node *producer(tn_tape *t, tn_tensor *a)
{
    tn_node *n = made_of(a)->nodes < t->count ? &t->nodes[made_of(a)->nodes] : NULL;
    return n && n->out == a ? n : NULL;
}

static bool can_run_again(const tn_node *n)
{
    return n && n->op->again && !n->op->reads && !n->op->reads_result && !n->op->consumes;
}

void tn_made_restore(tn_tape *t, tn_tensor *a)
{
    if (a->tape != t || !made_of(a)->again || a->data)
        return;
    tn_node n = *producer(t, a);
    for (int i = 0; i < n.op->inputs; i++)
        if (n.in[i])
            tn_made_restore(t, n.in[i]);
    a->data = tn_checked(t, tn_buffers_take(&t->gradients, tn_tensor_bytes(a)));
    if (t->error.code)
        return;
    n.wanted = false;
    if (t->tracer)
        tn_trace_run(t, &n, false);
    else
        n.op->forward(t, &n);
    tn_arena_rewind(&t->temporary, (tn_place){ 0 });
}

void tn_made_drop(tn_tape *t, tn_tensor *a)
{
    if (!made_of(a)->again || !a->data)
        return;
    tn_buffers_give(&t->gradients, a->data);
    a->data = NULL;
}

void *tn_made_memory(tn_tape *t, size_t bytes)
{
    tn_spare *s = &t->spare;
    for (size_t i = s->count; i-- > 0;) {
        if (s->list[i].bytes != bytes)
            continue;
        void *data = s->list[i].data;
        s->list[i] = s->list[--s->count];
        return data;
    }
    return tn_keep(t, bytes);
}

void tn_done(tn_tape *t, tn_tensor *a)
{
    if (tn_tape_given(t, a, __func__))
        return;
    const char *fault = tn_made_fault(t, a);
    if (fault)
        tn_fail(&t->error, TN_ESTATE, "done: the tensor %s", fault);
    if (fault || a->place == LEAF || tn_made_is_marked(t, a))
        return;
    a->place = DONE;
    tn_made *m = made_of(a);
    m->again = m->kept && !m->shared && can_run_again(producer(t, a));
    if (m->shared || (m->kept && !m->again))
        return;
    tn_spare *s = &t->spare;
    void *list = s->list;
    if (tn_list_grow(&list, s->count, &s->room, sizeof *s->list)) { /* else: not used again */
        s->list = list;
        s->list[s->count++] = (struct tn_piece){ a->data, tn_tensor_bytes(a) };
    }
#ifdef TN_DEBUG
    memset(a->data, 0xff, tn_tensor_bytes(a)); /* NaN shows a reader that .reads denies */
#endif
    if (m->again)
        a->data = NULL;
}

bool tn_made_is_marked(const tn_tape *t, const tn_tensor *a)
{
    return ((const tn_made *)a)->number < t->made.marked;
}

const char *tn_made_fault(const tn_tape *t, const tn_tensor *a)
{
    if (!a->tape)
        return NULL;
    return a->self != a        ? "is a copy of a tensor; expected the tensor itself"
           : a->tape != t      ? "belongs to another tape"
           : a->place == GONE  ? "was made before the tape was reset or rewound"
           : a->place == SPENT ? "was consumed by an earlier op"
           : a->place == DONE  ? "is done: tn_done was called"
                               : NULL;
}

static void forget(tn_tape *t, tn_made *m)
{
    if (m->consumed)
        m->consumed->place = m->before;
    if (m->tensor.g) /* backward did not finish */
        tn_buffers_give(&t->gradients, m->tensor.g);
    tn_made_drop(t, &m->tensor);
    m->tensor.place = GONE;
    while (t->held_count > m->held)
        tn_tensor_release(t->held[--t->held_count]);
    t->count = m->nodes;
    put_away(&t->made, m);
}

void tn_made_rewind(tn_tape *t, tn_mark mark)
{
    tn_made_list *l = &t->made;
    tn_made *oldest = NULL;
    while (l->count && l->live[l->count - 1]->number >= mark)
        forget(t, oldest = l->live[--l->count]);
    if (oldest)
        tn_arena_rewind(&t->results, oldest->place);
    t->spare.count = 0;
}

void tn_made_free(tn_tape *t)
{
    tn_made_rewind(t, 0);
    for (tn_made *m = t->made.first, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    free(t->made.live);
    free(t->spare.list);
    free(t->held);
}

size_t tn_made_bytes(const tn_tape *t)
{
    return (t->made.count + t->made.gone) * sizeof(tn_made) + t->made.room * sizeof(tn_made *) +
           t->held_room * sizeof(tn_tensor *) + t->spare.room * sizeof *t->spare.list;
}
