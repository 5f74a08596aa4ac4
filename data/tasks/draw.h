/* draw.h - random choices for made-up records. Internal header.

       tn_draws d = tn_draws_new(seed, "lookup", index);
       uint32_t pairs = 3 + tn_draw(&d, 4);

   Each record has its own stream of choices. So a record depends only on (seed, maker, index). */
#ifndef TN_DRAW_H
#define TN_DRAW_H

#include "data/data.h"

typedef struct tn_draws {
    uint64_t seed, stream, used;
} tn_draws;

tn_draws tn_draws_new(uint64_t seed, const char *maker, uint64_t index);
uint32_t tn_draw(tn_draws *d, uint32_t n); /* 0 .. n-1 */
/* Chooses `take` of `fields` fields, always with field 0. In half of the cases
   they are ascending. */
void tn_draw_fields(tn_draws *d, int fields, int take, int *order);

enum { TN_WORD = 24 }; /* room for a word */
/* Makes up a word of so many syllables, in lower case, at most five letters each. */
void tn_draw_word(tn_draws *d, int syllables, char out[TN_WORD]);

/* Appends to a record's text. What does not fit is left out. */
void tn_put(char out[TN_TASK_TEXT], const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
