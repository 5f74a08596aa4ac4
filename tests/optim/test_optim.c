/* test_optim.c - the pages of optim/: 1, 2 and 10 steps on a problem that formulas define.
   They are compared with tests/golden/optimizers.txt and optimizers_extra.txt. The code of the
   papers and references in NumPy agree on these numbers.

   To add an optimizer:
   1. Write optim/NAME.c: the equations with numbers, cost, state, claims and traps at its head, a
      step of one unit, and the definition. The shortest pages are optim/lion.c for single weights and
      optim/loraplus.c for pairs; optim.h says what a unit has.
   2. Add the row OPTIM(NAME) to optim/optim.def. The program, its help, checkpoints, the comparison
      and the tests that loop over the table then have it.
   3. Run make test ONLY=optim. These loop over the table:
          test_textbook.c        the page has its sections, and the code names each equation
          test_claims.c          it has exactly the invariance that it claims
          test_torture.c         ranks, zeros, sizes, resuming, orders, allocations
          run/test_settings.c    every setting changes a run; values out of range are refused
          run/test_step.c        decay, threads, gradients that are not finite
   4. No loop can know whether it is the paper's method. Make figures with the authors' code, and
   add
      them as a row here (golden/optimizers_extra.txt) or in test_trajectories.c. Or write a
      test_NAME.c with its equations, as test_shampoo.c, or a theorem of the paper, as
      test_reflora.c. */
#include "tests/support/fixtures.h"
#include "tests/support/optim_problem.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *name, *optimizer, *settings;
} row;

static const row rows[] = {
    { "RITE code", "lora-rite", "preset=authors lr=0.05" },
    { "RITE code escape", "lora-rite", "preset=authors lr=0.05 escape=1" },
    { "RITE code clip=skip=0", "lora-rite", "preset=authors lr=0.05 clip=0 skip=0" },
    { "ScaledGD d=1e-6", "scaled-gd", "lr=0.05 delta=1e-6" },
    { "ScaledAdamW gs", "scaled-adam", "lr=0.05 delta=1e-6 gauss_seidel=1" },
    { "ScaledAdamW jacobi", "scaled-adam", "lr=0.05 delta=1e-6 gauss_seidel=0" },
    { "SGD m=.9 nest wd=.1", "sgd", "lr=0.05 momentum=0.9 nesterov=1 weight_decay=0.1" },
    { "Adam", "adam", "lr=0.05" },
    { "AdamW wd=.1", "adamw", "lr=0.05 weight_decay=0.1" },
    { "Lion", "lion", "lr=0.05" },
    { "Lion wd=.1", "lion", "lr=0.05 weight_decay=0.1" },
    { "LAMB wd=.01", "lamb", "lr=0.05 weight_decay=0.01" },
    { "LoRA+ x16 (A fast)", "loraplus", "lr=0.005 ratio=16" },
    { "Adafactor", "adafactor", "lr=0.05" },
    { "Adafactor wd=.1", "adafactor", "lr=0.05 weight_decay=0.1" },
    { "LoRA-Pro SGD X=0", "projected-gd", "lr=0.05 delta=0 split=0" },
    { "RefLoRA + SGD", "reflora", "lr=0.05 adamw=0 warmup_steps=0" },
    { "LoRA-Pro SGD X=Sylv", "projected-gd", "lr=0.05 delta=0 split=2" },
    { "RITE paper", "lora-rite-paper", "lr=0.05" },
    { "Muon rms", "muon", "lr=0.05 match_rms=1" },
    { "Muon rms wd=.1", "muon", "lr=0.05 match_rms=1 weight_decay=0.1" },
    { "Muon orig (PEFT)", "muon", "lr=0.05" },
    { "Muon rms no nesterov", "muon", "lr=0.05 match_rms=1 nesterov=0" },
    { "Shampoo 2-sided 1e-4", "shampoo", "lr=0.05 eps=1e-4" },
    { "Shampoo r-side 1e-4", "shampoo", "lr=0.05 eps=1e-4 max_side=2" },
    { "LoRA-Muon beta=.9", "lora-muon", "gauss_seidel=0 cut=0 lr=0.05 beta=0.9" },
};

enum { ROWS = sizeof rows / sizeof *rows };

/* clang-format off */
typedef struct golden { char name[64]; bool zero; int step; double value[5]; } golden;
/* clang-format on */

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
    if (!g->step)
        return false; /* the start */
    snprintf(g->name, sizeof g->name, "%.*s", from, line);
    char *zero = strstr(g->name, "A=0");
    g->zero = zero != NULL;
    if (zero)
        *zero = 0;
    for (n = (int)strlen(g->name); n > 0 && g->name[n - 1] == ' ';)
        g->name[--n] = 0;
    return true;
}

/* The numbers are those of the double build. With float weights 10 steps lose some digits. */
static void compare(const golden *g, const row *r, uint64_t shuffle)
{
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

/* Checks every line of the file, with weights registered in two orders. met[i]: the lines of row
   i. */
static void read_rows(const char *path, int *met)
{
    tn_error e = { 0 };
    size_t size;
    char *text = tn_file_read(path, 1 << 20, &size, &e);
    must(&e);
    char *rest = text;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) != NULL;) {
        golden g = { 0 };
        if (!parse(line, &g))
            continue;
        size_t i = 0;
        while (i < ROWS && strcmp(rows[i].name, g.name))
            i++;
        ck_assert_msg(i < ROWS, "%s: no row here stands for \"%s\"", path, g.name);
        for (uint64_t shuffle = 0; shuffle < 2; shuffle++)
            compare(&g, &rows[i], shuffle * (1 + i));
        met[i]++;
    }
    free(text);
}

START_TEST(every_row)
{
    int met[ROWS] = { 0 };
    read_rows(GOLDEN "optimizers.txt", met);
    read_rows(GOLDEN "optimizers_extra.txt", met);
    for (size_t i = 0; i < ROWS; i++) /* 1, 2 and 10 steps, from one start or from two */
        ck_assert_msg(met[i] == 3 || met[i] == 6, "%s stands on %d lines", rows[i].name, met[i]);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, every_row);
}
