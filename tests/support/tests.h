/* tests.h - what the test files share.
   A test file defines tests(), which adds its cases:

       START_TEST(adds) { ... ck_assert_int_eq(1 + 1, 2); } END_TEST
       void tests(TCase *c) { tcase_add_test(c, adds); }

   Every test file is compiled twice, with tn_real = float and with tn_real = double. There is only
   one program build/tenon, in float. Cases that run it are added by tests_of_program(), which the
   double build does not call. */
#ifndef TN_TESTS_H
#define TN_TESTS_H

#include "core/core.h"

#include <check.h>

/* 1 if a sanitizer is built in: it has its own malloc, shadow memory and system calls. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define TESTS_SANITIZED 1
#elif defined __has_feature
#define TESTS_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define TESTS_SANITIZED 0
#endif

/* A test file defines one of these or both. */
void tests(TCase *c) __attribute__((weak));
void tests_of_program(TCase *c) __attribute__((weak));

#endif
