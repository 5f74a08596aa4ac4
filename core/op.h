/* op.h - for people who write ops.
   An op is one file (or a place in its family's file) and a row in ops.def; its checks, gradient
   tests and benchmark follow from the literal:

       const tn_op tn_op_scale = { .name = "scale", .inputs = 1,
           .shape = scale_shape, .forward = scale_forward, .backward = scale_backward,
           .samples = scale_samples };
       tn_tensor *tn_scale(tn_tape *t, tn_tensor *a, double s)
       { return tn_apply(t, &tn_op_scale, (tn_tensor *[]){ a }, (tn_attr){ .r = { s } }); }

   Ownership: everything is the tape's. Errors: shape refuses with tn_refuse; forward and backward
   cannot fail except for memory, which sticks to the tape. */
#ifndef TN_OP_H
#define TN_OP_H

#include "core.h"

enum { TN_MAX_INPUTS = 6 };

typedef struct tn_op tn_op;

/* clang-format off */
typedef struct tn_attr { int64_t i[4]; double r[2]; uint64_t u; } tn_attr; /* an op's numbers */
/* clang-format on */

typedef struct tn_node { /* one call of an op, as the tape keeps it */
    const tn_op *op;
    tn_tensor *in[TN_MAX_INPUTS]; /* NULL: an optional operand that is absent */
    tn_tensor *out;
    tn_attr attr;
    void *saved;   /* what forward keeps for backward: tn_keep memory, or NULL */
    uint64_t draw; /* of the tape when the op ran */
    bool training; /* the tape's mode when the op ran */
    bool wanted;   /* some input wants a gradient: backward will run */
} tn_node;

/* One declared case: a gradient check, a comparison of the ISAs, and (bench) a benchmark. */
typedef struct tn_sample {
    int64_t in[TN_MAX_INPUTS][TN_MAX_NDIM + 1]; /* dimensions ended by 0; { 0 }: operand absent */
    tn_attr attr;
    int same;    /* bit i: operand i is the same tensor as operand 0 */
    int64_t ids; /* i32 operands hold -1 (if negative_ids) or 0 .. ids-1 */
    bool negative_ids;
    bool bench; /* large: timed and compared between ISAs, not gradient-checked */
} tn_sample;

/* A call that must be refused, with the exact text. Lists end with an empty `text`. */
/* clang-format off */
typedef struct tn_refusal { tn_sample call; const char *text; } tn_refusal;
/* clang-format on */

struct tn_op {
    const char *name;
    int inputs;        /* operands; the first `inputs` of tn_node.in */
    unsigned optional; /* bit i: operand i may be NULL */
    unsigned ids;      /* bit i: operand i is TN_I32 (and has no gradient) */
    unsigned frozen;   /* bit i: operand i may have a type other than TN_REAL */
    unsigned rows;     /* bit i: dim[0] of operand i, and of out, counts rows that do not see each
                               other (a real operand of one dimension is shared by all rows instead) */
    /* Checks the operands' shapes and the attributes; writes ndim and dim of out. Returns what
       tn_refuse returned, or 0. */
    int (*shape)(tn_tape *t, const tn_node *n, tn_tensor *out);
    void (*forward)(tn_tape *t, tn_node *n); /* writes every element of out->x */
    void (*backward)(tn_tape *t,
                     const tn_node *n); /* out->g in, tn_grad of each wanted operand out */
    /* Plain composition of other ops that computes the same; NULL for ops that are plain. */
    tn_tensor *(*reference)(tn_tape *t, tn_tensor *const in[], tn_attr attr);
    const tn_sample
        *samples; /* ended by a sample without operand 0. The tests want four small ones,
                                   a bench one, and each optional operand present and absent */
    const tn_refusal *refusals; /* may be NULL */
    bool view;                  /* out shares operand 0's memory: forward gets out->x set already */
    bool consumes; /* the same, but operand 0 is copied if it is a leaf, is older than a mark, or
                               anything else reads its values; it is spent afterwards, and its gradient
                               is out's */
    bool reads_result; /* backward reads out->x, which no later op may then take over */
};

/* Every op of ops.def, ended by NULL. */
extern const tn_op *const tn_ops[];
#define OP(name, args) extern const tn_op tn_op_##name;
#include "ops.def"
#undef OP

/* Runs op on the tape: checks, allocates, forward, and keeps the node if a gradient is wanted.
   NULL after an error. in has op->inputs elements. */
tn_tensor *tn_apply(tn_tape *t, const tn_op *op, tn_tensor *const in[], tn_attr attr);

/* tn_given, with the error of the tape. */
int tn_tape_given(tn_tape *t, bool all, const char *function);
/* Sticks "name: text" to the tape; returns its code (t NULL: code). `what` is e.g. "shapes do not fit: %s %s". */
int tn_refuse(tn_tape *t, const tn_op *op, int code, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
/* The commonest: "name: shapes do not fit: (2,3) (1,4)", over all operands present. */
int tn_refuse_shapes(tn_tape *t, const tn_node *n);

void tn_like(tn_tensor *out, const tn_tensor *a); /* out gets a's shape */
void tn_shape_of(tn_tensor *out, int ndim, int64_t d0, int64_t d1, int64_t d2, int64_t d3);
/* As tn_tensor_new, without memory for values and gradient: x and g are NULL. */
tn_tensor *tn_tensor_sketch(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad);
/* ndim from 1 to 4, dimensions from 1, at most 2^40 elements. */
bool tn_shape_is_sane(int ndim, const int64_t dim[]);
int64_t tn_rows(const tn_tensor *a); /* product of all dimensions but the last */
int64_t tn_cols(const tn_tensor *a); /* the last dimension */
bool tn_same_shape(const tn_tensor *a, const tn_tensor *b);

/* Memory of the tape until reset or rewind (64-byte aligned, not cleared; debug builds fill NaN). */
void *tn_keep(tn_tape *t, size_t bytes);
/* Memory until the op's forward or backward returns. */
void *tn_temporary(tn_tape *t, size_t bytes);

/* Where operand i's gradient goes: NULL if nobody wants it. *beta says how: 0 overwrite every
   element, 1 add. Ask for one operand just before writing it. */
tn_real *tn_grad(tn_tape *t, const tn_node *n, int i, tn_real *beta);
/* The gradient of out is that of operand i: hands the memory over where it can, else adds. The last
   thing a backward does with out->g. */
void tn_grad_pass(tn_tape *t, const tn_node *n, int i);

/* ---- threads ---- */

/* Calls body(arg, i, thread) once for each i in [0, n), on all threads of the context; thread is in
   [0, threads). Which thread runs which i is not defined: split outputs or fixed blocks, never sums.
   Called from inside a body it runs on the calling thread alone. Returns 0, or TN_ESTATE, having called
   nothing, while another thread is inside a call of this context; inside an op that cannot be. */
int tn_parallel_for(tn_context *c, int64_t n, void (*body)(void *arg, int64_t i, int thread),
                    void *arg);
/* Calls body(arg, from, to, thread) for ranges of `length` indices (the last may be shorter) that cover
   [0, count), on all threads. The ranges do not depend on the number of threads. */
typedef void tn_range_body(void *arg, int64_t from, int64_t to, int thread);
int tn_parallel_ranges(tn_context *c, int64_t count, int64_t length, tn_range_body *body,
                       void *arg);
/* At least `bytes` of 64-byte aligned memory that belongs to that thread of the pool until the next
   call with the same thread and scratch; its content is not kept. Products have one scratch, the bodies
   of ops another, since a body may call a product. NULL when memory is out. */
enum { TN_SCRATCH_PRODUCT, TN_SCRATCH_OP, TN_SCRATCHES };
void *tn_thread_memory(tn_context *c, int thread, int scratch, size_t bytes);
/* What the CPU could do at most: rounds of multiply-adds in the registers of the context's instruction
   set, on the calling thread. Returns the operations done, two a multiply-add. */
double tn_peak(const tn_context *c, int64_t rounds);

#endif
