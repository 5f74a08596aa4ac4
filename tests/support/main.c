/* main.c - runs the tests of the test file that is linked with it (tests.h). */
#include "tests/support/tests.h"

#include <signal.h>
#include <stdlib.h>

int main(void)
{
    Suite *suite = suite_create("tenon");
    TCase *cases = tcase_create("all");
    tcase_set_timeout(cases, 900); /* a hang is a failure, a slow machine is not */
    signal(SIGHUP, SIG_DFL);       /* nohup lets it be ignored, but tests send it */
    if (!tests && !tests_of_program)
        return EXIT_FAILURE; /* neither is defined, perhaps because a name is misspelt */
    if (tests)
        tests(cases);
    if (tests_of_program && sizeof(tn_real) == sizeof(float))
        tests_of_program(cases);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
