/* peak.h - the most multiply-adds that a CPU can do: all in registers. Internal header. */
#ifndef TN_PEAK_H
#define TN_PEAK_H

#include "core/core.h"

/* Runs `rounds` rounds of independent chains. Returns the number of operations, two for each
   multiply-add. */
#define ISA(name) double tn_peak_##name(int64_t rounds);
#include "core/kernels/isas.def"
#undef ISA

#endif
