/* peak.h - multiply-adds in registers alone, the most that a CPU could do. Internal header. */
#ifndef TN_PEAK_H
#define TN_PEAK_H

#include "core/core.h"

/* Runs `rounds` rounds of independent chains; returns the operations done, two a multiply-add. */
double tn_peak_scalar(int64_t rounds);
#if defined __x86_64__ && !defined TN_DOUBLE
double tn_peak_avx2(int64_t rounds);
double tn_peak_avx512(int64_t rounds);
#endif

#endif
