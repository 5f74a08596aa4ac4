/* op.h - the interface for people who write ops.

   To add an op: write shape, forward, backward and samples into core/ops/NAME.c (or into the file
   of its family), and add a row to core/ops.def. Nothing else: prototype, checks, gradient tests
   and benchmark follow. `make test ONLY=core/ops` runs the tests.

       const tn_op tn_op_scale = { .name = "scale", .inputs = 1,
           .shape = scale_shape, .forward = scale_forward, .backward = scale_backward,
           .samples = scale_samples };
       tn_tensor *tn_scale(tn_tape *t, tn_tensor *a, double s)
       { return tn_apply(t, &tn_op_scale, (tn_tensor *[]){ a }, (tn_attr){ .r = { s } }); }

   An op of your own program has the same struct and no row. tn_op_check checks it
   (apps/examples/own_op.c). In C++17 a function sets the members one by one: `tn_op op{};
   op.name = "scale"; ...`, and in the same way an array of tn_sample that begins as zeros.

   Ownership: everything belongs to the tape. Errors: shape refuses with tn_refuse; forward and
   backward can fail only when memory is out. That error sticks to the tape.

   What goes wrong:
   * forward leaves an element of out->x unwritten, or expects zeros there. Memory of the tape holds
     the numbers of an earlier step. A build with -DTN_DEBUG (make asan) fills it with NaN.
   * backward adds where *beta is 0, or overwrites where it is 1. tn_accumulate (core/ops/ops.h)
     obeys *beta.
   * backward calls tn_grad for two operands and writes afterwards. In tn_mul(t, a, a) both operands
     are the same tensor. The second *beta is then 1, but the numbers are not written yet. Write
     each gradient before you ask for the next.
   * backward reads out->g after tn_grad_pass, but tn_grad_pass may have moved it to the operand.
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
   I4   backward computes the derivative of forward.
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

/* The arguments of a call that are not tensors. Elements that an op does not use are 0.

       op                           i                  r          u
       scale                                           s
       clamp                                           low, high
       soft_cap                                        cap
       linear                       layout
       lora                         col                s, p       stream
       lora_norm                    layout             s
       layer_norm                                      eps
       rms_norm                                        eps, offset
       attention                    heads, kv_heads,     scale, cap
                                    bidirectional, window
       dropout                                         p          stream
       cross_entropy                tokens
       linear_xent                  tokens             cap
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
       conv2d, im2col               stride, pad and dilation (height, width each);
                                    groups; or height and width of the kernel
       max_pool2d, mean_pool2d      as im2col
       rope                         heads                                     */
typedef struct tn_attr {
    int64_t i[8];
    double r[2];
    uint64_t u;
} tn_attr;

/* One call of an op, as the tape keeps it. */
typedef struct tn_node {
    const tn_op *op;
    tn_tensor *in[TN_MAX_INPUTS]; /* NULL: an optional operand is absent */
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
    bool mixed;        /* in this call dim[0] is not a batch dimension, whatever .rows has */
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
    /* Bit i: operand i may be a frozen weight, which has any type but TN_I32 and no gradient.
       tn_widen reads its numbers, some at a time: no op makes a whole weight TN_REAL. */
    unsigned frozen;
    unsigned fixed; /* bit i: operand i is a table of reals, which must not want a gradient */
    unsigned
        detached; /* bit i: operand i may want a gradient, and backward takes it as a constant */
    /* Bit i: operand i must be positive (log, a divisor): the checks use numbers from 0.6 up. */
    unsigned positive;
    /* Bit i: dim[0] of operand i is a batch dimension, like dim[0] of out. Row r of out then
       depends only on row r of operand i. A real operand of one dimension (a bias) belongs to all
       rows. */
    unsigned rows;
    /* Checks shapes, attributes and the values of i32 operands; writes ndim and dim of out.
       Returns 0, or the result of tn_refuse. */
    int (*shape)(tn_tape *t, const tn_node *n, tn_tensor *out);
    /* Writes every element of out->x. */
    void (*forward)(tn_tape *t, tn_node *n);
    /* Reads out->g; writes or adds (tn_grad) the gradient of each operand that wants one. NULL: the
       op has no gradient, and its result wants none. */
    void (*backward)(tn_tape *t, const tn_node *n);
    /* Computes the same result by plain ops, for the tests. NULL if the op itself is plain. */
    tn_tensor *(*reference)(tn_tape *t, tn_tensor *const in[], tn_attr attr);
    /* A sample without operand 0 ends the list. The tests want four small samples and one for the
       benchmark. Each optional operand must be present in one sample and absent in another. */
    const tn_sample *samples;
    const tn_refusal *refusals; /* may be NULL */
    bool gives_ids;             /* out is TN_I32; such an op has no backward */
    /* out shares operand 0's memory: before forward, out->x is operand 0's x. forward may move this
       pointer to a later number, or let it point to new tn_keep memory. */
    bool view;
    /* As view, but operand 0 cannot be used afterwards, and it takes over the gradient of out. out
       gets a copy instead if operand 0 is a leaf, is older than a mark, or has another reader. */
    bool consumes;
    bool reads_result; /* backward reads out->x, so no later op may overwrite it */
    /* Does backward of this node read the values of operand i? NULL: of all. If not, their memory
       may be used again before backward (tn_done). */
    bool (*reads)(const tn_node *n, int i);
    /* forward takes little time, and backward reads all operands but not the result. A result that
       is done (tn_done) is then not kept for the ops that read it in backward, but computed again
       there: forward is called once more, with n->wanted false. */
    bool again;
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

/* Calls tn_given with the error of the tape. */
int tn_tape_given(tn_tape *t, bool all, const char *function);
/* Sticks "NAME: TEXT" to the tape. Returns the tape's code, or code if t is NULL. `what` is a
   format such as "eps is %g; expected more than 0". */
int tn_refuse(tn_tape *t, const tn_op *op, int code, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
/* The most common refusal, with all operands: "NAME: shapes do not fit: (2,3) (1,4)". */
int tn_refuse_shapes(tn_tape *t, const tn_node *n);

void tn_like(tn_tensor *out, const tn_tensor *a); /* out gets a's shape */
/* out gets the first ndim of these dimensions. The others become 1. */
void tn_shape_of(tn_tensor *out, int ndim, int64_t d0, int64_t d1, int64_t d2, int64_t d3);
/* As tn_tensor_new, but without memory: x and g are NULL. The caller provides them. */
tn_tensor *tn_tensor_sketch(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad);
/* 1 to 4 dimensions, each at least 1, with at most 2^40 elements together. */
bool tn_shape_is_sane(int ndim, const int64_t dim[]);
/* Writes "(2,3)" into out, which has `room` bytes; a longer text is cut. Returns out. */
char *tn_shape_text(int ndim, const int64_t dim[], char *out, size_t room);
int64_t tn_rows(const tn_tensor *a); /* product of all dimensions but the last */
int64_t tn_cols(const tn_tensor *a); /* the last dimension */
bool tn_same_shape(const tn_tensor *a, const tn_tensor *b);

/* ---- for forward and backward. NULL and an error on the tape when memory is out ---- */

/* Memory until the tape is reset, or rewound past the op. 64-byte aligned, not cleared. */
void *tn_keep(tn_tape *t, size_t bytes);
/* The same, but only until forward or backward returns. */
void *tn_temporary(tn_tape *t, size_t bytes);

/* Returns the memory for the gradient of operand i, or NULL if nobody wants it or memory is out. If
   *beta is 0, every element must be overwritten; if it is 1, every element must be added to. Call
   it just before you write the gradient, because the gradient counts as written from then on. */
tn_real *tn_grad(tn_tape *t, const tn_node *n, int i, tn_real *beta);
/* For an op whose operand i has the same gradient as out. Moves out's gradient buffer to operand i,
   or adds it there. Call this last, because out->g may be gone afterwards. */
void tn_grad_pass(tn_tape *t, const tn_node *n, int i);

/* ---- threads ---- */

/* Calls body(arg, i, thread) once for each i in [0, n), on all threads of the context. Returns when
   all calls have returned. thread is in [0, tn_context_threads). Any thread may run any i: split
   outputs, never sums (I1). A call from inside a body runs on the calling thread alone. Returns 0.
   If another thread is inside a call of this context, it returns TN_ESTATE and calls no body.
   Inside an op this cannot happen. */
int tn_parallel_for(tn_context *c, int64_t n, void (*body)(void *arg, int64_t i, int thread),
                    void *arg);
/* The same for ranges of `length` indices, which together cover [0, count). The last range may be
   shorter. The ranges do not depend on the number of threads. TN_EARG if length is below 1. */
typedef void tn_range_body(void *arg, int64_t from, int64_t to, int thread);
int tn_parallel_ranges(tn_context *c, int64_t count, int64_t length, tn_range_body *body,
                       void *arg);
/* For a body: at least `bytes` of 64-byte aligned memory for this thread of the pool. It belongs to
   the context. It may be used until the next call with the same thread and scratch, and then its
   content is lost. Products have one scratch and the bodies of ops have another, because a body may
   call a product. Returns NULL when memory is out, or if there is no such thread or scratch. */
enum { TN_SCRATCH_PRODUCT, TN_SCRATCH_OP, TN_SCRATCHES };
void *tn_thread_memory(tn_context *c, int thread, int scratch, size_t bytes);

/* ---- fast functions of arrays ---- */

/* y[i] = e^x[i], log(x[i]), tanh(x[i]) or 1/(1 + e^-x[i]) for i < n, on the calling thread: for the
   body of an op. y may be x; otherwise they must not overlap. By the context's instruction set,
   with the same bits on each; in float within 2 units in the last place for every x, also where the
   result is too small for a normal number, infinite or NaN. */
void tn_exp_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y);
void tn_log_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y);
void tn_tanh_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y);
void tn_sigmoid_array(const tn_context *c, int64_t n, const tn_real *x, tn_real *y);

/* ---- to check an op ---- */

/* Runs op over its samples and checks I1 to I6. It compares backward with 4-point differences of
   forward, the result with the reference, every instruction set of the CPU with scalar, 1 to 8
   threads, and rows alone with rows in batches. It checks that gradients are added, that each can
   be wanted alone, that refusals have their exact text, that every element is written, and that
   backward reads the result only if .reads_result is set, and the operands only if .reads says so.
   If put is not NULL, it gets one line for each finding, such as "cube: sample 2: direction 7:
   backward 1.25, differences 0.5". Direction 7 is element 7 of the operands, or a random direction
   if they have more than 2,000 elements. A build of double (libtenon64.a) finds gradients that are
   wrong by 1e-6 of their size, a build of float by 1 %. Large samples (`bench`) and instruction
   sets are compared in float only. The function makes its own contexts. It does not check what
   forward computes: compare that with numbers that you know. Returns the number of lines, 0 if all
   is well. Returns TN_EARG if op is NULL or has no name, TN_ENOMEM when memory is out. */
int tn_op_check(const tn_op *op, tn_sink *put, void *arg);

/* ---- for benchmarks ---- */

/* Measures the most that the CPU can do: it runs `rounds` rounds of multiply-adds in the registers
   of the context's instruction set, on the calling thread. Returns the number of operations, two
   for each multiply-add. */
double tn_peak(const tn_context *c, int64_t rounds);

TN_END

#endif
