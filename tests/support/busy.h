/* busy.h - a thread that stays inside a call of a context until busy_end. */
#ifndef TN_TESTS_BUSY_H
#define TN_TESTS_BUSY_H

#include "core/core.h"

#include <pthread.h>
#include <stdatomic.h>

/* clang-format off */
typedef struct busy { tn_context *c; pthread_t id; atomic_int inside, let_out; } busy;
/* clang-format on */

void busy_begin(busy *b, tn_context *c); /* returns when the thread is inside */
void busy_end(busy *b);                  /* returns when the thread has ended */

#endif
