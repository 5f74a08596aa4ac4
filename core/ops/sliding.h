/* sliding.h - how a kernel slides over an image: what im2col, conv2d and the pools share.
   Internal header.

       tn_sliding s;
       if (tn_sliding_of(t, n, kernel, kernel, &s)) return tn_tape_code(t);      a refusal

   attr.i of these ops: stride (height, width), pad, dilation, each a pair; then what the op needs. */
#ifndef TN_SLIDING_H
#define TN_SLIDING_H

#include "core/ops/ops.h"

/* Pairs are of height and width. A place (y,x) of the output reads the numbers
   (y stride - pad + i dilation, ...) of the input, i < kernel; outside the input they are 0. */
typedef struct tn_sliding {
    int64_t channels, in[2], kernel[2], stride[2], pad[2], dilation[2], out[2];
} tn_sliding;

/* Reads the attributes of a node whose operand 0 is x (B,C,H,W). A stride of 0 stands for `step`, a
   dilation of 0 for 1. Refuses numbers that are out of range, an x that does not have 4 dimensions,
   and a kernel that is larger than the padded image. Returns 0 or the error. */
int tn_sliding_of(tn_tape *t, const tn_node *n, const int64_t kernel[2], const int64_t step[2],
                  tn_sliding *s);

/* Rows of all columns: C kh kw. Their length: places of the output. */
static inline int64_t tn_sliding_rows(const tn_sliding *s)
{
    return s->channels * s->kernel[0] * s->kernel[1];
}

static inline int64_t tn_sliding_places(const tn_sliding *s)
{
    return s->out[0] * s->out[1];
}

/* The places [first, end) of the output, along height (d 0) or width (d 1), where number j of the
   kernel reads the image: place q reads number x + (q - first) stride of it. end may be larger than
   the output, or first may: then there is no such place. */
typedef struct tn_reach {
    int64_t first, end, x;
} tn_reach;

static inline tn_reach tn_reach_of(const tn_sliding *s, int d, int64_t j)
{
    const int64_t step = s->stride[d], x = j * s->dilation[d] - s->pad[d]; /* read at place 0 */
    tn_reach r = { .first = x < 0 ? tn_ranges(-x, step) : 0 };
    r.x = x + r.first * step;
    r.end = r.first + (r.x < s->in[d] ? tn_ranges(s->in[d] - r.x, step) : 0);
    return r;
}

/* A part of the columns of one image: rows of channels [c, c + channels), and of each the places
   [p, p + places). Row (c,i,j) has what number (i,j) of the kernel reads in channel c. */
typedef struct tn_columns {
    int64_t c, channels, p, places;
} tn_columns;

/* The part (channels kh kw, places) of the columns of an image x (C,H,W), whose rows are `ld`
   apart; and back: each of its numbers is added to the number of dx that it was read from, row by
   row. Numbers of columns that read outside the image may become 0. */
void tn_columns_take(const tn_sliding *s, tn_columns part, const tn_real *x, tn_real *columns,
                     int64_t ld);
void tn_columns_add(const tn_sliding *s, tn_columns part, tn_real *columns, int64_t ld,
                    tn_real *dx);

#endif
