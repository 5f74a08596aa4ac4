/* peak.c - tn_peak: chooses the version for a context, and has the one in plain C. */
#include "core/kernels/peak.h"
#include "core/op.h"

#include <math.h>
#include <string.h>

#ifdef TN_DOUBLE
#define FMA fma
#else
#define FMA fmaf
#endif

enum { CHAINS = 12 }; /* while one chain waits for its result, the CPU works on the others */

double tn_peak_scalar(int64_t rounds)
{
    tn_real sum[CHAINS] = { 0 }, all = 0;
    for (int64_t k = 0; k < rounds; k++)
        for (int i = 0; i < CHAINS; i++)
            sum[i] = FMA(sum[i], (tn_real)0.999, (tn_real)0.5);
    for (int i = 0; i < CHAINS; i++)
        all += sum[i];
    volatile tn_real used = all; /* without this the compiler removes the loop */
    (void)used;
    return 2.0 * CHAINS * (double)rounds;
}

double tn_peak(const tn_context *c, int64_t rounds)
{
    const char *isa = c ? tn_context_isa(c) : "";
#define ISA(name)                                                                                  \
    if (!strcmp(isa, #name))                                                                       \
        return tn_peak_##name(rounds);
#include "core/kernels/isas.def"
#undef ISA
    return 0;
}
