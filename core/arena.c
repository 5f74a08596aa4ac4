/* arena.c - the tape's memory: an arena for results, a pool for gradients. Both keep what they have
   taken from the system. */
#include "core/arena.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LARGE = 1 << 20, ALIGN = 64 };

static size_t round_up(size_t bytes, size_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

void *tn_block_new(size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(bytes + !bytes, ALIGN);
    if (bytes < LARGE) {
        void *small = aligned_alloc(ALIGN, bytes);
        return small ? memset(small, 0, bytes) : NULL;
    }
    void *large = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (large == MAP_FAILED)
        return NULL;
    madvise(large, bytes, MADV_HUGEPAGE);
    return large;
}

void tn_block_free(void *block, size_t bytes)
{
    bytes = round_up(bytes + !bytes, ALIGN);
    if (block && bytes >= LARGE)
        munmap(block, bytes);
    else
        free(block);
}

/* One more entry at the end of a list; false without memory. */
static bool make_room(void **list, size_t count, size_t *room, size_t entry)
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

/* ---- arena ---- */

enum { BLOCK = 64 << 20 }; /* address space; only pages that are touched are memory */

/* A new block behind the last, before which `start` bytes are in use. */
static bool arena_grow(tn_arena *a, size_t bytes, size_t start)
{
    void *list = a->blocks;
    if (!make_room(&list, a->count, &a->room, sizeof *a->blocks))
        return false;
    a->blocks = list;
    size_t size = bytes > BLOCK ? bytes : BLOCK;
    char *base = tn_block_new(size);
    if (!base)
        return false;
    a->blocks[a->count++] = (tn_block){ base, size, start };
    return true;
}

/* Goes on to the next block while the piece does not fit; blocks too small are left empty until the
   next rewind. */
void *tn_arena_take(tn_arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = round_up(bytes + !bytes, ALIGN);
    size_t start = 0;
    while (a->block < a->count && bytes > a->blocks[a->block].size - a->used) {
        start = a->blocks[a->block].start + a->used;
        if (++a->block < a->count)
            a->blocks[a->block].start = start;
        a->used = 0;
    }
    if (a->block == a->count && !arena_grow(a, bytes, start))
        return NULL;
    tn_block *b = &a->blocks[a->block];
    char *piece = b->base + a->used;
    a->used += bytes;
    if (b->start + a->used > a->high)
        a->high = b->start + a->used;
#ifdef TN_DEBUG
    memset(piece, 0xff, bytes); /* NaN: what is read before it is written shows */
#endif
    return piece;
}

void tn_arena_rewind(tn_arena *a, size_t block, size_t used)
{
    a->block = block;
    a->used = used;
}

void tn_arena_free(tn_arena *a)
{
    for (size_t i = 0; i < a->count; i++)
        tn_block_free(a->blocks[i].base, a->blocks[i].size);
    free(a->blocks);
    *a = (tn_arena){ 0 };
}

/* ---- gradients ---- */

/* The smallest free buffer that is large enough; if there is none, the largest free one makes way
   for a new one, so that changing sizes do not pile up. */
void *tn_buffers_take(tn_buffers *p, size_t bytes)
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
    if (!fit) {
        void *list = p->list;
        void *base = tn_block_new(bytes);
        if (!base)
            return NULL;
        if (largest) {
            p->bytes -= largest->size;
            tn_block_free(largest->base, largest->size);
            fit = largest;
        } else if (make_room(&list, p->count, &p->room, sizeof *p->list)) {
            p->list = list;
            fit = &p->list[p->count++];
        } else {
            tn_block_free(base, bytes);
            return NULL;
        }
        *fit = (tn_buffer){ base, bytes, false };
        p->bytes += bytes;
    }
    fit->taken = true;
#ifdef TN_DEBUG
    memset(fit->base, 0xff, bytes);
#endif
    return fit->base;
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
        tn_block_free(p->list[i].base, p->list[i].size);
    free(p->list);
    *p = (tn_buffers){ 0 };
}
