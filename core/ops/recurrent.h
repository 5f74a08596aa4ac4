/* recurrent.h - one step of one row of an LSTM or GRU: from gates to the state, and back.
   Internal header of recurrent.c, which has the equations. The functions are in cells.c.

       tn_gru_cell(c, H, x, gates, h_before, h);                       gates: r|z|q|room for n

   Pointers are to numbers of one row. A state before the step may be NULL: zeros. */
#ifndef TN_RECURRENT_H
#define TN_RECURRENT_H

#include "core/ops/ops.h"

/* gates (4 H): i|f|g|o before their functions, and afterwards after them. States (2 H): h|c. */
void tn_lstm_cell(const tn_context *c, int64_t size, tn_real *gates, const tn_real *before,
                  tn_real *after);
/* x (3 H). gates (4 H): r and z before their functions, q, and room for n. States (H): h. */
void tn_gru_cell(const tn_context *c, int64_t size, const tn_real *x, tn_real *gates,
                 const tn_real *before, tn_real *h);

/* What backward of a step reads and writes. */
typedef struct tn_cell {
    const tn_real *gates, *before, *after; /* (4 H), states */
    const tn_real *dy;                     /* the gradient of the state, but for: */
    tn_real *carried; /* what the next step adds to it. It becomes that for the step before, without
                         the part that goes through the gates */
    tn_real *d;       /* (4 H): the gradients of i f g o or of r z q n, before their functions */
} tn_cell;

void tn_lstm_cell_back(const tn_context *c, int64_t size, const tn_cell *s, tn_real *room);
void tn_gru_cell_back(int64_t size, const tn_cell *s); /* room: H numbers */

#endif
