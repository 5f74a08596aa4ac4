/* check.h - what the parts of tn_op_check share: running samples and comparing numbers.
   Internal header. */
#ifndef TN_CHECK_H
#define TN_CHECK_H

#include "core/check/call.h"

typedef struct tn_checker { /* one check of one op */
    const tn_op *op;
    tn_sink *put; /* takes the findings; may be NULL */
    void *arg;
    int found; /* how many */
} tn_checker;

/* True in the double build. There differences are exact to many digits, and there is only one
   instruction set. */
static const bool tn_in_double = sizeof(tn_real) == sizeof(double);

/* Puts the line "NAME: TEXT". */
void tn_found(tn_checker *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A tape with a new context. NULL: this CPU does not have the instruction set, or memory is out. */
tn_tape *tn_check_tape(const char *isa, int threads);
/* Calls tn_call_numbers. If that fails, puts the reason and returns false. */
bool tn_check_numbers(tn_checker *k, const tn_call *c, tn_tape *t, bool plain, tn_numbers *n);
/* A function that is called once for each sample. */
typedef void tn_check_body(tn_checker *k, const tn_call *c, tn_tape *t);
/* Calls body with each small sample of the op. */
void tn_check_samples(tn_checker *k, tn_tape *t, tn_check_body *body);

/* Put a line about the first number that is not close, or not the same. False if there is one. */
bool tn_check_close(tn_checker *k, const char *name, const char *what, const tn_numbers *a,
                    const tn_numbers *b);
bool tn_check_same(tn_checker *k, const char *name, const char *what, const tn_numbers *a,
                   const tn_numbers *b);

/* gradient.c: backward equals differences of forward (I4). Gradients are added, and do not depend
   on which other operands want one (I5). */
void tn_check_gradients(tn_checker *k);
/* bits.c: results have the same bits for every number of threads (I1), instruction set (I2), batch
   (I3) and old content of memory. */
void tn_check_bits(tn_checker *k);

#endif
