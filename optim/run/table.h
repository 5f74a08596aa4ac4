/* table.h - what a tn_optim holds: its units, who steps each, and their state. Internal header. */
#ifndef TN_TABLE_H
#define TN_TABLE_H

#include "optim/optim.h"

/* Values of settings: those of the definition, then those that every optimizer has. */
enum { TN_BALORA = TN_MAX_HYPER, TN_BALORA_EVERY, TN_FALLBACK_LR, TN_SETTINGS };

typedef struct tn_member { /* a unit of the run */
    tn_unit unit;
    const tn_optim_def *def; /* the optimizer, or AdamW for what is not a pair */
    tn_tensor *w[2];         /* the weights of unit.f */
    char *layer;             /* common part of a pair's names; NULL: a single weight */
} tn_member;

typedef struct tn_gradient_part { /* what one task of a sum over a gradient reads */
    int64_t member;
    int factor;
    int64_t from, n;
} tn_gradient_part;

struct tn_optim {
    tn_params *params;
    int64_t trained; /* numbers of the params that were when it was made */
    tn_context *context;
    const tn_optim_def *def;
    double hyper[TN_SETTINGS];    /* of def */
    double fallback[TN_SETTINGS]; /* of AdamW: its defaults */
    double max_norm;              /* of the raw gradients; 0: no clipping */
    tn_schedule schedule;
    tn_member *members;
    int64_t count;
    tn_gradient_part *pieces; /* fixed blocks of every gradient, in order */
    int64_t piece_count;
    double *sums; /* one a piece, or one a member */
    void *state, *scratch;
    size_t state_room, state_bytes, scratch_room;
    size_t scratch_shared; /* bytes a thread, at the start of scratch */
    tn_error error;
    int64_t steps;
    double lr, norm, clip; /* of the last step */
    tn_base base;          /* what the weights stand on, hashed at the first save or load: */
    bool knows_base;       /* a large base takes longer than all else of a checkpoint */
};

/* Finds the units among the trained weights and takes memory for all that a step needs. */
int tn_table_fill(tn_optim *o, const tn_optim_options *options, tn_error *e);
void tn_table_free(tn_optim *o);
/* Whether unit u of o, a pair or not, is balanced by balora.c. */
bool tn_table_balances(const tn_optim *o, const tn_unit *u);
/* Settings of def: defaults, then options. */
int tn_settings_read(const tn_optim_def *def, const tn_optim_options *options, double *h,
                     tn_error *e);
/* Refuses a schedule that no run can follow. */
int tn_schedule_check(const tn_schedule *s, tn_error *e);
/* Place of a setting among the TN_SETTINGS; -1: def has none of that name. */
int tn_settings_find(const tn_optim_def *def, const char *name, size_t length);

#endif
