/* main.c - runs the tests of the one file that is linked with it: each defines tests(). */
#include "tests/support/tests.h"

#include <stdlib.h>

int main(void)
{
    Suite *suite = suite_create("tenon");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 300);
    tests(cases);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
