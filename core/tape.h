/* tape.h - what a tape holds, and the life of its tensors. Internal header.

   Where a tensor stands (tn_tensor.place):

       RESULT ---- an op reads it ----> READ ---- an op consumes it ----> SPENT
          '------------------ an op consumes it -------------------------->'

   A rewind past the op that consumed a tensor takes that step back. LEAF is the caller's tensor, or an
   input of the tape: it stays one. What a tape made is GONE after a reset, or a rewind past it; no
   call takes it then. Its struct becomes another tensor's in the end, but so late that a pointer kept
   over one step is known as such all through the next. */
#ifndef TN_TAPE_H
#define TN_TAPE_H

#include "core/arena.h"
#include "core/op.h"

enum {
    LEAF, /* the caller, or an input, owns its values */
    RESULT, /* the tape owns them; nothing has read them yet, so that an op may take their memory over */
    READ,  /* an op has read them, may read them again in backward, or shares their memory */
    SPENT, /* an op consumed it */
    GONE   /* reset or rewound */
};

typedef struct tn_made {  /* a tensor of the tape, and where the tape stood before */
    tn_tensor tensor;     /* comes first: its address is that of all */
    tn_mark number;       /* counts what the tape made; marks are such numbers */
    size_t nodes, held;   /* of the tape */
    tn_place place;       /* of its results */
    tn_tensor *consumed;  /* the tensor that its op consumed; NULL: none */
    unsigned char before; /* place of that tensor before */
    struct tn_made *next; /* among those that are gone */
} tn_made;

typedef struct tn_made_list { /* of what a tape made */
    tn_made **live;           /* in the order of their numbers */
    size_t count, room;
    tn_made *first, *last; /* gone: the first is used again next */
    size_t gone;
    tn_mark next;   /* number of the next tensor */
    tn_mark marked; /* the newest mark that was taken */
} tn_made_list;

struct tn_tape {
    tn_context *context;
    tn_error error;
    tn_made_list made;
    tn_arena results;     /* values of results, and what ops keep for backward */
    tn_arena temporary;   /* emptied after every forward and backward */
    tn_buffers gradients; /* of results */
    tn_node *nodes;
    size_t count, room;
    tn_tensor **held; /* the caller's tensors that nodes and views refer to */
    size_t held_count, held_room;
    tn_mode mode;
};

/* A new tensor of the tape: as `start`, but without values. NULL: no memory, as the tape then says. */
tn_tensor *tn_made_new(tn_tape *t, tn_tensor start);
/* The caller's tensor lives until the newest tensor of the tape is gone. False: as above. */
bool tn_made_hold(tn_tape *t, tn_tensor *a);
void tn_made_consume(tn_tensor *by, tn_tensor *a); /* a is spent until `by` is gone */
bool tn_made_is_marked(const tn_tape *t,
                       const tn_tensor *a); /* a mark was taken after it was made */
/* What is wrong with a as an operand on t now ("belongs to another tape"); NULL: nothing. */
const char *tn_made_fault(const tn_tape *t, const tn_tensor *a);
void tn_made_rewind(tn_tape *t, tn_mark m); /* all that was made after m is gone */
void tn_made_free(tn_tape *t);
size_t tn_made_bytes(const tn_tape *t);

/* Room for one more entry at the end of a list; false: no memory. */
bool tn_list_grow(void **list, size_t count, size_t *room, size_t entry);
/* memory, after NULL has stuck an error to the tape. */
void *tn_checked(tn_tape *t, void *memory);

/* ---- the caller's tensors, which tapes hold (tensor.c) ---- */

bool tn_tensor_hold(
    tn_tensor *a); /* false: not one of tn_tensor_new, so there is nothing to hold */
void tn_tensor_release(tn_tensor *a); /* the last one frees it */

#endif
