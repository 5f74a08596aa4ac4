/* test_golden.c - 1, 2 and 10 steps of a problem in closed form against
   tests/golden/optimizers.txt, which the papers' own code and NumPy references agree on. */
#include "tests/fixtures.h"
#include "tests/optim_problem.h"
#include "tests/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row { const char *name, *optimizer, *settings; } row;

static const row rows[] = {
    { "RITE code", "lora-rite", "lr=0.05 clip=1 skip=1" },
    { "RITE code escape", "lora-rite", "lr=0.05 clip=1 skip=1 escape=1" },
    { "RITE code clip=skip=0", "lora-rite", "lr=0.05 clip=0 skip=0" },
    { "ScaledGD d=1e-6", "scaled-gd", "lr=0.05 delta=1e-6" },
    { "ScaledAdamW gs", "scaled-adam", "lr=0.05 delta=1e-6 gauss_seidel=1" },
    { "ScaledAdamW jacobi", "scaled-adam", "lr=0.05 delta=1e-6 gauss_seidel=0" },
    { "SGD m=.9 nest wd=.1", "sgd", "lr=0.05 momentum=0.9 nesterov=1 weight_decay=0.1" },
    { "Adam", "adam", "lr=0.05" },
    { "AdamW wd=.1", "adamw", "lr=0.05 weight_decay=0.1" },
};

typedef struct golden { char name[64]; bool zero; int step; double value[5]; } golden;

/* "name  A=0  10 | four entries | loss"; false for other lines. */
static bool parse(const char *line, golden *g)
{
    const char *bar = strchr(line, '|');
    if (!bar || sscanf(bar, "| %lf %lf %lf %lf | %lf", &g->value[0], &g->value[1], &g->value[2],
                       &g->value[3], &g->value[4]) != 5)
        return false;
    int n = (int)(bar - line), from = n;
    while (n > 0 && line[n - 1] == ' ')
        n--;
    for (from = n; from > 0 && line[from - 1] >= '0' && line[from - 1] <= '9'; from--)
        ;
    g->step = atoi(line + from);
    snprintf(g->name, sizeof g->name, "%.*s", from, line);
    char *zero = strstr(g->name, "A=0");
    g->zero = zero != NULL;
    if (zero)
        *zero = 0;
    for (n = (int)strlen(g->name); n > 0 && g->name[n - 1] == ' ';)
        g->name[--n] = 0;
    return true;
}

/* The figures are of the double build; single precision parameters lose some of them in 10 steps.
 */
static void compare(const golden *g, uint64_t shuffle)
{
    const row *r = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, g->name))
            r = &rows[i];
    if (!r)
        return;
    problem p;
    golden_problem(&p, g->zero, shuffle);
    problem_optimizer(&p, r->optimizer, r->settings, 0);
    for (int k = 0; k < g->step; k++) {
        golden_gradients(&p);
        problem_step(&p);
    }
    double loss = golden_gradients(&p);
    double got[5] = { (double)p.b[0]->x[0], (double)p.b[0]->x[9], (double)p.a[0]->x[0],
                      (double)p.a[0]->x[7], loss };
    bool f32 = sizeof(tn_real) == sizeof(float);
    for (int i = 0; i < 5; i++) {
        double limit = (f32 ? 1e-5 : 1e-9) * fabs(g->value[i]) + (f32 ? 1e-6 : 1e-13);
        ck_assert_msg(fabs(got[i] - g->value[i]) <= limit,
                      "%s%s, step %d, figure %d: %.13e, expected %.13e", g->name,
                      g->zero ? " A=0" : "", g->step, i, got[i], g->value[i]);
    }
    problem_free(&p);
}

START_TEST(every_row)
{
    tn_error e = { 0 };
    size_t size;
    char *text = tn_file_read(GOLDEN "optimizers.txt", 1 << 20, &size, &e);
    must(&e);
    int ours = 0, others = 0;
    char *rest = text;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        golden g = { 0 };
        if (!parse(line, &g))
            continue;
        bool known = false;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            known = known || !strcmp(rows[i].name, g.name);
        ours += known;
        others += !known;
        compare(&g, 0);
        compare(&g, 1 + (uint64_t)(ours + others));
    }
    ck_assert_int_eq(ours,
                     (int)(sizeof rows / sizeof *rows) * 2 * 3); /* both starts, three lengths */
    printf("golden rows: %d ours, %d of other optimizers\n", ours, others);
    free(text);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, every_row);
}
