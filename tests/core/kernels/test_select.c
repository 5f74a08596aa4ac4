/* test_select.c - which kernels a name and $TN_ISA choose. */
#include "tests/support/kernels.h"

#include <stdlib.h>
#include <string.h>

START_TEST(selection)
{
    unsetenv("TN_ISA");
    ck_assert_ptr_nonnull(tn_kernels_select(NULL));
    ck_assert_ptr_eq(tn_kernels_select("scalar"), &tn_kernels_scalar);
    ck_assert_ptr_null(tn_kernels_select("mmx"));
    ck_assert_ptr_null(tn_kernels_select(""));
    setenv("TN_ISA", "scalar", 1);
    ck_assert_ptr_eq(tn_kernels_select(NULL), &tn_kernels_scalar);
    setenv("TN_ISA", "mmx", 1);
    if (sizeof(tn_real) == 4)
        ck_assert_ptr_null(tn_kernels_select(NULL));
    ck_assert_ptr_eq(tn_kernels_select("scalar"), &tn_kernels_scalar);
}
END_TEST

/* The best that the CPU has is chosen, which stands last. */
START_TEST(list)
{
    const tn_kernels *best = NULL;
    unsetenv("TN_ISA");
    ck_assert_str_eq(tn_isas[0], "scalar");
    for (int i = 0; tn_isas[i]; i++) {
        const tn_kernels *k = tn_kernels_select(tn_isas[i]);
        ck_assert(!k || !strcmp(k->isa, tn_isas[i]));
        best = k ? k : best;
    }
    ck_assert_ptr_eq(tn_kernels_select(NULL), best);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, list);
    tcase_add_test(c, selection);
}
