/* null.h - tables by which every function is called with NULL for each of its pointers.
   A table is a file of its own (null.def), with a row for each function:

       ROW(kind, takes, function, arguments)

   With these arguments the call must succeed. Then each pointer in turn is replaced by NULL. If bit
   i of `takes` is set, the call must succeed with NULL as argument i; otherwise it must refuse.
   `kind` is a macro or a function that gets the result and returns SUCCESS or REFUSAL. NOTHING is
   for results that cannot show this. A call that refuses must put the mistake into its tn_error, or
   into its tape if it has no tn_error. null_rows.h includes the table with ROW defined as CALL and
   as NAME. */
#ifndef TN_TESTS_NULL_H
#define TN_TESTS_NULL_H

#include "core/op.h"

enum { NULL_MOST = 10 }; /* arguments */

enum { NUMBER, POINTER, ERROR, TAPE };
enum { SUCCESS, REFUSAL, UNKNOWN }; /* the outcome of a call */

typedef struct null_call {
    const char *name;        /* of the function */
    int argument[NULL_MOST]; /* NUMBER, POINTER, ERROR or TAPE */
    unsigned takes;
    int outcome;
} null_call;

typedef struct null_fixture { /* the first member of the fixture of a test */
    tn_error e;
    tn_context *c;
    tn_tape *t;
} null_fixture;

typedef struct null_table {
    int rows;
    const char *const *names; /* of the functions that the rows call */
    null_fixture *(*open)(void);
    void (*close)(null_fixture *f);
    /* Runs the call of row i, with NULL as argument `null`. -1: without NULL. */
    void (*call)(null_fixture *f, int i, int null, null_call *out);
} null_table;

void null_row(const null_table *t, int i); /* checks a row */
void null_rows_are_all(const null_table *t,
                       const char *header); /* each function with a pointer has a row */

/* ---- how a row is called ---- */

#define CODE(result) ((result) < 0 ? REFUSAL : SUCCESS)
#define NONE(result) ((result) == NULL ? REFUSAL : SUCCESS)
#define ZERO(result) ((result) > 0 ? SUCCESS : REFUSAL)
#define NOTHING(result) ((result), UNKNOWN)
/* Defines the kind drop_WHAT, for functions that make an object or return NULL. It ends the
   object. */
#define DROP(what, type, end)                                                                      \
    static int drop_##what(type *made)                                                             \
    {                                                                                              \
        const int outcome = NONE(made);                                                            \
        end(made);                                                                                 \
        return outcome;                                                                            \
    }

#define NAME(kind, takes, function, ...) #function,
#define CALL(kind, takes_, function, ...)                                                          \
    if (i-- == 0) {                                                                                \
        *out = (null_call){ .name = #function,                                                     \
                            .argument = { EACH(ARGUMENT, __VA_ARGS__) },                           \
                            .takes = takes_ };                                                     \
        out->outcome = kind(function(EACH(PASS, __VA_ARGS__)));                                    \
    }
#define ARGUMENT(i, x)                                                                             \
    _Generic((x), _Bool: NUMBER, int: NUMBER, unsigned: NUMBER, long: NUMBER, unsigned long: NUMBER, \
             float: NUMBER, double: NUMBER, tn_mode: NUMBER, tn_attr: NUMBER, tn_conv_form: NUMBER, tn_pool_form: NUMBER, tn_error *: ERROR, \
             tn_tape *: TAPE, default: POINTER)
#define PASS(i, x) (null == (i) ? (__typeof__(x)){ 0 } : (x))

#define EACH(F, ...)                                                                               \
    PICK(__VA_ARGS__, EACH10, EACH9, EACH8, EACH7, EACH6, EACH5, EACH4, EACH3, EACH2, EACH1, )     \
    (F, __VA_ARGS__)
#define PICK(a, b, c, d, e, g, h, j, k, l, EACHN, ...) EACHN
#define EACH1(F, a) F(0, a)
#define EACH2(F, a, b) EACH1(F, a), F(1, b)
#define EACH3(F, a, b, c) EACH2(F, a, b), F(2, c)
#define EACH4(F, a, b, c, d) EACH3(F, a, b, c), F(3, d)
#define EACH5(F, a, b, c, d, e) EACH4(F, a, b, c, d), F(4, e)
#define EACH6(F, a, b, c, d, e, g) EACH5(F, a, b, c, d, e), F(5, g)
#define EACH7(F, a, b, c, d, e, g, h) EACH6(F, a, b, c, d, e, g), F(6, h)
#define EACH8(F, a, b, c, d, e, g, h, j) EACH7(F, a, b, c, d, e, g, h), F(7, j)
#define EACH9(F, a, b, c, d, e, g, h, j, k) EACH8(F, a, b, c, d, e, g, h, j), F(8, k)
#define EACH10(F, a, b, c, d, e, g, h, j, k, l) EACH9(F, a, b, c, d, e, g, h, j, k), F(9, l)

#endif
