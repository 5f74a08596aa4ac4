/* tape.h - what a tape holds, and the states of its tensors. Internal header.

   The state of a tensor (tn_tensor.place) decides who may still read its values, and who may
   overwrite them. Every tensor begins at the top:

       tn_tensor_new or            an op made it        an op made it: a view,
       tn_tape_input made it             |              or backward reads its values
              |                          |                     |
              v                          v                     v
            LEAF                       RESULT --- read ------> READ
              |                          |                     |
              |                       consumed             consumed      an op consumes (lora: y)
              |                          |                     |
              |                          '-----> SPENT <-------'         a rewind past that op takes
              |                                                          the tensor back up
              v
            GONE   every state ends here, by a reset or by a rewind to before the tensor was made;
                   a leaf of tn_tensor_new does not

   LEAF    no op overwrites its values: an op that consumes it copies them.
   RESULT  nothing has read its values: an op that consumes it takes over their memory, unless a
           mark was taken since (I10).
   READ    something may read its values again: an op that consumes it copies them.
   SPENT   another result has its memory, or a copy; no call takes it (I9).
   DONE    after tn_done, from RESULT or READ: no call takes it (I9). Its memory is spare, unless
           backward reads it or a view has it.
   GONE    no call takes it (I9). Its struct is used for another tensor at last, but not before the
           end of the next step: until then a pointer that was kept is recognised. */
#ifndef TN_TAPE_H
#define TN_TAPE_H

#include "core/arena.h"
#include "core/op.h"
#include "core/trace.h"

enum { LEAF, RESULT, READ, SPENT, DONE, GONE };

/* A tensor of the tape, and the place of the tape before it. */
typedef struct tn_made {
    tn_tensor tensor;     /* comes first: it has the address of the struct */
    tn_mark number;       /* counts what the tape made; marks are such numbers */
    size_t nodes, held;   /* of the tape */
    tn_place place;       /* of its results */
    tn_tensor *consumed;  /* the tensor that its op consumed; NULL: none */
    unsigned char before; /* place of that tensor before */
    bool shared;          /* the memory of the values is not its own, or a view has it */
    bool kept;            /* backward reads the values */
    bool again;           /* it is done, and backward computes the values again */
    struct tn_made *next; /* among those that are gone */
} tn_made;

typedef struct tn_made_list { /* the tensors that a tape made */
    tn_made **live;           /* in the order of their numbers */
    size_t count, room;
    tn_made *first, *last; /* gone ones; the first is used again next */
    size_t gone;           /* how many are gone */
    tn_mark next;          /* number of the next tensor */
    tn_mark marked;        /* the newest mark that was taken */
} tn_made_list;

/* Memory of results that are done. It is forgotten by a mark and by a rewind: what is made after a
   mark must not lie before it (I10). */
typedef struct tn_spare {
    struct tn_piece {
        void *data;
        size_t bytes;
    } * list;
    size_t count, room;
} tn_spare;

typedef struct tn_tracer { /* the callback of tn_tape_trace */
    tn_trace *each;        /* NULL: none */
    void *arg;
    double inside; /* seconds of the calls inside the one that runs now */
} tn_tracer;

struct tn_tape {
    tn_context *context;
    tn_error error;
    tn_made_list made;
    tn_arena results;     /* values of results, and what ops keep for backward */
    tn_arena temporary;   /* emptied after every forward and backward */
    tn_buffers gradients; /* of results */
    tn_spare spare;       /* in `results` */
    tn_node *nodes;
    size_t count, room;
    tn_tensor **held; /* the caller's tensors that nodes and views refer to */
    size_t held_count, held_room;
    tn_mode mode;
    struct tn_tape *inner; /* recomputes blocks; NULL: no block was recomputed yet */
    tn_tensor *wanting;    /* the newest leaf of the caller that wants a gradient */
    tn_tracer own;
    tn_tracer *tracer; /* own, or that of the outer tape; NULL: there is no callback */
    int depth;         /* 1 for an inner tape, 2 for the inner tape of that, ... */
};

/* Makes a new tensor of the tape: like `start`, but without values. NULL, with an error on the
   tape, when memory is out. */
tn_tensor *tn_made_new(tn_tape *t, tn_tensor start);
/* Keeps the caller's tensor alive until the newest tensor of the tape is gone. False, with an error
   on the tape, when memory is out. */
bool tn_made_hold(tn_tape *t, tn_tensor *a);
void tn_made_consume(tn_tensor *by, tn_tensor *a); /* a is spent until `by` is gone */
/* Memory for the values of a result: spare, or new. NULL, with an error, when memory is out. */
void *tn_made_memory(tn_tape *t, size_t bytes);
/* Only for tensors of a tape. tn_done leaves values that are shared, and those that backward reads,
   unless it can compute them again. */
void tn_made_share(tn_tensor *a);
void tn_made_keep(tn_tensor *a);
/* For backward: computes the values again, if tn_done has dropped them. They last until `drop`. */
void tn_made_restore(tn_tape *t, tn_tensor *a);
void tn_made_drop(tn_tape *t, tn_tensor *a);
/* Was a mark taken after a was made? */
bool tn_made_is_marked(const tn_tape *t, const tn_tensor *a);
/* The reason why a cannot be an operand on t now ("belongs to another tape"); NULL if it can. */
const char *tn_made_fault(const tn_tape *t, const tn_tensor *a);
void tn_made_rewind(tn_tape *t, tn_mark m); /* all tensors made after m are gone */
void tn_made_free(tn_tape *t);
size_t tn_made_bytes(const tn_tape *t);

/* Runs backward of all nodes whose results have a gradient, the newest first. */
void tn_tape_walk_back(tn_tape *t);
/* The gradient buffer of a tensor that wants one. A result gets its buffer from the pool when
   backward first reaches it. NULL, with an error on the tape, when memory is out. */
tn_real *tn_tape_gradient(tn_tape *t, tn_tensor *a);

/* Runs forward or backward of a node, and calls the tape's callback. */
void tn_trace_run(tn_tape *t, tn_node *n, bool backward);

/* The rows of a chunk of linear_xent's logits, by the size of the vocabulary and whether the
   gradient of the weight is wanted. */
int64_t tn_linear_xent_rows(int64_t vocab, bool dw);

/* Makes room for one more entry at the end of a list. False when memory is out. */
bool tn_list_grow(void **list, size_t count, size_t *room, size_t entry);
/* Returns `memory`. If it is NULL, an error sticks to the tape. */
void *tn_checked(tn_tape *t, void *memory);

/* tn_shape_of from a list of ndim dimensions. */
void tn_shape_copy(tn_tensor *out, int ndim, const int64_t dim[]);
/* True if the type is known, the shape is sane, and the rows are whole blocks of the type. */
bool tn_dtype_takes(tn_dtype dtype, int ndim, const int64_t dim[]);

/* ---- the caller's tensors, which tapes hold (tensor.c) ---- */

/* False if a is not of tn_tensor_new. There is then nothing to hold. */
bool tn_tensor_hold(tn_tensor *a);
void tn_tensor_release(tn_tensor *a); /* the last release frees it */
/* The tensor of any type, also a borrowed one, gets values of its own, as TN_REAL: they may then be
   written. No tape may use it. False when memory is out: then nothing has changed. */
bool tn_tensor_own(tn_tensor *a);

#endif
