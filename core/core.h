/* core.h - tensors, the ops, and a tape that computes the gradients of the ops that ran on it.

       tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
       tn_tape    *t = tn_tape_new(c);
       tn_tensor  *y = tn_relu(t, tn_linear(t, x, w, b, TN_OUT_IN));
       if (tn_backward(t, tn_sum(t, y))) puts(tn_tape_error(t));
       tn_tape_reset(t);

   This header is for people who use ops; op.h is for people who write them.
   Ownership: what an op returns belongs to its tape. Nobody frees it: it lives until tn_tape_reset,
   or until a rewind past it. Tensors made by tn_tensor_new belong to the caller. Four verbs name
   what happens to an object: _new makes it, _free ends it (and accepts NULL), _reset empties it,
   _close ends a file.
   Lifetimes: objects may be freed in any order. A context lives on until the last tape and params
   made with it are freed; a tensor that a tape still needs lives on until that tape is reset or
   freed. Never use or free an object that was freed already: no call can detect that mistake.
   Errors: the first mistake sticks to the tape. Until tn_tape_reset every op then returns NULL, and
   every other call on the tape does nothing. So a check at tn_backward is enough. tn_tape_error
   returns the text. Calls with a result of type int return 0 or a negative TN_E* of errors.def.
   NULL: unless its comment says otherwise, every function of the public headers refuses a pointer
   that is NULL: it does nothing, and returns a negative TN_E*, NULL, 0 or false. If it has a tape
   or a tn_error, the mistake sticks there. `arg` of a callback may be NULL. An array without
   elements may be NULL, too.
   Letters: B batch, T time, C channels, H heads, G key/value heads, D head size, F width of the
   MLP, V vocabulary, R LoRA rank, N rows, S keys; M, K, N in products, (M,K) (K,N).
   Units: sizes of memory are size_t in bytes; dimensions and counts are int64_t in elements. */
#ifndef TN_CORE_H
#define TN_CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version of this header, and of the library (tn_version). A program that was built with 0.1.0
   runs with every libtenon.so 0.1.x. The name of the library shows this: libtenon.so.0.1. */
#define TN_VERSION "0.1.0"
#define TN_VERSION_NUMBER 100 /* 10000 x major + 100 x minor + patch */

/* clang-format off */
/* Every public header puts its declarations between these two. The declarations have C linkage.
   libtenon.so exports them, and nothing else. */
#ifdef __cplusplus
#define TN_BEGIN extern "C" { _Pragma("GCC visibility push(default)")
#define TN_END _Pragma("GCC visibility pop") }
#else
#define TN_BEGIN _Pragma("GCC visibility push(default)")
#define TN_END _Pragma("GCC visibility pop")
#endif

/* A shape, which stands for the two arguments `ndim, dim`, in C and in C++:
   tn_tensor_new(TN_REAL, TN_SHAPE(2, 3), true). The memory of dim lives as long as the call. */
#ifdef __cplusplus
extern "C++" {
#include <initializer_list>
template <class... tn_ints> char (&tn_shape_ndim(const tn_ints &...))[sizeof...(tn_ints)];
}
#define TN_SHAPE(...) static_cast<int>(sizeof(tn_shape_ndim(__VA_ARGS__))), \
    std::initializer_list<int64_t>{ __VA_ARGS__ }.begin()
#else
#define TN_SHAPE(...) (int)(sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), \
    (const int64_t[]){ __VA_ARGS__ }
#endif
/* clang-format on */

TN_BEGIN

#ifdef TN_DOUBLE /* libtenon64: the same library in double, so that gradients can be checked */
typedef double tn_real;
#else
typedef float tn_real;
#endif

const char *tn_version(void); /* of the library that is linked: "0.1.0" */

/* ---- errors ---- */

enum {
    TN_OK = 0,
#define TN_ERR(name, number, meaning) name = number,
#include "errors.def"
#undef TN_ERR
};

/* The first mistake of an object. It starts as { 0 }; code is 0 or a TN_E*, text is one line. */
typedef struct tn_error {
    int code;
    char text[512];
} tn_error;

/* Writes code and text into e, unless e already holds a mistake. Returns e->code, or code if e is
   NULL. tn_format formats the text. If the text is too long, the middle of its long strings is left
   out. Without a format the text is tn_strerror(code). */
int tn_fail(tn_error *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* For functions that refuse NULL. `all` is true if every argument is given. If it is false, e gets
   "FUNCTION: an argument is NULL; expected all of them". Returns e->code, or TN_EARG if e is
   NULL. */
int tn_given(tn_error *e, bool all, const char *function);
/* Appends to the text of a mistake. Does nothing if e holds none. */
void tn_error_add(tn_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The meaning of a code in errors.def; "unknown error" for any other number. Never NULL. */
const char *tn_strerror(int code);

/* ---- memory ---- */

/* Bytes that this process may use in all, including what it uses now. The smallest of these limits
   counts: the memory that the machine has available plus its swap, the limits of control groups,
   and the limits of address space and data. The estimate is more likely too high than too low.
   SIZE_MAX if no limit is known. It reads files in /proc and /sys, which takes 0.1 ms; without
   these files (macOS) it is the machine's memory. */
size_t tn_memory_room(void);

/* ---- text that people read ---- */

/* Takes the next n bytes of a text. */
typedef void tn_sink(void *arg, const char *bytes, size_t n);

/* As vprintf, with the conversions d i u x X o c s f e g a and the lengths l ll z; the text goes to
   put(arg, ...). The texts of %s and %c may come from an untrusted file, so they are escaped.
   Control characters (U+0080 to U+009F too), line ends, and characters that change the direction of
   writing are shown as \n \x1b \u0085. A byte that is not UTF-8 is shown as \xff. Width counts
   characters. If a string is longer than `most` bytes (0: no limit), its middle is left out:
   "/very/lo...ong/path". A number has at most 511 characters. */
void tn_format(tn_sink *put, void *arg, size_t most, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));
/* Puts n bytes of s, escaped as tn_format escapes %s. */
void tn_escape(tn_sink *put, void *arg, const char *s, size_t n);

/* ---- context: threads, seed, kernels ----

   One context serves one thread at a time: while a thread is inside an op, tn_backward,
   tn_optim_step or tn_evaluate, these calls of another thread are refused with TN_ESTATE. Threads
   may take turns, and each thread may have its own tape. Threads that work at the same time need a
   context each. They may share frozen weights. Only one thread at a time may use a tape, params or
   an optimizer. This is not checked. */

typedef struct tn_context tn_context;

/* The instruction sets that this build has kernels for: "scalar", which is plain C for every CPU,
   to the best one; NULL ends them. */
extern const char *const tn_isas[];

/* { 0 }: all CPUs, seed 0, the best instruction set. */
typedef struct tn_options {
    int threads;     /* 0: one per CPU of this process. Results do not depend on it */
    uint64_t seed;   /* key of every random number */
    const char *isa; /* one of tn_isas; NULL: $TN_ISA, or the best that the CPU has */
} tn_options;

/* Options NULL is { 0 }. Returns NULL if memory or threads cannot be allocated, or if the
   instruction set (of `isa`, or of $TN_ISA) is unknown or not supported by this CPU. */
tn_context *tn_context_new(const tn_options *options);
/* The context ends once this is called and all its tapes and params are freed. */
void tn_context_free(tn_context *c);
int tn_context_threads(const tn_context *c);
uint64_t tn_context_seed(const tn_context *c);
const char *tn_context_isa(const tn_context *c); /* "avx2"; belongs to the context */

/* ---- tensors: up to four dimensions, row-major, contiguous ---- */

enum { TN_MAX_NDIM = 4 };

/* TN_REAL, TN_I32, and the types of frozen weights: TN_BF16, TN_F16 and the quantised TN_Q8_0 ...
   TN_Q6_K, each a row of types.def. Weights are read by linear, linear_xent and embed. A quantised
   type has its numbers in blocks, and each row of a tensor consists of whole blocks. */
typedef enum tn_dtype {
#define TN_TYPE(name, text, numbers, bytes, how) name,
#include "types.def"
#undef TN_TYPE
    TN_DTYPES /* how many there are */
} tn_dtype;

typedef struct tn_tensor {
    tn_dtype dtype;
    int ndim;                 /* 1..4; a scalar is (1) */
    int64_t dim[TN_MAX_NDIM]; /* the unused ones are 1 */
    union {                   /* the values: */
        void *data;           /* of any type */
        tn_real *x;           /* of TN_REAL */
        int32_t *i;           /* of TN_I32 */
    };
    tn_real *g;      /* the gradient of a TN_REAL, same shape; valid while has_grad */
    bool wants_grad; /* somebody wants the gradient; freezing a weight clears it */
    bool has_grad;   /* false: the gradient is zero, whatever g holds */
    /* Internal: who made it (the caller if `tape` is NULL), and who still needs it. The address
       identifies a tensor: a copy of the struct is another one, which borrows the values. */
    struct tn_tensor *self;
    const struct tn_tape *tape;
    int users;
    unsigned char place;
    void (*release)(void *arg); /* of borrowed values; NULL: they are the tensor's own */
    void *arg;
    struct tn_gradients *block; /* where g is, with the g of other tensors; NULL: g is alone */
} tn_tensor;

/* A tensor that belongs to the caller, zero-filled, with memory for a gradient if wants_grad
   (TN_REAL only). Returns NULL for an unknown dtype, for fewer than 1 or more than 4 dimensions,
   for a dimension below 1, for a last dimension that is not whole blocks, for more than 2^40
   elements, for more bytes than tn_memory_room, and when memory is out. */
tn_tensor *tn_tensor_new(tn_dtype dtype, int ndim, const int64_t dim[], bool wants_grad);
/* A frozen tensor that borrows its values, for example from a mapped file: it reads `bytes` and
   never writes them. They must not change until release(arg) is called; release may be NULL. The
   call comes once: when the caller has freed the tensor and the last tape that needs it is reset or
   freed, on the thread that did this last. `bytes` may be at any address: if numbers of TN_REAL or
   TN_I32 are not aligned, they are copied, and release is called at once. Returns NULL, without a
   call of release, for what tn_tensor_new refuses, if `size` is not the bytes of this type and
   shape, and if bytes is NULL. The tensor can never have a gradient: if wants_grad is set by hand,
   an op in training refuses it. */
tn_tensor *tn_tensor_borrow(tn_dtype dtype, int ndim, const int64_t dim[], const void *bytes,
                            size_t size, void (*release)(void *arg), void *arg);
/* Ends a tensor of tn_tensor_new or tn_tensor_borrow. Does nothing with a tape's tensor or a copy
   of the struct. */
void tn_tensor_free(tn_tensor *a);
/* From now on no gradient is computed for the tensor; the gradient's memory is freed. This cannot
   be undone. If wants_grad is set by hand afterwards, an op in training refuses the tensor, because
   it has no memory for a gradient. */
void tn_tensor_freeze(tn_tensor *a);
int64_t tn_tensor_count(const tn_tensor *a); /* number of elements */
size_t tn_tensor_bytes(const tn_tensor *a);  /* of its values */
/* Writes the shape, "(2,3)", into out, which has room for 64 bytes. Returns out. */
char *tn_tensor_shape(const tn_tensor *a, char *out);

/* "q4_0": the text of the type in types.def; "unknown type" for any other. Never NULL. */
const char *tn_dtype_name(tn_dtype dtype);
/* Numbers of a block: 1, 32 or 256; 0 for an unknown type. */
int64_t tn_dtype_block(tn_dtype dtype);
/* Bytes of `count` numbers. 0 for an unknown type, or if the numbers are not whole blocks. */
size_t tn_dtype_bytes(tn_dtype dtype, int64_t count);
/* Writes the numbers [from, from + n) of an array of that type to `to`, as tn_real. The array may
   lie at any address. In a type with blocks, from and n must be multiples of 32. Returns 0, or
   TN_EARG if they are not multiples of 32, or if the type is unknown. */
int tn_widen(tn_dtype dtype, const void *bytes, int64_t from, int64_t n, tn_real *to);

/* ---- the tape ---- */

typedef struct tn_tape tn_tape;
/* A new tape is in training. It keeps the context alive. Returns NULL when memory is out. */
tn_tape *tn_tape_new(tn_context *c);
void tn_tape_free(tn_tape *t);
/* Forgets nodes, results, inputs and the error; keeps the memory for the next step. Afterwards
   every call refuses the forgotten tensors with TN_ESTATE. A pointer to a forgotten tensor is
   recognised until the end of the next step; after that it may point to a new tensor. */
void tn_tape_reset(tn_tape *t);
/* A mark is a moment in the life of a tape. A rewind to it forgets all tensors that were made after
   it. Tensors that were made before it have their old values again, even if an op has consumed them
   in between. The error stays: only a reset clears it. A mark may be used many times, or never. A
   rewind to a mark from before a reset forgets all tensors. */
typedef uint64_t tn_mark;
tn_mark tn_tape_mark(tn_tape *t);
void tn_tape_rewind(tn_tape *t, tn_mark m);
/* No later call uses a. If backward does not read its values either, a later result gets their
   memory: a model of many layers then takes less. The values of a may change from now on, and calls
   refuse a (TN_ESTATE). A leaf, and a result that is older than a mark, stay as they are. */
void tn_done(tn_tape *t, tn_tensor *a);
/* The first mistake, such as "matmul: shapes do not fit: (2,3) (1,4)"; it belongs to the tape. NULL
   if there was none. A tape that is NULL is a mistake: "there is no tape: NULL", TN_EARG. */
const char *tn_tape_error(const tn_tape *t);
int tn_tape_code(const tn_tape *t);            /* 0, or the TN_E* of the first mistake */
tn_context *tn_tape_context(const tn_tape *t); /* belongs to the tape */
/* Training: nodes are kept for backward, and dropout sets numbers to zero. `draw` chooses dropout's
   random numbers; its low 32 bits must differ between micro-batches. */
void tn_tape_train(tn_tape *t, uint64_t draw);
/* Evaluation: no node is kept, no result wants a gradient, and dropout returns its input. */
void tn_tape_eval(tn_tape *t);
typedef struct tn_mode {
    bool training;
    uint64_t draw;
} tn_mode;
/* To change the mode and to restore it. */
tn_mode tn_tape_mode(const tn_tape *t);
void tn_tape_set_mode(tn_tape *t, tn_mode mode);
/* Bytes of the tape: the most that results took, plus the same of scratch, gradients and nodes. */
size_t tn_tape_memory(const tn_tape *t);
/* An input of the step: a tensor in the tape's memory, without gradient. Its values are undefined
   until the caller fills them. It lives as long as a result. Returns NULL, with an error on the
   tape, for a shape or type that tn_tensor_new refuses, or when memory is out. */
tn_tensor *tn_tape_input(tn_tape *t, tn_dtype dtype, int ndim, const int64_t dim[]);

/* Training rows from memory. An endless sequence shows the rows of `all` (N,...) epoch after epoch.
   Each epoch has every row once, in an order that depends on seed and epoch. The result (count,...)
   has the rows `first` to first + count - 1 of this sequence. It is an input of the type of `all`.
   N is at most 2^31. Inputs and labels with the same seed and the same `first` belong together.
   Step k of B rows takes first = k B: so a run can go on where it stopped. */
tn_tensor *tn_shuffled_rows(tn_tape *t, const tn_tensor *all, uint64_t seed, int64_t first,
                            int64_t count);
/* The row of that sequence at `place`, counted from 0: row number place % n of epoch place / n.
   Returns 0 if n is below 1 or above 2^31, or if place is below 0. */
int64_t tn_shuffled_row(int64_t n, uint64_t seed, int64_t place);

/* Adds d loss / d w to the gradient of every leaf w that wants one. Leaves are the caller's
   tensors. Only leaves keep their gradients: the gradient of a result is gone when backward
   returns. Gradients are zero again after tn_optim_step or tn_params_clear. Before that, a second
   backward adds to them. The loss must have one element, and must be a result of this tape and this
   step. Returns 0, or the error that sticks to the tape: TN_ENONFINITE if the loss is not finite,
   TN_ESTATE if nothing wants a gradient or the tape is in evaluation, TN_ESHAPE, TN_ENOMEM. A
   refused call changes no gradient. After TN_ENOMEM some gradients may have changed. */
int tn_backward(tn_tape *t, tn_tensor *loss);

/* Part of a model as a function: it takes x and returns its result. Both are TN_REAL. */
typedef tn_tensor *tn_block(tn_tape *t, void *arg, tn_tensor *x);
/* block(t, arg, x), but in training the tape keeps only the result, and backward runs the block
   again. This costs one more forward of the block, and gradients have the same bits as without it.
   Blocks may be nested. The block gets its own tape. On it the block may use only x and the
   caller's tensors: other results of t are refused. The block must give the same result both times.
   So until backward has run, or the tape is reset, arg and what it points to must live, and the
   weights must not change. In evaluation the block runs once, on the same tape of its own, whose
   memory is there from training. An error in the block sticks to t. */
tn_tensor *tn_recompute(tn_tape *t, tn_block *block, void *arg, tn_tensor *x);

/* ---- random numbers: Philox 4x32-10, a pure function of (seed, stream, draw, index) ---- */

/* The stream of a name (of a parameter, a layer, an epoch): its FNV-1a hash. 0 for NULL. */
uint64_t tn_stream(const char *name);
uint32_t tn_random(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index);
/* Writes numbers 4q to 4q+3 in the time of one. Only the low 32 bits of q are used: a draw of a
   stream has 2^34 numbers. */
void tn_random_four(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t q, uint32_t out[4]);
/* Uniform in (0,1), and normal with mean 0 and variance 1. */
double tn_random_uniform(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index);
double tn_random_normal(uint64_t seed, uint64_t stream, uint32_t draw, uint64_t index);
/* Fills x[0..n) with U(-bound, bound) or N(0, std^2), from draw 0 of the stream. */
void tn_fill_uniform(tn_real *x, int64_t n, double bound, uint64_t seed, uint64_t stream);
void tn_fill_normal(tn_real *x, int64_t n, double std, uint64_t seed, uint64_t stream);

/* ---- functions of one number, with the same bits on every CPU. Those of libm differ between CPUs.
   (tn_exp and tn_log are ops.) ---- */

double tn_exp_of(double x); /* relative error < 1e-15 */
double tn_log_of(double x);
double tn_cos_of(double x);              /* |x| < 1e5 */
double tn_erf_of(double x);              /* relative error < 1e-15 */
double tn_erfc_of(double x);             /* 1 - erf(x): relative error < 1e-13 up to x = 25 */
double tn_power_of(double x, int64_t n); /* x^n, by squaring */

/* ---- ops ----

   Each op is a row of ops.def, with its formula and shapes. An op runs at once. It returns its
   result, which belongs to the tape, or NULL after an error. An operand that is NULL and not
   optional is an error, too: so calls may be nested without checks. Operands must belong to the
   caller or to this tape. */

typedef enum tn_layout {
    TN_OUT_IN, /* a weight stored (out,in), as torch.nn.Linear: y = x W^T */
    TN_IN_OUT  /* a weight stored (in,out), as GPT-2's Conv1D:  y = x W   */
} tn_layout;

/* Which keys a query of tn_attention sees. { .heads = 12 } alone is the causal attention of GPT-2:
   query i, at position i, sees keys 0 to i. */
typedef struct tn_attention_form {
    int64_t heads;
    int64_t kv_heads;   /* 0: as many as heads. The heads of a group share a key/value head */
    bool bidirectional; /* a query also sees the keys after its position */
    int64_t window;     /* a query sees only keys less than `window` positions away; 0: all */
    double scale;       /* of q k^T; 0: 1 / sqrt(D) */
    double soft_cap;    /* scores become cap tanh(score / cap), as in Gemma 2; 0: no cap */
    /* (B) i32: the position among the keys of row b's first query, 0 to S-T. NULL: 0 */
    tn_tensor *start;
    /* (B,S) i32 or NULL: a run of equal numbers is a segment. A query sees only the keys of the
       segment that holds its position. This is for several records in one row */
    tn_tensor *segments;
} tn_attention_form;

/* How the kernel of tn_conv2d and tn_im2col moves over images (B,C,H,W). Each pair is of height and
   width. { 0 }: by 1, without padding. A sequence of T numbers in C channels is (B,C,1,T); its
   kernels are (O,C,1,k). */
typedef struct tn_conv_form {
    int64_t stride[2];   /* from one place of the kernel to the next; 0: 1 */
    int64_t pad[2];      /* zeros before the first and after the last number */
    int64_t dilation[2]; /* from one number that the kernel reads to the next; 0: 1 */
    /* 0: 1. Channels and outputs are divided into so many groups: the outputs of a group see only
       the channels of that group. tn_im2col does not use it */
    int64_t groups;
} tn_conv_form;

/* What tn_max_pool2d and tn_mean_pool2d take together. Each pair is of height and width: (2,2) for
   images (B,C,H,W), (1,2) for sequences (B,C,1,T). */
typedef struct tn_pool_form {
    int64_t size[2];   /* 1 or more */
    int64_t stride[2]; /* from one place to the next; 0: size */
    int64_t pad[2];    /* before the first and after the last number; at most half of size */
} tn_pool_form;

#define TN_OP(name, args) tn_tensor *tn_##name args;
#include "ops.def"
#undef TN_OP

/* Joins n tensors (A,B) along a new dimension: (n,A,B), (A,n,B) or (A,B,n) for dim 0, 1 or 2 (-3,
   -2 or -1). n = count is 1 or more. The tensors have the same shape, of at most 3 dimensions. */
tn_tensor *tn_stack(tn_tape *t, int count, tn_tensor *const parts[], int dim);

/* The table of tn_rope for heads of `size` numbers: the row of position p, 0 <= p < positions, has
   cos(p f_i) for all i < size/2, then sin(p f_i). The frequencies are f_i = theta^(-2i/size). */
typedef struct tn_rope_options {
    double theta; /* 0: 10000 */
    /* Returns the frequency to take instead of f, from 0 to 1e6. For contexts longer than those of
       training: f / 8, or a change of small f only (Llama 3.1). NULL: f itself. */
    double (*frequency)(void *arg, double f);
    void *arg;
} tn_rope_options;
/* Returns a tensor (positions,size), which belongs to the caller. It is the same on every CPU.
   Options NULL is { 0 }. Returns NULL if size is not even, if theta or a frequency is out of range,
   and when tn_tensor_new returns NULL. */
tn_tensor *tn_rope_table(int64_t positions, int64_t size, const tn_rope_options *options);

TN_END

#endif
