/* tests.h - what the test files share.
   A test file defines tests(), which adds its cases:

       START_TEST(adds) { ... ck_assert_int_eq(1 + 1, 2); } END_TEST
       void tests(TCase *c) { tcase_add_test(c, adds); }

   Every test file is compiled twice, with tn_real = float and with tn_real = double. Cases that run
   the program build/tenon are added by tests_of_program() instead, or besides: there is one program,
   in float, and the double build leaves them out. */
#ifndef TN_TESTS_H
#define TN_TESTS_H

#include "core/core.h"

#include <check.h>

/* 1 where a sanitizer is built in, which has a malloc, shadow memory and calls to the system of its own. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define TESTS_SANITIZED 1
#elif defined __has_feature
#define TESTS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define TESTS_SANITIZED 0
#endif

/* A test file defines one of them or both. */
void tests(TCase *c) __attribute__((weak));
void tests_of_program(TCase *c) __attribute__((weak));

#endif
