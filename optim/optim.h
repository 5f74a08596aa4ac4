/* optim.h - optimizers behind one interface, schedules, and checkpoints of a run.

       tn_optim_options how = { .lr = 1e-2, .weight_decay = -1, .max_grad_norm = -1 };  -1: its default
       tn_optim *o = tn_optim_new(m->params, tn_optim_find("lora-rite"), &how, &e);
       for (int64_t k = 1; k <= steps; k++) {
           ... tn_backward ...
           if (tn_optim_step(o)) { puts(tn_optim_error(o)->text); tn_params_clear(m->params); }
       }

   What an optimizer updates is a unit: one weight, or the two factors of a LoRA layer with their
   scale, found by name (x.lora_A.weight with x.lora_B.weight), never by position. An optimizer is
   one file and one row of optim.def; command line, help, state files, memory report and tests
   follow. tn_optim_new takes a definition that has no row there, too.
   Ownership: a tn_optim owns its state; the params live on until it is freed, too. Errors: tn_optim_step returns a negative TN_E*, leaves
   weights and state as they were, and the gradients to be looked at: tn_params_clear drops them. */
#ifndef TN_OPTIM_H
#define TN_OPTIM_H

#include "../nn/nn.h"

/* ---- for people who write optimizers ---- */

enum { TN_MAX_HYPER = 14, TN_MAX_SLOTS = 10, TN_MAX_PRESETS = 6 };

/* Shape and type of a state block. Small algebra and scalars are kept in double. */
typedef enum tn_slot_kind {
    TN_SLOT_NONE,  /* ends a list */
    TN_LIKE_X,     /* tn_real, like each weight of the unit (two blocks for a pair) */
    TN_LIKE_B,     /* tn_real, like lora_B (out,R); a single weight has none */
    TN_ROWS,       /* tn_real, one number a row of each weight */
    TN_COLS,       /* tn_real, one number a column of each weight */
    TN_ROW_SQUARE, /* double, (rows,rows) of each weight */
    TN_COL_SQUARE, /* double, (cols,cols) of each weight */
    TN_R_BY_R,     /* double, (R,R), one block a pair */
    TN_SCALAR /* double, one block a pair; one block each weight if the optimizer knows no pairs */
} tn_slot_kind;

enum { TN_LORA_A, TN_LORA_B }; /* the factors of a pair, as indices of tn_unit.f */
/* clang-format off */
static inline int tn_partner(int factor) { return TN_LORA_B - factor; } /* the other one */
/* clang-format on */

typedef struct tn_factor { /* one weight of a unit, row-major */
    const char *name;
    int64_t rows, cols, n; /* n = rows cols; a vector has rows 1 */
    tn_real *x;            /* the weight, updated in place */
    const tn_real *g;      /* its gradient, already clipped where clipping applies */
    bool decays;           /* weight decay falls on it */
} tn_factor;

typedef struct tn_unit { /* a step does all its factors: balora makes pairs for every optimizer */
    int factors; /* 1: a weight in f[0]. 2: a LoRA pair, f[0] = lora_A (R,in), f[1] = lora_B (out,R) */
    tn_factor f[2];
    double s;           /* scale of the pair; 1 if its layer has none */
    int64_t r, in, out; /* of the pair */
    int64_t t;          /* number of this step for this unit, from 1; state starts as zeros */
    void *slot[TN_MAX_SLOTS]
              [2];       /* state, in the order of .slots; what each weight has: [0] of f[0], [1] of
                                    f[1]; of a pair TN_LIKE_B, TN_R_BY_R, TN_SCALAR: [0]; NULL: .needs said no */
    double lr;           /* of this step, after schedule */
    const double *h;     /* hyper-parameters in the order of .hyper (h[0] is the base lr: use lr) */
    double global;       /* sum over all units of what .measure returned */
    bool wide;           /* the context's kernels are vector ones: see linalg.h; changes no bit */
    tn_context *context; /* for matrix products inside a step, */
    int thread;          /* with the number of the thread that runs this unit */
    char *memory; /* scratch of `scratch` bytes, 64-byte aligned, garbage on entry; the first-pass
                              scratch of a unit is kept for its second pass when .keeps_scratch */
} tn_unit;

/* Which values a setting may have. All are finite. */
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

/* clang-format off */
typedef struct tn_hyper { const char *name; double value; tn_range range; const char *help; } tn_hyper;
/* clang-format on */
typedef struct tn_slot {
    const char *name;
    tn_slot_kind kind;
} tn_slot;
typedef struct tn_preset {
    const char *name, *settings;
} tn_preset; /* "order=1 delta=0.01" */

typedef enum tn_claim { /* A -> A T, B -> B T^-T changes nothing in the product for which T? */
                        TN_INVARIANT_NONE =
                            0, /* signed permutations only; the next four are sets of bits: scale,
                                  rotations, the rest */
                        TN_INVARIANT_SCALE = 1,    /* T = c I */
                        TN_INVARIANT_ROTATION = 2, /* orthogonal T */
                        TN_INVARIANT_BOTH = 3,     /* c times an orthogonal T */
                        TN_INVARIANT_FULL = 7,     /* every invertible T */
                        TN_INVARIANT_UNSIGNED =
                            8 /* less than none of these: permutations without signs */
} tn_claim;

/* clang-format off */
typedef enum tn_clip { TN_CLIP_GLOBAL, TN_CLIP_REFUSED } tn_clip; /* of raw gradients: allowed; or refused */

typedef struct tn_optim_def {
    const char *name, *title, *paper;
    const char *also;                   /* a second name that tn_optim_find takes; NULL: none */
    const char *update;                 /* the update in one line, for tables */
    const char *cost;                   /* time beyond reading weight, gradient and state once */
    const char *departs;                /* from the authors' code, or says from what: where and why; NULL:
                                           nowhere */
    tn_hyper hyper[TN_MAX_HYPER];       /* hyper[0] is lr; a NULL name ends the list */
    tn_preset presets[TN_MAX_PRESETS];  /* settings by one name: preset=NAME; a NULL name ends the list */
    tn_slot slots[TN_MAX_SLOTS];        /* state; TN_SLOT_NONE ends the list */
    bool (*needs)(const tn_unit *u, int slot, int k); /* u->slot[slot][k] is used under u->h; NULL: all are */
    bool pairs;                         /* wants LoRA pairs; what is not a pair goes to AdamW */
    bool matrices;                      /* wants matrices; vectors go to AdamW */
    bool keeps_scratch;                 /* what measure left in unit->memory must reach step */
    size_t (*scratch)(const tn_unit *u);  /* bytes of u->memory; NULL: none */
    double (*measure)(tn_unit *u);        /* first pass: reads only; its results are summed in unit order,
                                             and a sum that is not finite refuses the whole step */
    void (*step)(tn_unit *u);             /* second pass: one unit, which cannot fail */
    const char *(*check)(const double *h); /* what is wrong with the combination, each setting being in
                                              range, or NULL; no .check: nothing */
    tn_claim claims;
    const char *claims_when;            /* settings under which the claim holds; NULL: always */
    bool claims_nonzero;                /* the claim needs two factors that are not zero */
    tn_clip clip;
    const char *decay;                  /* name of the hyper-parameter that --weight-decay sets; NULL: none */
} tn_optim_def;
/* clang-format on */

/* Bytes of the unit's larger weight, for copies in u->memory: a .scratch by itself. */
size_t tn_unit_bytes(const tn_unit *u);
/* Pieces of u->memory, one behind the other. A page lays them out in one function: with memory NULL
   it only counts, which is its .scratch; with u->memory it hands them to .step. */
/* clang-format off */
typedef struct tn_scratch { char *memory; size_t used; } tn_scratch;
/* clang-format on */
double *tn_scratch_take(tn_scratch *s, int64_t n); /* n doubles; NULL while memory is NULL */

extern const tn_optim_def *const tn_optims[];        /* every row of optim.def, ended by NULL */
const tn_optim_def *tn_optim_find(const char *name); /* NULL: there is none, or no name */

const char *tn_range_text(tn_range range); /* "at least 0 and below 1" */
/* Setting i, from 0, that def has beside those of .hyper, or NULL past the last: balora and balora_every of
   every optimizer, fallback_lr of those of pairs and of matrices. */
const tn_hyper *tn_optim_common(const tn_optim_def *def, int i);

/* ---- for people who train ---- */

/* clang-format off */
typedef enum tn_schedule_kind { TN_CONSTANT, TN_LINEAR, TN_COSINE, TN_WSD, TN_INVERSE_SQRT } tn_schedule_kind;
/* clang-format on */

typedef struct tn_schedule { /* rate of step k = 1..steps: lr k/w up to k = w, then by kind */
    tn_schedule_kind kind;
    int64_t steps, warmup; /* linear, cosine and wsd need steps: they end there */
    double min;            /* rate at the end, absolute (linear, cosine, wsd) */
    int64_t decay;         /* wsd: the last `decay` steps fall linearly */
} tn_schedule;

double tn_schedule_rate(const tn_schedule *s, double lr, int64_t k); /* k below 1 counts as 1 */
/* The kind of that name ("inverse-sqrt"), or -1. */
int tn_schedule_find(const char *name);

typedef struct tn_optim tn_optim;

typedef struct tn_optim_options {
    double lr;              /* 0: the optimizer's default, or the preset's */
    const char *const *set; /* "name=value" for hyper-parameters, ended by NULL; or NULL.
                                  "preset=NAME" stands for the settings of that preset; all others
                                  and the fields here prevail over it. What a field here says is not
                                  to be said again. It also has those of tn_optim_common:
                                  "balora=1" balances each LoRA pair after its step (balora.c),
                                  "balora_every=N" after every N-th only; "fallback_lr=F" is the
                                  rate of weights that are left to AdamW beside the optimizer's own */
    double weight_decay;    /* sets the hyper-parameter .decay names; negative: its default */
    bool decay_all;         /* decay on biases and norms too, not on matrices alone */
    double max_grad_norm;   /* global norm clipping of raw gradients; 0: off; negative: 1.0, or off
                                  for optimizers that refuse it */
    tn_schedule schedule;
} tn_optim_options;

/* State for every weight that is trained. Refuses unknown settings (naming the nearest), a pair with
   rank > min(in, out) for optimizers of pairs, half a pair; params that are NULL or hold an error; a
   definition that is NULL or has no name, no step, or another hyper[0] than lr; a schedule that falls
   and has no steps. NULL and an error then. o NULL: the optimizer's defaults, at a constant rate.
   For the params of a sketch only tn_optim_state_bytes is there. */
tn_optim *tn_optim_new(tn_params *p, const tn_optim_def *def, const tn_optim_options *o,
                       tn_error *e);
void tn_optim_free(tn_optim *o);
/* One step with the gradients in the params, which are zero after it. A gradient that is not finite
   refuses the whole step and names the weight; nothing has changed then, and the gradients are still
   there: tn_params_clear before the next tn_backward, or it adds to them. So does a weight that was
   added or frozen after the optimizer was made, and another thread inside a call of the context. */
int tn_optim_step(tn_optim *o);
const tn_error *tn_optim_error(const tn_optim *o); /* o NULL: an error that says so */
/* How many numbers an optimizer of pairs or of matrices leaves to AdamW, with AdamW's defaults, and
   AdamW's rate before the schedule: fallback_lr, or where nothing else is trained the optimizer's own. */
int64_t tn_optim_left_over(const tn_optim *o, double *lr);
int64_t tn_optim_steps(const tn_optim *o); /* steps done */
double tn_optim_lr(const tn_optim *o);     /* rate of the last step */
double tn_optim_grad_norm(
    const tn_optim *o); /* global norm of the raw gradients of the last step */
size_t tn_optim_state_bytes(const tn_optim *o);
const tn_optim_def *tn_optim_definition(const tn_optim *o);
double tn_optim_hyper(const tn_optim *o, const char *name); /* NaN: no such setting */

/* State blocks by name, for files: "<slot>.<weight>", e.g. "m.transformer...lora_A.weight"; pair blocks
   carry the name of the layer. Fills one block, returns false past the end. */
/* clang-format off */
typedef struct tn_state_block { char name[256]; bool real; int64_t n; void *data; } tn_state_block; /* real: tn_real, else double */
/* clang-format on */
bool tn_optim_state(tn_optim *o, int64_t i, tn_state_block *out);
void tn_optim_set_steps(tn_optim *o, int64_t steps); /* after its state was filled from a file */

/* ---- checkpoints: OUT/checkpoint-N with weights, state, position; exact, atomic, checksummed ---- */

typedef struct tn_run_state { /* what resuming needs besides weights and optimizer state */
    int64_t step;             /* steps done */
    int64_t batches;          /* micro-batches taken from the loader */
    double best;              /* best validation loss so far; NaN: none */
    uint64_t options_hash; /* of all options that change numbers; a resume with others is refused */
    int64_t tokens;        /* tokens trained on */
    int64_t planned;       /* steps the run was to take; 0: not known */
    int64_t records; /* records of its data; with data_hash their hash (tn_dataset_hash), for the */
    uint64_t data_hash; /* caller to compare: data may have grown; 0: not known */
    uint64_t run;       /* number of the run, which its checkpoints carry; 0: it has none. One
                                  without a number is taken for any run's */
    uint64_t before;    /* number of the run whose place it takes in the folder; 0: none */
} tn_run_state;

/* Both take the params that the optimizer was made for, and no others (TN_EARG).
   Writes folder/checkpoint-STEP (a temporary folder, flushed, renamed), then removes all checkpoints
   of this run but the newest `keep`, and those of the run before. Other checkpoints stay: one of them
   in the place of the new one is refused (TN_ESTATE). Refuses (TN_ENONFINITE) trained weights and state
   that are not finite: nobody could go on from them. Counts are from 0 to 2^53. The base is hashed at
   the first save of an optimizer alone: it is large, and no step changes it. */
int tn_checkpoint_save(const char *folder, const tn_params *p, tn_optim *o, const tn_run_state *r,
                       int keep, tn_error *e);
/* Loads the newest complete checkpoint of folder (or folder itself if it is one) and says its step; a
   damaged one is refused by its checksums or a number that is not finite ("...: its checksum is X, expected Y; the file is damaged;
   the one before is checkpoint-2"), one of a run on other frozen weights, with another model's config
   (tn_params_base) or another optimizer with TN_EARG. r->options_hash and r->run say
   on entry which options and which number the run has; 0 accepts any. Nothing has changed when it
   fails. */
int tn_checkpoint_load(const char *folder, tn_params *p, tn_optim *o, tn_run_state *r, tn_error *e);
/* For who opens a checkpoint's weights without its run, as tn_adapter_open does: refuses one whose files
   are not those of its checksums, and params that stand on another base than its run's. */
int tn_checkpoint_check(const char *path, const tn_params *p, tn_error *e);
/* Step of the newest complete checkpoint of a run (0: of any) below folder; -1: none, or the folder
   cannot be listed and e says why. */
int64_t tn_checkpoint_newest(const char *folder, uint64_t run, tn_error *e);

#endif
