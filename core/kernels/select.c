/* select.c - which kernels this CPU can run. Nothing else asks the CPU. */
#include "core/kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

static bool has_scalar(void)
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

#elif defined __aarch64__ && !defined TN_DOUBLE

static bool has_neon(void)
{
    return true; /* as every CPU of this architecture */
}

#endif

const char *const tn_isas[] = {
#define ISA(name) #name,
#include "core/kernels/isas.def"
#undef ISA
    NULL
};

static const struct {
    const tn_kernels *kernels;
    bool (*has)(void); /* the CPU has the instructions, and the system saves the registers */
} choices[] = {
#define ISA(name) { &tn_kernels_##name, has_##name },
#include "core/kernels/isas.def"
#undef ISA
};

const tn_kernels *tn_kernels_select(const char *isa)
{
    const char *name = isa ? isa : getenv("TN_ISA");
#ifdef TN_DOUBLE
    name = isa; /* the double build has one version: $TN_ISA is for the float build */
#endif
    for (size_t i = sizeof choices / sizeof *choices; i-- > 0;)
        if ((!name || !strcmp(name, tn_isas[i])) && choices[i].has())
            return choices[i].kernels;
    return NULL;
}
