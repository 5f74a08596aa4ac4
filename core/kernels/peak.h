/* peak.h - the most multiply-adds that a CPU can do: all in registers. Internal header. */
#ifndef TN_PEAK_H
#define TN_PEAK_H

#include "core/core.h"

/* Runs `rounds` rounds of independent chains. Returns the number of operations, two for each
   multiply-add. */
double tn_peak_scalar(int64_t rounds);
#if defined __x86_64__ && !defined TN_DOUBLE
double tn_peak_avx2(int64_t rounds);
double tn_peak_avx512(int64_t rounds);
#endif

#endif
