/* optimizer.h - what a tn_optim holds: its units, who steps each, and their state. Internal header.
   units.c finds the units and lays out their memory, settings.c, groups.c and schedule.c read the
   options, step.c makes an optimizer and takes its steps.

       params      wte.weight  bias  x.lora_A.weight     x.lora_B.weight
                        |        |           |                  |
       members     [0] f[0] [1] f[0]  [2] f[0] lora_A,  f[1] lora_B, s      lora-rite
                    AdamW    AdamW     lora-rite
       state       | m  v   | m  v   | d.A d.B old.A old.B v.A v.B ... |  in one allocation
       scratch     | thread 0 | thread 1 | ... | [2] |   [2] keeps its own

   Invariants of a step, and the test that holds each (those of all objects are in core/op.h):
   S1  A step changes all weights and all state, or nothing: what can fail comes before the first
       unit moves.                  run/test_step: a_gradient_that_is_not_finite_...
   S2  No bit depends on the number of threads: sums are of chunks of one size, added in order.
                                    run/test_step: threads_and_vectors_change_no_bit
   S3  The weights of a unit are those that it was made of: step.c asks before it reads one.
                                    test_freeing: steps_after_a_merge, test_misuse: add_late
   S4  A step takes no memory.      test_torture: no_step_allocates
   S5  Weights, state and the number of steps are all that the next step depends on.
                                    test_torture: a_resumed_run_is_the_same_run, run/test_checkpoint
   S6  The order in which weights are added to the params changes nothing but the order of state.
                                    test_torture: the_order_of_weights_does_not_matter */
#ifndef TN_OPTIMIZER_H
#define TN_OPTIMIZER_H

#include "optim/optim.h"

/* Values of settings: those of the definition, then those that every optimizer has. */
enum { TN_BALORA = TN_MAX_HYPER, TN_BALORA_EVERY, TN_FALLBACK_LR, TN_SETTINGS };

typedef struct tn_member { /* a unit, and the optimizer that steps it */
    tn_unit unit;
    const tn_optim_def *def; /* the optimizer, or its fallback for weights that it leaves over */
    bool left_over;          /* def is the fallback */
    int group;               /* of options.groups; -1: none */
    tn_tensor *w[2];         /* the weights from which unit.f was made (S3) */
    char *layer;             /* common part of a pair's names; NULL: a single weight */
} tn_member;

typedef struct tn_gradient_chunk { /* the part of a gradient that one task reads */
    int64_t member;
    int factor;
    int64_t from, n;
} tn_gradient_chunk;

struct tn_optim {
    tn_params *params;
    int64_t trained; /* numbers that were trained when it was made */
    tn_context *context;
    const tn_optim_def *def;
    double hyper[TN_SETTINGS];        /* of def */
    double fallback[TN_SETTINGS];     /* of the fallback: its defaults */
    double (*groups)[2][TN_SETTINGS]; /* of each group: of def, and of the fallback */
    double max_norm;                  /* of the raw gradients; 0: no clipping */
    tn_schedule schedule;
    tn_member *members;
    int64_t count;
    tn_state_block *blocks; /* of state, in order */
    int64_t block_count;
    tn_gradient_chunk *chunks; /* of every gradient, in order */
    int64_t chunk_count;
    double *sums; /* one per chunk, or one per member */
    void *state, *scratch;
    size_t state_room, state_bytes, scratch_room;
    size_t scratch_shared; /* bytes per thread, at the start of scratch */
    tn_error error;
    int64_t steps;
    double lr, norm, clip; /* of the last step */
    tn_base base;    /* what the weights stand on. Hashing a large base takes longer than all */
    bool knows_base; /* else of a checkpoint: it is done at the first save, and kept */
};

/* Finds the units among the trained weights and takes memory for all that a step needs. */
int tn_units_fill(tn_optim *o, const tn_optim_options *options, tn_error *e);
void tn_units_free(tn_optim *o);
size_t tn_state_block_bytes(const tn_state_block *b);
/* Refuses if the weights are no longer those from which the units were made (S3). */
int tn_units_check(const tn_optim *o, tn_error *e);
/* Is unit u of o balanced by balora.c? */
bool tn_units_balanced(const tn_optim *o, const tn_unit *u);
/* The first group whose pattern matches the name; -1: none does. groups may be NULL. */
int tn_groups_find(const tn_group *groups, const char *name);
/* Gives the units of groups their settings. The settings of all weights are there already. */
int tn_groups_fill(tn_optim *o, const tn_group *groups, tn_error *e);
/* Changes settings of def: h has those of all weights. */
int tn_settings_change(const tn_optim_def *def, const char *const *given, double *h, tn_error *e);
/* The optimizer of the weights that def leaves over: .fallback, or AdamW. */
const tn_optim_def *tn_settings_fallback(const tn_optim_def *def);
/* Settings of def: defaults, then options. */
int tn_settings_read(const tn_optim_def *def, const tn_optim_options *options, double *h,
                     tn_error *e);
/* Index of a setting among the TN_SETTINGS; -1: def has none of that name. */
int tn_settings_find(const tn_optim_def *def, const char *name, size_t length);
/* Refuses a schedule that no run can follow. */
int tn_schedule_check(const tn_schedule *s, tn_error *e);

#endif
