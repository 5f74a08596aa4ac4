/* tests.h - what the test files share.
   A test file defines tests(), which adds its cases:

       START_TEST(adds) { ... ck_assert_int_eq(1 + 1, 2); } END_TEST
       void tests(TCase *c) { tcase_add_test(c, adds); }
*/
#ifndef TN_TESTS_H
#define TN_TESTS_H

#include "core/core.h"

#include <check.h>

void tests(TCase *c);

#endif
