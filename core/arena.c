/* arena.c - the tape's memory: an arena for results, a pool of buffers for gradients.
   Both keep the memory that they have taken from the system (I13). */
#include "core/tape.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LARGE = 1 << 20, ALIGN = 64 };

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

/* Linux can be asked for large pages, which the CPU finds faster. */
static void *in_large_pages(void *range, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    madvise(range, bytes, MADV_HUGEPAGE);
#endif
    (void)bytes;
    return range;
}

void *tn_pages_new(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(bytes + !bytes, ALIGN);
    if (bytes < LARGE) {
        void *small = aligned_alloc(ALIGN, bytes);
        return small ? memset(small, 0, bytes) : NULL;
    }
    void *large = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return large == MAP_FAILED ? NULL : in_large_pages(large, bytes);
}

void tn_pages_free(void *pages, size_t bytes)
{
    bytes = round_up(bytes + !bytes, ALIGN);
    if (pages && bytes >= LARGE)
        munmap(pages, bytes);
    else
        free(pages);
}

/* ---- arena ----

   One range of addresses, as large as the memory of the machine, is reserved at once. Only its
   beginning gets memory, as much as is needed:

       base          used        high            ready                        size
        |-- results --|-- kept ----|-- untouched ---|---- addresses alone --------|

   If a step needs more than all steps before it, the rest comes right after. The pages of [0, high)
   have been touched: they are the memory that is taken, and they are kept for the next step.

   If addresses are limited (RLIMIT_AS), or the system reserves none, the arena has several chunks.
   A result that does not fit at the end of one chunk begins the next chunk. When the arena is
   empty, several chunks become one: otherwise a step that is a little longer than the last would
   find every chunk too small. */

/* So many bytes become memory at a time. The system gives pages only for bytes that are touched. */
enum { STEP = 64 << 20 };

/* Reserves addresses without memory. NULL if the system refuses. */
static char *reserve(size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur != RLIM_INFINITY)
        return NULL;
    void *range = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return range == MAP_FAILED ? NULL : in_large_pages(range, size);
}

/* Gives memory to the first `bytes` of a chunk. */
static bool make_ready(tn_chunk *c, size_t bytes)
{
    size_t ready = round_up(bytes, STEP); /* of a range, whose size is a multiple of this */
    if (mprotect(c->base + c->ready, ready - c->ready, PROT_READ | PROT_WRITE))
        return false;
    c->ready = ready;
    return true;
}

static tn_chunk new_chunk(const tn_arena *a, size_t bytes)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t machine = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : 0;
    size_t all = round_up(machine > a->most ? machine : a->most, STEP);
    const size_t sizes[] = { a->count ? 0 : a->most, bytes > STEP ? bytes : STEP };
    tn_chunk c = { 0 };
    if (!a->count && bytes <= all && (c.base = reserve(all)))
        c.size = all;
    for (int i = 0; i < 2 && !c.base; i++)
        if (sizes[i] >= bytes && (c.base = tn_pages_new(sizes[i])))
            c.size = c.ready = sizes[i];
    return c;
}

static bool add_chunk(tn_arena *a, size_t bytes)
{
    void *list = a->chunks;
    if (!tn_list_grow(&list, a->count, &a->room, sizeof *a->chunks))
        return false;
    a->chunks = list;
    a->chunks[a->count] = new_chunk(a, bytes);
    if (!a->chunks[a->count].base)
        return false;
    a->count++;
    return true;
}

void *tn_arena_take(tn_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(bytes + !bytes, ALIGN);
    tn_place at = a->at;
    while (at.chunk < a->count && bytes > a->chunks[at.chunk].size - at.used)
        at = (tn_place){ .chunk = at.chunk + 1 };
    if (at.chunk == a->count && !add_chunk(a, bytes))
        return NULL;
    tn_chunk *c = &a->chunks[at.chunk];
    char *taken = c->base + at.used;
    at.used += bytes;
    if (at.used > c->ready && !make_ready(c, at.used))
        return NULL;
    if (at.used > c->high) {
        a->taken += at.used - c->high;
        c->high = at.used;
    }
    a->most = a->taken > a->most ? a->taken : a->most;
    a->at = at;
#ifdef TN_DEBUG
    memset(taken, 0xff, bytes); /* NaN shows an element that is read before it is written */
#endif
    return taken;
}

static void give_back(tn_arena *a)
{
    for (size_t i = 0; i < a->count; i++)
        tn_pages_free(a->chunks[i].base, a->chunks[i].size);
    a->count = a->taken = 0;
}

void tn_arena_rewind(tn_arena *a, tn_place to)
{
    a->at = to;
    if (a->count > 1 && to.chunk == 0 && to.used == 0)
        give_back(a);
}

void tn_arena_free(tn_arena *a)
{
    give_back(a);
    free(a->chunks);
    *a = (tn_arena){ 0 };
}

/* ---- gradients ---- */

/* The smallest free buffer that is large enough. If there is none: the largest free one, which a
   new buffer then replaces. Otherwise buffers of changing sizes would become more and more. */
static tn_buffer *choose_buffer(tn_buffers *p, size_t bytes)
{
    tn_buffer *fit = NULL, *largest = NULL;
    for (size_t i = 0; i < p->count; i++) {
        tn_buffer *b = &p->list[i];
        if (b->taken)
            continue;
        if (b->size >= bytes && (!fit || b->size < fit->size))
            fit = b;
        if (!largest || b->size > largest->size)
            largest = b;
    }
    return fit ? fit : largest;
}

/* Adds an entry for one more buffer, still without memory. */
static tn_buffer *add_buffer(tn_buffers *p)
{
    void *list = p->list;
    if (!tn_list_grow(&list, p->count, &p->room, sizeof *p->list))
        return NULL;
    p->list = list;
    p->list[p->count] = (tn_buffer){ 0 };
    return &p->list[p->count++];
}

void *tn_buffers_take(tn_buffers *p, size_t bytes)
{
    tn_buffer *b = choose_buffer(p, bytes);
    if (!b)
        b = add_buffer(p);
    if (b && b->size < bytes) {
        p->bytes -= b->size;
        tn_pages_free(b->base, b->size);
        *b = (tn_buffer){ .base = tn_pages_new(bytes) };
        b->size = b->base ? bytes : 0;
        p->bytes += b->size;
    }
    if (!b || !b->base)
        return NULL;
    b->taken = true;
#ifdef TN_DEBUG
    memset(b->base, 0xff, bytes);
#endif
    return b->base;
}

void tn_buffers_give(tn_buffers *p, void *buffer)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i].base == buffer)
            p->list[i].taken = false;
}

void tn_buffers_give_all(tn_buffers *p)
{
    for (size_t i = 0; i < p->count; i++)
        p->list[i].taken = false;
}

void tn_buffers_free(tn_buffers *p)
{
    for (size_t i = 0; i < p->count; i++)
        tn_pages_free(p->list[i].base, p->list[i].size);
    free(p->list);
    *p = (tn_buffers){ 0 };
}
