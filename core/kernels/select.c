/* select.c - which kernels this CPU can run. Nothing else asks the CPU. */
#include "core/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

typedef struct choice {
    const tn_kernels *kernels;
    bool (*runs)(void); /* the CPU has the instructions, and the system saves the registers */
} choice;

static bool always(void)
{
    return true;
}

#if defined __x86_64__ && !defined TN_DOUBLE

static bool has_avx2(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

#endif

/* Best first. */
static const choice choices[] = {
#if defined __x86_64__ && !defined TN_DOUBLE
    { .kernels = &tn_kernels_avx512, .runs = has_avx512 },
    { .kernels = &tn_kernels_avx2, .runs = has_avx2 },
#endif
    { .kernels = &tn_kernels_scalar, .runs = always },
};

const tn_kernels *tn_kernels_select(const char *isa)
{
    const char *name = isa ? isa : getenv("TN_ISA");
#ifdef TN_DOUBLE
    name = isa; /* the double build has one version: $TN_ISA is for the float build */
#endif
    for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
        if ((!name || !strcmp(name, choices[i].kernels->isa)) && choices[i].runs())
            return choices[i].kernels;
    return NULL;
}
