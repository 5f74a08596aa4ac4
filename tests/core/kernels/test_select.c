/* test_select.c - which kernels a name and $TN_ISA choose. */
#include "tests/support/kernels.h"

#include <stdlib.h>

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

void tests(TCase *c)
{
    tcase_add_test(c, selection);
}
