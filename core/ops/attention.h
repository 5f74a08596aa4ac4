/* attention.h - the facts of a call of attention that attention_tiles.c needs. Internal header. */
#ifndef TN_ATTENTION_H
#define TN_ATTENTION_H

#include "core/ops/ops.h"

/* The keys that a query sees: [from, to). */
typedef struct tn_seen {
    int64_t from, to;
} tn_seen;

/* For a call whose shapes fit. */
bool tn_attention_is_fused(const tn_node *n);     /* one tensor holds q|k|v */
int64_t tn_attention_head_size(const tn_node *n); /* D, or 0 if the widths do not fit */
bool tn_attention_is_causal(const tn_node *n);
/* Fills seen (B,T). From one query of a batch row to the next neither end moves back. */
void tn_attention_spans(const tn_node *n, tn_seen *seen);

void tn_attention_forward(tn_tape *t, tn_node *n);
void tn_attention_backward(tn_tape *t, const tn_node *n);

#endif
