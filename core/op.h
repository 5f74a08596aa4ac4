/* op.h - the interface for people who write ops.

   To add an op: write shape, forward, backward and samples into core/ops/NAME.c (or into the file
   of its family), and add a row to core/ops.def. Nothing else: prototype, checks, gradient tests
   and benchmark follow. `make test ONLY=core/ops` runs the tests.

       const tn_op tn_op_scale = { .name = "scale", .inputs = 1,
           .shape = scale_shape, .forward = scale_forward, .backward = scale_backward,
           .samples = scale_samples };
       tn_tensor *tn_scale(tn_tape *t, tn_tensor *a, double s)
       { return tn_apply(t, &tn_op_scale, (tn_tensor *[]){ a }, (tn_attr){ .r = { s } }); }

   An op need not be in tenon: one of your own has the same struct, no row, and is checked by
   tn_op_check (apps/examples/own_op.c).

   Ownership: everything belongs to the tape. Errors: shape refuses with tn_refuse; forward and
   backward can fail only when memory is out, and that error sticks to the tape.

   What goes wrong:
   * forward leaves an element of out->x unwritten, or expects zeros there. Memory of the tape holds
     the numbers of an earlier step. A build with -DTN_DEBUG (make asan) fills it with NaN.
   * backward adds where *beta is 0, or overwrites where it is 1. tn_accumulate (core/ops/ops.h)
     does what *beta says.
   * backward calls tn_grad for two operands and writes afterwards. In tn_mul(t, a, a) both are one
     tensor, and the second *beta is 1 for numbers that are not written yet. Write each gradient
     before you ask for the next.
   * backward reads out->g after tn_grad_pass, which may have given it away.
   * backward reads what forward put into tn_temporary memory. Use tn_keep.
   * backward reads out->x, but .reads_result is not set. A later op may have overwritten it.
   * All threads add into one sum. The result then depends on their number (I1). Split the output,
     or sum fixed ranges and add the sums in order.
   * A sum runs across the rows of a batch. A row's result then depends on the other rows (I3). */
#ifndef TN_OP_H
#define TN_OP_H

#include "core.h"

TN_BEGIN

/* Invariants, each with the test that holds it. I1 to I7 are tested for every op of ops.def: an op
   needs no test of its own for them. tn_op_check checks I1 to I6 (core/check/).

   I1   Results and gradients have the same bits for any number of threads, and in every run.
            test_ops.c op_keeps_its_promises, test_gemm.c random_shapes
   I2   In float they have the same bits on every instruction set.
            test_ops.c op_keeps_its_promises, test_kernels.c right_and_the_same_everywhere
   I3   The result of a row has the same bits in any batch.
            test_ops.c op_keeps_its_promises
   I4   backward is the derivative of forward.
            test_ops.c op_keeps_its_promises
   I5   Gradients are added, and do not depend on which other operands want one.
            test_ops.c op_keeps_its_promises
   I6   A fused op computes what its plain composition computes.
            test_ops.c op_keeps_its_promises
   I7   Memory may run out at any point: the tape says so, nothing is lost, and after a reset the
        same call gives the same bits.
            test_ops_no_memory.c op_without_memory
   I8   The first mistake sticks until a reset.
            test_tape.c first_mistake_sticks
   I9   A tensor that was reset, rewound, consumed or made by another tape is refused.
            test_made.c stale_tensor_is_refused, stale_for_a_whole_step
   I10  A rewind gives back what was there at the mark.
            test_made.c rewind_gives_back
   I11  Objects may be freed in any order.
            test_tensor.c any_order_of_freeing, test_context.c lives_as_long_as_its_tapes
   I12  Two threads are never inside one context.
            test_context.c second_thread_is_refused
   I13  Steps of the same shape take memory once.
            test_tape.c memory_is_used_again, test_arena.c longer_steps_take_no_second_arena
   I14  Every function refuses NULL, and says so.
            test_null.c null_is_refused */

enum { TN_MAX_INPUTS = 6 };

typedef struct tn_op tn_op;

/* The arguments of a call that are not tensors. Those that an op does not have are 0.

       op                           i                  r          u
       scale                                           s
       linear                       layout
       lora                         col                s, p       stream
       layer_norm                                      eps
       rms_norm                                        eps, offset
       attention                    heads, kv_heads,     scale
                                    bidirectional, window
       dropout                                         p          stream
       cross_entropy, linear_xent   tokens
       reshape                      the dimensions                ndim
       transpose                    dim, other
       slice                        dim, from, to
       concat                       dim, least size
       paste                        dim, from
       gather                       dim
       masked_fill                                     value
       one_hot                      classes
       sum_dim, mean_dim, max_dim,
       argmax                       dim, keep
       rope                         heads                                     */
typedef struct tn_attr {
    int64_t i[4];
    double r[2];
    uint64_t u;
} tn_attr;

/* One call of an op, as the tape keeps it. */
typedef struct tn_node {
    const tn_op *op;
    tn_tensor *in[TN_MAX_INPUTS]; /* NULL: an optional operand that is absent */
    tn_tensor *out;
    tn_attr attr;
    void *saved;   /* what forward keeps for backward: tn_keep memory, or NULL */
    uint64_t draw; /* of the tape when the op ran */
    bool training; /* the tape's mode when the op ran */
    bool wanted;   /* an operand wants a gradient: backward will run */
} tn_node;

/* One declared case: a gradient check, a comparison of instruction sets, or a benchmark. */
typedef struct tn_sample {
    int64_t in[TN_MAX_INPUTS][TN_MAX_NDIM + 1]; /* dimensions ended by 0; { 0 }: operand absent */
    tn_attr attr;
    int same;          /* bit i: operand i is the same tensor as operand 0 */
    int64_t ids;       /* i32 operands hold 0 .. ids-1 */
    bool negative_ids; /* they hold -1, too */
    bool mixed;        /* dim[0] is no batch dimension in this call, whatever .rows says */
    bool bench;        /* large: timed and compared between ISAs, not gradient-checked */
} tn_sample;

/* A call that must be refused, and the exact text. A list of them ends with an empty text. */
typedef struct tn_refusal {
    tn_sample call;
    const char *text;
} tn_refusal;

struct tn_op {
    const char *name;
    int inputs;        /* operands: in[0] .. in[inputs-1] of a node */
    unsigned optional; /* bit i: operand i may be NULL */
    unsigned ids;      /* bit i: operand i is TN_I32 and has no gradient */
    /* Bit i: operand i may be a frozen weight: of any type but TN_I32, and without gradient.
       tn_widen reads its numbers, some at a time: no op makes a whole weight TN_REAL. */
    unsigned frozen;
    unsigned fixed; /* bit i: operand i is a real table without gradient: it must not want one */
    /* Bit i: only positive numbers make sense in operand i (log, a divisor): the checks take numbers
       from 0.6 on. */
    unsigned positive;
    /* Bit i: dim[0] of operand i is a batch dimension, as is dim[0] of out: row r of out depends on
       row r of operand i only. A real operand of one dimension (a bias) is shared by all rows. */
    unsigned rows;
    /* Checks shapes, attributes and the values of i32 operands; writes ndim and dim of out.
       Returns 0, or what tn_refuse returned. */
    int (*shape)(tn_tape *t, const tn_node *n, tn_tensor *out);
    /* Writes every element of out->x. */
    void (*forward)(tn_tape *t, tn_node *n);
    /* Reads out->g; writes or adds (tn_grad) the gradient of each operand that wants one. NULL: the
       op has no gradient, and its result wants none. */
    void (*backward)(tn_tape *t, const tn_node *n);
    /* The same result by plain ops, for the tests. NULL for ops that are plain. */
    tn_tensor *(*reference)(tn_tape *t, tn_tensor *const in[], tn_attr attr);
    /* Ended by a sample without operand 0. The tests want four small samples and one for the
       benchmark. Each optional operand must be present in one sample and absent in another. */
    const tn_sample *samples;
    const tn_refusal *refusals; /* may be NULL */
    bool gives_ids;             /* out is TN_I32; such an op has no backward */
    /* out shares operand 0's memory: before forward out->x is operand 0's. forward may move it on,
       or set it to tn_keep memory of its own. */
    bool view;
    /* As view, but operand 0 is spent afterwards, and its gradient is that of out. If operand 0 is
       a leaf, is older than a mark, or is read by anything else, out gets a copy instead. */
    bool consumes;
    bool reads_result; /* backward reads out->x, which no later op may then overwrite */
};

/* Every op of ops.def, ended by NULL. */
extern const tn_op *const tn_ops[];
#define TN_OP(name, args) extern const tn_op tn_op_##name;
#include "ops.def"
#undef TN_OP

/* Runs op on the tape: checks the operands, allocates the result, runs forward, and keeps the node
   if a gradient is wanted. in has op->inputs elements. Returns NULL after an error. */
tn_tensor *tn_apply(tn_tape *t, const tn_op *op, tn_tensor *const in[], tn_attr attr);

/* ---- for shape ---- */

/* tn_given, with the error of the tape. */
int tn_tape_given(tn_tape *t, bool all, const char *function);
/* Sticks "NAME: TEXT" to the tape. Returns the tape's code, or code if t is NULL. `what` is a
   format such as "eps is %g; expected more than 0". */
int tn_refuse(tn_tape *t, const tn_op *op, int code, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
/* The most common refusal: "NAME: shapes do not fit: (2,3) (1,4)", with all operands present. */
int tn_refuse_shapes(tn_tape *t, const tn_node *n);

void tn_like(tn_tensor *out, const tn_tensor *a); /* out gets a's shape */
/* out gets the first ndim of these dimensions; the others become 1, whatever is given. */
void tn_shape_of(tn_tensor *out, int ndim, int64_t d0, int64_t d1, int64_t d2, int64_t d3);
/* As tn_tensor_new, but without memory: x and g are NULL. For a caller who provides them. */
tn_tensor *tn_tensor_sketch(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad);
/* 1 to 4 dimensions, each at least 1, with at most 2^40 elements together. */
bool tn_shape_is_sane(int ndim, const int64_t dim[]);
/* Writes "(2,3)" into out, which has `room` bytes; a longer text is cut. Returns out. */
char *tn_shape_text(int ndim, const int64_t dim[], char *out, size_t room);
int64_t tn_rows(const tn_tensor *a); /* product of all dimensions but the last */
int64_t tn_cols(const tn_tensor *a); /* the last dimension */
bool tn_same_shape(const tn_tensor *a, const tn_tensor *b);

/* ---- for forward and backward; NULL, with an error on the tape, when memory is out ---- */

/* Memory until the tape is reset, or rewound past the op. 64-byte aligned, not cleared. */
void *tn_keep(tn_tape *t, size_t bytes);
/* The same until forward or backward returns. */
void *tn_temporary(tn_tape *t, size_t bytes);

/* Where the gradient of operand i goes; NULL if nobody wants it or memory is out. If *beta is 0,
   every element must be overwritten; if it is 1, every element must be added to. Call it just
   before writing: the gradient counts as written from then on. */
tn_real *tn_grad(tn_tape *t, const tn_node *n, int i, tn_real *beta);
/* For an op whose operand i has the same gradient as out: moves out's gradient buffer to operand i,
   or adds it. Call this last: out->g may be gone afterwards. */
void tn_grad_pass(tn_tape *t, const tn_node *n, int i);

/* ---- threads ---- */

/* Calls body(arg, i, thread) once for each i in [0, n), on all threads of the context, and returns
   when all calls have returned; thread is in [0, tn_context_threads). Which thread runs which i is
   undefined: split outputs, never sums (I1). A call from inside a body runs on the calling thread
   alone. Returns 0, or TN_ESTATE without a call of body while another thread is inside a call of
   this context; inside an op that cannot happen. */
int tn_parallel_for(tn_context *c, int64_t n, void (*body)(void *arg, int64_t i, int thread),
                    void *arg);
/* The same for ranges of `length` indices that cover [0, count); the last may be shorter. The
   ranges do not depend on the number of threads. TN_EARG if length is below 1. */
typedef void tn_range_body(void *arg, int64_t from, int64_t to, int thread);
int tn_parallel_ranges(tn_context *c, int64_t count, int64_t length, tn_range_body *body,
                       void *arg);
/* For a body: at least `bytes` of 64-byte aligned memory for this thread of the pool, until the
   next call with the same thread and scratch; its content is not kept. It belongs to the context.
   Products have one scratch, the bodies of ops another, since a body may call a product. NULL when
   memory is out, or for a thread or scratch that does not exist. */
enum { TN_SCRATCH_PRODUCT, TN_SCRATCH_OP, TN_SCRATCHES };
void *tn_thread_memory(tn_context *c, int thread, int scratch, size_t bytes);

/* ---- to check an op ---- */

/* Runs op over its samples and checks I1 to I6: backward against 4-point differences of forward,
   gradients that are added and wanted alone, the reference, the refusals to the letter, every
   instruction set that the CPU has against scalar, 1 to 8 threads, rows alone and in batches, and
   that every element is written. put, unless it is NULL, gets one line for each finding, such as
   "cube: sample 2: direction 7: backward 1.25, differences 0.5": the operands' element 7, or random
   direction 7 if they have more than 2,000 elements. A build of double (libtenon64.a) sees a wrong
   gradient from 1e-6 of its size on, a build of float from 1 % on. The large samples (`bench`) and
   instruction sets are compared in float only. It makes contexts of its own. What forward computes
   is not checked: compare it with numbers that you know. Returns how many lines it has put, 0 if all
   is well; TN_EARG if op is NULL or has no name, TN_ENOMEM. */
int tn_op_check(const tn_op *op, tn_sink *put, void *arg);

/* ---- for benchmarks ---- */

/* The most that the CPU can do: `rounds` rounds of multiply-adds in the registers of the context's
   instruction set, on the calling thread. Returns the number of operations: two for each. */
double tn_peak(const tn_context *c, int64_t rounds);

TN_END

#endif
