/* null_rows.h - the test of the rows of a table (null.h).
   A test file defines `fixture`, open_fixture, close_fixture and NULL_ROWS, the path of the table.
   Then it includes this file. */
#include "tests/support/null.h"
#include "tests/support/tests.h"

static const char *const names[] = {
#define ROW NAME
#include NULL_ROWS
#undef ROW
};

static void call(null_fixture *base, int i, int null, null_call *out)
{
    fixture *f = (fixture *)base;
#define ROW CALL
#include NULL_ROWS
#undef ROW
}

static const null_table table = { sizeof names / sizeof *names, names, open_fixture, close_fixture,
                                  call };

START_TEST(null_is_refused)
{
    null_row(&table, _i);
}
END_TEST
