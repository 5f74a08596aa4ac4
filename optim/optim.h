/* optim.h - optimizers behind one interface, learning rate schedules, and checkpoints of a run.

       tn_error e = { 0 };
       tn_lora_add(m, &(tn_lora_options){ .rank = 8, .alpha = 16 }, &e);            first freeze,
       tn_optim *o = tn_optim_new(m->params, tn_optim_find("lora-rite"), NULL, &e); then optimize
       for (int64_t k = 0; k < steps; k++) {
           ... tn_backward ...
           if (tn_optim_step(o)) { puts(tn_optim_error(o)->text); tn_params_clear(m->params); }
       }
       tn_optim_free(o);

   What an optimizer updates is a unit: one weight, or the two factors of a LoRA layer with their
   scale. Pairs are found by name (x.lora_A.weight with x.lora_B.weight), never by position. An
   optimizer is one file and one row of optim.def. The command line, help, state files, memory
   report and tests then know it. tn_optim_new also takes your own definition: see
   apps/examples/own_optimizer.c.

   Ownership: a tn_optim owns its state and is freed by tn_optim_free. It keeps its params alive,
   and they keep their context alive: you may free these before it. Its definition must outlive it.
   The options and their strings need not outlive tn_optim_new. Never free a text that a function
   returns.

   Errors: functions with a tn_error report there and return NULL, -1 or a negative TN_E*. If an
   error is already set, they do nothing. tn_optim_step keeps its error for tn_optim_error. For a
   NULL that is not allowed these functions report TN_EARG. All other functions return 0, false,
   NULL or NaN for it.

   Threads: only one thread at a time may use an optimizer. Its step runs on all threads of its
   context. A step is refused (TN_ESTATE) while another thread is inside a call of that context.

   What goes wrong:
   * A weight is frozen, added or merged after tn_optim_new: every step is refused (TN_ESTATE).
     First freeze, add and merge; then make the optimizer.
   * Options `{ .lr = 1e-2 }` switch weight decay and clipping off. -1 means the default.
   * A step is refused and the gradients stay: the next tn_backward adds to them. Clear them first.
   * Without LoRA an optimizer of pairs trains everything by AdamW: tn_optim_left_over returns how
     many numbers.
   * Weights are written by hand between steps. lora-rite, altlora and others remember the weights
     of the last step: they change their state as if a step had made the change. Make a new
     optimizer.
   * A setting is given by a field and again in `set`, or clipping is given to an optimizer that
     refuses it: tn_optim_new returns NULL with an error. */
#ifndef TN_OPTIM_H
#define TN_OPTIM_H

#include "../nn/nn.h"

TN_BEGIN

/* ---- for people who write optimizers ---- */

enum { TN_MAX_HYPER = 14, TN_MAX_SLOTS = 10, TN_MAX_PRESETS = 6 };

/* A slot is one kind of state. A block is its memory for one weight or pair. All start as zeros. */
typedef enum tn_slot_kind {
    TN_SLOT_NONE,  /* ends the list of slots */
    TN_LIKE_X,     /* tn_real, shape of each weight of the unit: two blocks for a pair */
    TN_LIKE_B,     /* tn_real, shape of lora_B (out,R); a single weight has none */
    TN_ROWS,       /* tn_real, one number per row of each weight */
    TN_COLS,       /* tn_real, one number per column of each weight */
    TN_ROW_SQUARE, /* double, (rows,rows) of each weight */
    TN_COL_SQUARE, /* double, (cols,cols) of each weight */
    TN_R_BY_R,     /* double, (R,R), one block per pair */
    TN_SCALAR      /* double, one per pair; one per weight if the optimizer does not know pairs */
} tn_slot_kind;

enum { TN_LORA_A, TN_LORA_B }; /* the factors of a pair, as indices of tn_unit.f */

/* The index of the other factor. */
static inline int tn_partner(int factor)
{
    return TN_LORA_B - factor;
}

/* Left: a single weight. Right: the pair of a layer with weight W (out,in), W = W0 + s B A.

                 cols                    in                       R
             +----------+           +----------------+         +-----+
        rows |   f[0]   |         R |   f[0], lora_A |         |f[1],|
             +----------+           +----------------+     out |lora_B
                                                               |     |
                                                               +-----+
        slot of kind    block [0]    block [0]        block [1]
        TN_LIKE_X       rows,cols    R,in             out,R
        TN_LIKE_B       NULL         out,R            NULL
        TN_ROWS         rows         R                out
        TN_R_BY_R       NULL         R,R              NULL
        TN_SCALAR       1            1                NULL, or 1 without .pairs

   A vector is a single weight with rows = 1. Without .pairs and without balora the two factors of a
   layer are two single weights. */
typedef struct tn_factor { /* one weight of a unit, row-major; its memory belongs to the params */
    const char *name;
    int64_t rows, cols, n; /* n = rows cols */
    tn_real *x;            /* the weight, updated in place */
    const tn_real *g;      /* its gradient, already clipped where clipping applies */
    bool decays;           /* weight decay applies to it */
} tn_factor;

/* The argument of .measure and .step. They may write only f[].x, the state and the scratch. */
typedef struct tn_unit {
    int factors;                 /* 1: a weight. 2: a pair; with balora every optimizer has pairs */
    tn_factor f[2];              /* of a pair: f[TN_LORA_A] (R,in) and f[TN_LORA_B] (out,R) */
    double s;                    /* scale of the pair; 1 if its layer has none */
    int64_t r, in, out;          /* of the pair */
    int64_t t;                   /* number of this step, from 1 */
    void *slot[TN_MAX_SLOTS][2]; /* blocks of state, in the order of .slots; NULL: no block */
    double lr;                   /* learning rate of this step, after the schedule */
    const double *h;     /* settings in the order of .hyper. h[0] is the base rate: use lr */
    double global;       /* in .step: sum over all units of what .measure returned */
    bool wide;           /* vector kernels may be used (linalg.h): the bits are the same */
    tn_context *context; /* for matrix products inside a step, */
    int thread;          /* with the number of the thread that runs this unit */
    char *memory;        /* as many bytes as .scratch returned, 64-byte aligned, not cleared. With
                            .keeps_scratch .step finds here what .measure wrote */
} tn_unit;

/* The values that a setting may have. All are finite. */
typedef enum tn_range {
    TN_ANY,
    TN_ABOVE_0,
    TN_FROM_0,  /* 0 or above */
    TN_TO_0,    /* 0 or below */
    TN_SHARE,   /* 0 or above, below 1 */
    TN_SWITCH,  /* 0, 1 */
    TN_0_TO_2,  /* 0, 1, 2 */
    TN_SIGN,    /* -1, 0, 1 */
    TN_COUNT,   /* 1, 2, ... 1e9 */
    TN_WHOLE,   /* 0, 1, ... 1e9 */
    TN_1_TO_100 /* 1, 2, ... 100 */
} tn_range;

typedef struct tn_hyper { /* a setting */
    const char *name;
    double value; /* its default */
    tn_range range;
    const char *help; /* one line, for tables */
} tn_hyper;
typedef struct tn_slot {
    const char *name;
    tn_slot_kind kind;
} tn_slot;
typedef struct tn_preset {
    const char *name, *settings; /* "order=1 delta=0.01" */
} tn_preset;

/* The letters of the papers: A = lora_B, B = lora_A^T. Write the pair in another basis: A' = A T,
   B' = B T^-T. A claim names the T for which the step of the product A B^T stays the same. All
   values but the last are sets of bits. */
typedef enum tn_claim {
    TN_INVARIANT_NONE = 0,     /* signed permutations only */
    TN_INVARIANT_SCALE = 1,    /* T = c I */
    TN_INVARIANT_ROTATION = 2, /* orthogonal T */
    TN_INVARIANT_BOTH = 3,     /* c times an orthogonal T */
    TN_INVARIANT_FULL = 7,     /* every invertible T */
    TN_INVARIANT_UNSIGNED = 8  /* weakest: unsigned permutations only */
} tn_claim;

/* Clipping of the raw gradients to a global norm. It is refused where it would break the claim of
   the optimizer. */
typedef enum tn_clip { TN_CLIP_GLOBAL, TN_CLIP_REFUSED } tn_clip;

typedef struct tn_optim_def {
    const char *name, *title, *paper;
    const char *also;    /* a second name that tn_optim_find knows; NULL: none */
    const char *update;  /* the update in one line, for tables */
    const char *cost;    /* time in addition to reading weight, gradient and state once */
    const char *departs; /* differences from the authors' code, and why; NULL: none */

    tn_hyper hyper[TN_MAX_HYPER];      /* settings, lr first; a NULL name ends the list */
    tn_preset presets[TN_MAX_PRESETS]; /* named settings; a NULL name ends the list */
    tn_slot slots[TN_MAX_SLOTS];       /* state; TN_SLOT_NONE ends the list */
    /* Returns whether block k of a slot is used with the settings u->h. NULL: all are used. */
    bool (*needs)(const tn_unit *u, int slot, int k);
    bool pairs;    /* trains LoRA pairs only; all other weights go to .fallback */
    bool matrices; /* trains matrices only; vectors go to .fallback */
    /* The optimizer of these other weights, with its default settings. NULL: AdamW. It must be one
       that trains every weight. A definition may name itself: then its .step gets these weights
       one by one, with the settings of the pairs. */
    const struct tn_optim_def *fallback;
    bool keeps_scratch; /* .step reads what .measure left in u->memory */

    size_t (*scratch)(const tn_unit *u); /* bytes of u->memory; NULL: none */
    /* First pass over all units. It must not change weights or state. The results are added in the
       order of the units. If the sum is not finite, the step is refused. NULL: no first pass. */
    double (*measure)(tn_unit *u);
    /* Second pass over all units. Units do not see each other. It cannot fail. */
    void (*step)(tn_unit *u);
    /* For settings that are in range but wrong together: returns what is wrong,
       or NULL. Optional. */
    const char *(*check)(const double *h);

    tn_claim claims;
    const char *claims_when; /* settings under which the claim holds; NULL: always */
    bool claims_nonzero;     /* the claim needs two factors that are not zero */
    tn_clip clip;
    const char *decay; /* the setting that options.weight_decay sets; NULL: none */
} tn_optim_def;

/* Bytes of the unit's larger weight, for a copy in u->memory. This function can be a .scratch. */
size_t tn_unit_bytes(const tn_unit *u);

/* Arrays of doubles in u->memory, one after another. One function of the optimizer takes them all.
   .scratch calls this function with memory NULL: it then only counts the bytes in `used`. .step
   calls it with memory u->memory. */
typedef struct tn_scratch {
    char *memory;
    size_t used; /* bytes */
} tn_scratch;
double *tn_scratch_take(tn_scratch *s, int64_t n); /* n doubles; NULL while memory is NULL */

extern const tn_optim_def *const tn_optims[]; /* every row of optim.def, ended by NULL */
/* The definition of that name; NULL if there is none. */
const tn_optim_def *tn_optim_find(const char *name);

/* The range in words: "at least 0 and below 1". */
const char *tn_range_text(tn_range range);
/* Some settings are not in .hyper. Every optimizer has balora and balora_every. Those with .pairs
   or .matrices also have fallback_lr. Returns setting i of these, from 0, or NULL past the last. */
const tn_hyper *tn_optim_common(const tn_optim_def *def, int i);

/* ---- for people who train ---- */

typedef enum tn_schedule_kind {
    TN_CONSTANT,
    TN_LINEAR,       /* falls to min at the last step */
    TN_COSINE,       /* falls to min along half a cosine */
    TN_WSD,          /* constant, then falls to min over the last `decay` steps */
    TN_INVERSE_SQRT, /* lr sqrt(w / (w + steps after warm-up)), w = warmup, or 10000 without one */
    TN_EXPONENTIAL   /* goes to min in equal ratios; min may be above lr */
} tn_schedule_kind;

/* The learning rate of step k = 1..steps: lr k / warmup up to k = warmup, then by kind. { 0 } is a
   constant rate. Linear, cosine, wsd and exponential need `steps`: all steps of the run, also
   before a resume. */
typedef struct tn_schedule {
    tn_schedule_kind kind;
    int64_t steps, warmup; /* in steps of the optimizer */
    double min;    /* rate at the end, not a share of lr (linear, cosine, wsd, exponential) */
    int64_t decay; /* steps at the end (wsd) */
} tn_schedule;

/* The rate of step k. k below 1 counts as 1. A falling schedule stays at min after its end. */
double tn_schedule_rate(const tn_schedule *s, double lr, int64_t k);
/* Does the rate of a step depend on .steps? */
bool tn_schedule_falls(const tn_schedule *s);
/* The kind of a name: "constant", "linear", "cosine", "wsd", "inverse-sqrt", "exponential". -1:
   unknown. */
int tn_schedule_find(const char *name);

typedef struct tn_optim tn_optim;

/* Some weights, with settings of their own: { "*.bias", (const char *[]){ "lr=1e-4", NULL } }. */
typedef struct tn_group {
    const char *pattern;    /* of the names of weights, as for tn_params_freeze. NULL ends a list */
    const char *const *set; /* settings, see below, ended by NULL; or NULL */
} tn_group;

/* { 0 } is the optimizer's default rate, held constant, with its default settings, but without
   weight decay and without clipping. A negative number means the default. So { .weight_decay = -1,
   .max_grad_norm = -1 } is the default of everything. NULL is the same. */
typedef struct tn_optim_options {
    double lr;              /* 0 or negative: the preset's, or else the optimizer's default */
    const char *const *set; /* settings, see below, ended by NULL; or NULL */
    double weight_decay;    /* value of the setting .decay. 0: none; negative: its default */
    bool decay_all;         /* decay also applies to biases and norms, not only to matrices */
    double max_grad_norm;   /* raw gradients are scaled down to this global norm. 0: no clipping.
                               -1: 1.0, or no clipping if the optimizer refuses it */
    tn_schedule schedule;   /* of lr, of fallback_lr and of the rates of groups */
    const tn_group *groups; /* see below, ended by { NULL }; or NULL */
} tn_optim_options;

/* Settings are texts: "beta1=0.95". `tenon optimizers NAME` lists them with defaults and ranges.
   * "preset=NAME" stands for the settings of that preset. All other texts, and the fields of
     tn_optim_options, override it. If two texts give one setting, the last one counts.
   * Settings given by fields (lr, weight_decay) must not be repeated in `set`.
   * Every optimizer also has "balora=1", which balances each LoRA pair after its step (balora.c),
     and "balora_every=N": after every N-th step only.
   * "fallback_lr=F" is the rate of the weights that are left to AdamW or to .fallback. Without it
     they have the default rate of that optimizer. If all weights are left, they have `lr`.

   Groups: a weight belongs to the first group whose pattern matches its name. It has the settings
   of the optimizer, except those that its group sets. A group can set all but balora, balora_every
   and fallback_lr.
   * A weight that is left to AdamW, or to .fallback, has the settings of that optimizer. Its group
     sets "lr", not "fallback_lr".
   * A group that sets the weight decay (the setting .decay) sets it for all its weights, also for
     biases and norms.
   * If a group sets the rate, the schedule scales it as it scales lr. With lr 1e-3 and min 1e-4,
     a group of rate 1e-2 ends at 1e-3.
   * If the optimizer wants pairs, both factors of a pair must be in one group. */

/* Makes an optimizer for every weight of p that is trained now. options NULL: all defaults, at a
   constant rate. For the params of a sketch the optimizer only counts its state
   (tn_optim_state_bytes), and it refuses steps. Returns NULL, with an error, if
   * p is NULL or has an error; def is NULL, lacks name or .step, or hyper[0] is not lr; .fallback
     does not train every weight;
   * a setting is unknown (the error names the nearest) or out of range;
   * clipping is asked for and def refuses it; a decay is given and def has none;
   * a falling schedule has no steps;
   * a pair has only one factor, or def wants pairs and a rank is above min(in, out);
   * a group matches no weight, sets what its weights do not have, or holds one factor of a pair
     without the other;
   * memory is out. */
tn_optim *tn_optim_new(tn_params *p, const tn_optim_def *def, const tn_optim_options *options,
                       tn_error *e);
void tn_optim_free(tn_optim *o); /* NULL is allowed */

/* Takes one step with the gradients in the params. Afterwards the gradients are zero. A weight
   without a gradient has gradient zero. Returns 0, or a negative TN_E* with the reason in
   tn_optim_error. A refused step changes no weight and no state. The gradients stay, perhaps
   clipped: call tn_params_clear before the next tn_backward. Refused are:
   TN_ENONFINITE  a gradient that is not finite (its weight is named), or too large for .measure
   TN_ESTATE      a weight frozen, added or merged since tn_optim_new; params of a sketch; a call
                  while another thread is inside a call of the context
   TN_EARG        o NULL */
int tn_optim_step(tn_optim *o);
/* The error of the last step, code 0 if there was none. The next step overwrites it. */
const tn_error *tn_optim_error(const tn_optim *o);

/* Returns how many trained numbers the optimizer leaves to AdamW or to .fallback. *lr becomes the
   rate of these weights before the schedule. */
int64_t tn_optim_left_over(const tn_optim *o, double *lr);
int64_t tn_optim_steps(const tn_optim *o); /* steps done */
double tn_optim_lr(const tn_optim *o);     /* rate of the last step; 0 before the first */
/* Global norm of the raw gradients of the last step, before clipping; 0 before the first. */
double tn_optim_grad_norm(const tn_optim *o);
size_t tn_optim_state_bytes(const tn_optim *o);   /* of all blocks of state */
size_t tn_optim_scratch_bytes(const tn_optim *o); /* that a step uses beside them, of all threads */
const tn_optim_def *tn_optim_definition(const tn_optim *o);
/* The value of a setting, of .hyper or of tn_optim_common, for weights without a group. NaN if no
   setting has that name. */
double tn_optim_hyper(const tn_optim *o, const char *name);
/* The value of a setting of the optimizer that trains this weight, for this weight: that of its
   group. NaN if the optimizer trains no weight of that name, or no setting has that name. */
double tn_optim_hyper_of(const tn_optim *o, const char *weight, const char *name);
/* Hash of all that decides what a step does: the optimizer, the settings and the decay of every
   weight, clipping, and schedule. A program without other options can use it as options_hash of
   tn_run_state. 0 for NULL. */
uint64_t tn_optim_hash(const tn_optim *o);

/* A block of state, for files. Its name is SLOT.WEIGHT ("m.transformer.h.0...lora_A.weight"), or
   SLOT.LAYER for one block per pair. */
typedef struct tn_state_block {
    char name[256];
    bool real;  /* data is tn_real, else double */
    int64_t n;  /* numbers */
    void *data; /* belongs to the optimizer; may be read and written between steps */
} tn_state_block;
/* Fills *out with block i, from 0; false past the end. */
bool tn_optim_state(tn_optim *o, int64_t i, tn_state_block *out);
/* For state that came from a file: the next step has number steps + 1. Negative: does nothing. */
void tn_optim_set_steps(tn_optim *o, int64_t steps);

/* ---- checkpoints: OUT/checkpoint-N: weights, state, position; exact, atomic, checksummed ---- */

/* What a resume needs besides weights and optimizer state. Counts are from 0 to 2^53. The caller
   chooses the numbers of runs and the hashes. 0 means none. */
typedef struct tn_run_state {
    int64_t step;      /* steps done */
    int64_t batches;   /* micro-batches taken from the loader */
    double best;       /* best validation loss so far; NaN: none */
    int64_t best_step; /* the step that reached it: its checkpoint is kept; 0: none */
    double progress;   /* the loss that the next evaluation must beat; NaN: none yet */
    int64_t waited;    /* evaluations since then that did not */
    /* What the caller keeps of the losses of the steps: counts and averages */
    int64_t watched, noises, high, over;
    double mean, fast, noise, low, limit;
    uint64_t options_hash; /* of all options that change numbers */
    int64_t tokens;        /* tokens trained on */
    int64_t planned;       /* steps of the whole run */
    int64_t records;       /* records of its data, and their hash (tn_dataset_hash): the caller */
    uint64_t data_hash;    /* compares them, for data may have grown */
    uint64_t run;          /* number of the run, stored in its checkpoints. A checkpoint without a
                              number can belong to any run */
    uint64_t before;       /* number of the run whose checkpoints this run replaces */
    const tn_tokenizer *tokenizer; /* saved with the weights, for a checkpoint that is opened as an
                                      adapter of a model without tokenizer; NULL: not saved */
    const char *adapter_config;    /* of the model: saved with the factors, so that keys of it that
                                      we do not know stay; NULL: not saved */
} tn_run_state;

/* Writes folder/checkpoint-STEP: it fills a temporary folder, flushes it and renames it. Then it
   removes the checkpoints of this run with smaller numbers, except the newest keep - 1, that of
   r->best_step and the one that the file folder/best names ("checkpoint-STEP"), and all checkpoints
   of the run r->before. It removes nothing else. p must be the params of the optimizer
   (TN_EARG). The frozen weights are hashed only at the first save of an optimizer, because no step
   changes them. Errors: trained weights or state are not finite (TN_ENONFINITE); another run has a
   checkpoint in the place of the new one; the params are those of a sketch, or weights were merged
   or frozen since tn_optim_new (TN_ESTATE); writing failed (TN_EIO). Returns 0 or the code in e. */
int tn_checkpoint_save(const char *folder, const tn_params *p, tn_optim *o, const tn_run_state *r,
                       int keep, tn_error *e);
/* Loads the newest complete checkpoint in folder, or folder itself if it is one, into p, o and *r,
   where r->before and r->tokenizer stay.
   On entry r->options_hash and r->run are those of the run, or 0 to accept any. If it fails,
   nothing has changed. Refused are: files that are damaged (TN_EFORMAT: by checksum, or with a
   number that is not finite; the checkpoint before it is named), a run with other options, another
   number, another optimizer, other frozen weights or another config of the model (TN_EARG; see
   tn_params_base), and p and o as in tn_checkpoint_save. Returns 0 or the code in e. */
int tn_checkpoint_load(const char *folder, tn_params *p, tn_optim *o, tn_run_state *r, tn_error *e);
/* For programs that read the weights of a checkpoint without its run, as tn_adapter_open does.
   Refuses files with wrong checksums (TN_EFORMAT), and params whose base is not that of the run
   (TN_EARG). Returns 0 or the code in e. */
int tn_checkpoint_check(const char *path, const tn_params *p, tn_error *e);
/* The step of the newest complete checkpoint of this run in folder (run 0: of any run). -1: there
   is none, or the folder cannot be listed (e then has the reason). */
int64_t tn_checkpoint_newest(const char *folder, uint64_t run, tn_error *e);

TN_END

#endif
