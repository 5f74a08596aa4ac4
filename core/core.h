/* core.h - tensors, a tape that differentiates whatever ran on it, and the ops.

       tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
       tn_tape    *t = tn_tape_new(c);
       tn_tensor  *y = tn_relu(t, tn_linear(t, x, w, b, TN_OUT_IN));
       if (tn_backward(t, tn_sum(t, y))) puts(tn_tape_error(t));
       tn_tape_reset(t);

   Ownership: what an op returns belongs to its tape and lives until tn_tape_reset (or a rewind
   past it); nobody frees it. Tensors made by tn_tensor_new belong to the caller. Four verbs say
   who owns what: _new makes, _free ends (and accepts NULL), _reset empties, _close ends a file.
   Objects may be freed in any order: a tensor that a tape still needs lives on until that tape is
   reset or freed. What has been freed must not be used, or freed again: nobody can find that out.
   Errors: the first mistake sticks to the tape and later calls on it do nothing; tn_tape_error
   says what it was. Calls that end something return 0 or a negative TN_E* of errors.def.
   NULL: where nothing else is said here and in the other headers, every function refuses a pointer
   that is NULL. It does nothing then, and returns a negative TN_E*, NULL, 0 or false; if it has a tape
   or a tn_error, that says so. The `arg` of a callback may be NULL, and so may an array of no elements.
   Letters: B batch, T time, C channels, H heads, G key/value heads, D head size, F width of the
   MLP, V vocabulary, R LoRA rank, N rows, S keys; M, K, N in products, (M,K) (K,N). Memory sizes are size_t, dimensions int64_t. */
#ifndef TN_CORE_H
#define TN_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef TN_DOUBLE /* the test build: the same program in double, so that gradients can be checked */
typedef double tn_real;
#else
typedef float tn_real;
#endif

/* ---- errors ---- */

enum {
    TN_OK = 0,
#define ERR(name, number, meaning) name = number,
#include "errors.def"
#undef ERR
};

/* clang-format off */
typedef struct tn_error { int code; char text[512]; } tn_error; /* starts as { 0 } */
/* clang-format on */

/* Keeps the first mistake: writes code and text unless e already holds one. Returns e->code (e NULL:
   code). The text is one line, formatted by tn_format; where it is too long, its strings lose their
   middle. Without a format it is tn_strerror(code). */
int tn_fail(tn_error *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* For functions that refuse NULL: e->code; TN_EARG where e is NULL or, which e then says, not all
   other arguments are given: "FUNCTION: an argument is NULL; expected all of them". */
int tn_given(tn_error *e, bool all, const char *function);
/* Adds to the text of a mistake; nothing where there is none. */
void tn_error_add(tn_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *tn_strerror(int code);

/* ---- memory ---- */

/* Bytes that this process may have in all, what it has already included: what the machine says is
   available, its swap, and the limits of control groups, address space and data. It errs on the side
   of more. SIZE_MAX: nothing says. It reads files of the system: not for inner loops. */
size_t tn_memory_room(void);

/* ---- text that people read ---- */

typedef void tn_sink(void *arg, const char *bytes, size_t n); /* takes the next n bytes of a text */

/* As vprintf, with the conversions d i u x X o c s f e g a and the lengths l ll z. What comes in by %s
   or %c may be of a stranger's file: control characters (U+0080..U+009F too), line ends and what turns
   the direction of a line are shown as \n \x1b \u0085, a byte that is no UTF-8 as \xff; letters stay
   letters. Width counts characters. Of a string longer than `most` bytes (0: none is) the middle is
   left out: "/very/lo...ong/path". A number has at most 511 characters. */
void tn_format(tn_sink *put, void *arg, size_t most, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
void tn_escape(tn_sink *put, void *arg, const char *s, size_t n); /* n bytes as %s shows them */

/* ---- context: threads, seed, kernels ----

   One context serves one thread at a time: ops, backward, tn_optim_step and tn_evaluate refuse
   (TN_ESTATE) while another thread is inside one of them. Threads may take turns, and have tapes of
   their own on it. Threads that work at the same time need a context each; they may share weights that
   are frozen. A tape, params and an optimizer are one thread's at a time, too: that is not checked. */

typedef struct tn_context tn_context;

typedef struct tn_options {
    int threads;     /* 0: as many as there are CPUs for us; results do not depend on it */
    uint64_t seed;   /* key of every random number */
    const char *isa; /* "scalar", "avx2", "avx512"; NULL: $TN_ISA, else the best the CPU has */
} tn_options;

/* NULL when memory or threads are not to be had, or the CPU has not the instruction set asked for (or
   no CPU has: $TN_ISA is no name). */
tn_context *tn_context_new(const tn_options *options); /* options NULL: all of them 0 */
void tn_context_free(
    tn_context *c); /* it lives on until the last of its tapes and params is freed */
int tn_context_threads(const tn_context *c);
uint64_t tn_context_seed(const tn_context *c);
const char *tn_context_isa(const tn_context *c);

/* ---- tensors: up to four dimensions, row-major, contiguous ---- */

enum { TN_MAX_NDIM = 4 };

typedef enum tn_dtype {
    TN_REAL, /* tn_real: all that is computed */
    TN_I32,  /* token ids, labels, lengths */
    TN_BF16, /* frozen weights only: read by linear, linear_xent and embed */
    TN_F16   /* the same */
} tn_dtype;

/* clang-format off */
typedef struct tn_tensor {
    tn_dtype dtype;
    int ndim;                 /* 1..4; a scalar is (1) */
    int64_t dim[TN_MAX_NDIM]; /* unused ones are 1 */
    union { void *data; tn_real *x; int32_t *i; }; /* the values */
    tn_real *g;               /* TN_REAL: the gradient, same shape, valid while has_grad */
    bool wants_grad;          /* somebody wants the gradient; freezing a weight clears it */
    bool has_grad;            /* false: the gradient is zero (nothing was added since) */
    /* Internal: who made it (the caller if `tape` is NULL), and who still needs it. A tensor is known
       by its address: a copy of the struct is another tensor, which only borrows the values. */
    struct tn_tensor *self;
    const struct tn_tape *tape;
    int users;
    unsigned char place;
} tn_tensor;
/* clang-format on */

/* A tensor of the caller's, zero-filled, with room for a gradient when wants_grad. NULL: no memory, more
   than tn_memory_room, a shape with a dimension below 1 or more than 2^40 numbers, or no tn_dtype. */
tn_tensor *tn_tensor_new(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad);
/* Ends a tensor of tn_tensor_new; does nothing with any other, as a tape's. */
void tn_tensor_free(tn_tensor *a);
/* No gradient is computed for it any more; its memory is given back. (Setting wants_grad by hand makes
   none: an op in training refuses a tensor that wants a gradient without memory for it.) */
void tn_tensor_freeze(tn_tensor *a);
int64_t tn_tensor_count(const tn_tensor *a); /* number of elements */
size_t tn_dtype_size(tn_dtype dtype);        /* bytes of one element; 0: no tn_dtype */
/* "(2,3)" into out (at least 64 bytes), which is returned. */
char *tn_tensor_shape(const tn_tensor *a, char *out);

/* ---- the tape ---- */

typedef struct tn_tape tn_tape;
tn_tape *tn_tape_new(tn_context *c); /* NULL: no memory */
void tn_tape_free(tn_tape *t);
/* Forgets nodes, results, inputs and the error; keeps the memory. Every call refuses (TN_ESTATE) what
   was forgotten, and tensors of another tape; a pointer kept over one step is known as such until the
   end of the next. */
void tn_tape_reset(tn_tape *t);
/* A mark is a moment in the life of a tape; a rewind forgets all that came after it. What was there at
   the mark is then as it was, even if an op consumed it in between. Marks need not be used up; one of
   before a reset forgets everything. */
typedef uint64_t tn_mark;
tn_mark tn_tape_mark(tn_tape *t);
void tn_tape_rewind(tn_tape *t, tn_mark m);
/* What went wrong first, as "matmul: shapes do not fit: (2,3) (1,4)"; NULL: nothing did. t NULL is
   wrong, too: "there is no tape: NULL", TN_EARG. */
const char *tn_tape_error(const tn_tape *t);
int tn_tape_code(const tn_tape *t);
tn_context *tn_tape_context(const tn_tape *t);
/* Training (a new tape's state): nodes are kept, dropout is active and draws its numbers for
   `draw`, whose low 32 bits must differ from one micro-batch to the next. */
void tn_tape_train(tn_tape *t, uint64_t draw);
/* clang-format off */
void tn_tape_eval(tn_tape *t);       /* no node is kept, dropout passes its input on */
/* clang-format on */
typedef struct tn_mode {
    bool training;
    uint64_t draw;
} tn_mode;
tn_mode tn_tape_mode(const tn_tape *t); /* for who changes it and has to change it back */
void tn_tape_set_mode(tn_tape *t, tn_mode mode);
size_t tn_tape_memory(
    const tn_tape *t); /* bytes that results, scratch and gradients have taken, each at its most */
/* An input of the step, in the tape's memory, without a gradient; the caller fills it. NULL, and an
   error on the tape, for a shape or type that tn_tensor_new does not take. */
tn_tensor *tn_tape_input(tn_tape *t, tn_dtype dtype, int ndim, const int64_t dim[]);

/* Adds d loss / d w into the gradient of every tensor that wants one; gradients are zero again after
   tn_optim_step (or tn_params_clear). loss has one element and is a result of this tape and this
   step. Refuses (TN_ENONFINITE) a loss that is not finite before it touches a gradient. */
int tn_backward(tn_tape *t, tn_tensor *loss);

/* ---- random numbers: Philox 4x32-10, a pure function of (seed, stream, draw, index) ---- */

uint64_t tn_stream(const char *name); /* the stream of a parameter, a layer, an epoch: FNV-1a */
uint32_t tn_random(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index);
/* Numbers 4 block .. 4 block + 3 at the cost of one; of block the low 32 bits count, so a draw of a
   stream has 2^34 numbers. */
void tn_random_four(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t block, uint32_t out[4]);
double tn_random_uniform(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index); /* (0,1) */
double tn_random_normal(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index);
/* Fills x[0..n) with U(-bound, bound) or N(0, std^2), from draw 0 of the stream. */
void tn_fill_uniform(tn_real *x, int64_t n, double bound, uint64_t seed, uint64_t stream);
void tn_fill_normal(tn_real *x, int64_t n, double std, uint64_t seed, uint64_t stream);

/* ---- functions whose bits do not depend on libm or the CPU (libm's double ones do) ---- */

double tn_exp(double x); /* relative error < 1e-15 */
double tn_log(double x);
double tn_cos(double x);              /* |x| < 1e5 */
double tn_erf(double x);              /* relative error < 1e-15 */
double tn_erfc(double x);             /* 1 - erf(x): relative error < 1e-13 up to x = 25 */
double tn_power(double x, int64_t n); /* x^n, by squaring */

/* ---- ops: each a row of ops.def, which says formula and shapes ---- */

typedef enum tn_layout {
    TN_OUT_IN, /* a weight stored (out,in), as torch.nn.Linear: y = x W^T */
    TN_IN_OUT  /* a weight stored (in,out), as GPT-2's Conv1D:  y = x W   */
} tn_layout;

#define OP(name, args) tn_tensor *tn_##name args;
#include "ops.def"
#undef OP

#endif
