/* lab.c - tenon lab: experiments for a lecture, drawn in the terminal and as SVG in seconds. */
#include "apps/lab/lab.h"
#include "apps/folder/output.h"
#include "apps/report/columns.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const experiment experiments[] = {
    { "invariance", "one product, four ways to write it: which optimizers train them all alike?",
      "sgd,adam,scaled-gd,lora-rite", NULL, lab_invariance },
    { "first-steps", "how far each factor moves in its first ten steps from lora_B = 0",
      "sgd,adam,scaled-gd,lora-rite", NULL, lab_first_steps },
    { "init-scale", "loss at the end against the size lora_A starts with",
      "sgd,adam,scaled-gd,lora-rite,scaled-adam", NULL, lab_init_scale },
    { "conditioning", "ScaledGD against gradient descent on matrix sensing, condition 1 to 10,000",
      "scaled-gd,sgd,lora-rite,adam", NULL, lab_conditioning },
    { "paths", "paths on two losses of two numbers, with contour lines", "scaled-gd,lora-rite",
      "sgd,adam", lab_paths },
    { "rank", "loss at the end against r, to learn a matrix of rank 4", "adam,lora-rite,lora-muon",
      NULL, lab_rank },
    { "alpha", "loss at the end against the rate, under three alphas",
      "adam,lora-rite,scaled-gd,altlora", NULL, lab_alpha },
};
enum { EXPERIMENTS = sizeof experiments / sizeof *experiments };

static const experiment *find_experiment(const char *name, tn_error *e)
{
    const char *names[EXPERIMENTS];
    for (int i = 0; i < EXPERIMENTS; i++) {
        names[i] = experiments[i].name;
        if (!strcmp(name, names[i]))
            return &experiments[i];
    }
    unknown_name("experiment", name, names, EXPERIMENTS, "tenon lab", e);
    return NULL;
}

/* Do both set the same name, as "k=v" and "k=w" do? */
static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strcspn(b, "=") == n && !strncmp(a, b, n);
}

void lab_set(lab_choice *c, const char *setting)
{
    int i = 0;
    while (c->set[i] && !same_name(setting, c->set[i]))
        i++;
    c->set[i] = setting;
}

/* The settings under which the optimizer's claim holds, and those of --opt. */
static void choose(lab_choice *c, const options *o, const char *name)
{
    const char *asked[MAX_LIST + 1];
    int n = 0;
    *c = (lab_choice){ .def = tn_optim_find(name) };
    snprintf(c->claim, sizeof c->claim, "%s", c->def->claims_when ? c->def->claims_when : "");
    char *rest = c->claim;
    for (char *s; n < TN_MAX_HYPER && (s = strtok_r(rest, " ", &rest)) != NULL;)
        c->set[n++] = s;
    choice_settings(o, name, asked);
    c->claims = true;
    for (int i = 0, needed = n; asked[i]; i++) {
        int k = 0;
        while (k < needed && !same_name(asked[i], c->set[k]))
            k++;
        c->claims = c->claims && (k == needed || !strcmp(asked[i], c->set[k]));
        n += k == needed;
        c->set[k < needed ? k : n - 1] = asked[i];
    }
    int used = snprintf(c->label, sizeof c->label, "%s", name);
    for (int i = 0; i < n && used < LAB_LABEL; i++)
        used += snprintf(c->label + used, (size_t)(LAB_LABEL - used), " %s", c->set[i]);
}

static int choose_all(lab *l, const experiment *x, tn_error *e)
{
    const char *names[2 * LAB_MOST];
    const options none = { 0 };
    int n = x->always ? choice_names(&none, x->always, names, LAB_MOST, e) : 0;
    n += choice_names(l->o, x->optimizers, names + n, LAB_MOST, e);
    choice_check(l->o, names, n, e);
    for (int i = 0; i < n && !e->code; i++) {
        bool there = false;
        for (int k = 0; k < l->count; k++)
            there = there || !strcmp(l->chosen[k].def->name, names[i]);
        if (!there && l->count == LAB_MOST)
            tn_fail(e, APP_USAGE, "--optimizers: expected at most %d, with %s", LAB_MOST,
                    x->always);
        else if (!there)
            choose(&l->chosen[l->count++], l->o, names[i]);
    }
    l->width = (int)strlen("optimizer");
    for (int i = 0; i < l->count; i++)
        if ((int)strlen(l->chosen[i].label) > l->width)
            l->width = (int)strlen(l->chosen[i].label);
    return e->code;
}

static void nothing(void *arg, const lab_state *now)
{
    (void)arg, (void)now;
}

/* Reports what an optimizer refuses before the first one runs. */
static int try_all(const lab *l, tn_error *e)
{
    const double one = 1;
    const lab_goal goal = { 1, 1, &one };
    const lab_task t = lab_fit(&goal, 1, &one, &one, 0);
    for (int i = 0; i < l->count && !e->code; i++)
        lab_run(l, &l->chosen[i], 1, &t, nothing, NULL, e);
    return e->code;
}

int lab_show(const lab *l, const chart *c, int n, lab_layout layout, tn_error *e)
{
    tn_text text = { 0 }, svg = { 0 };
    for (int i = 0; i < n; i++) {
        chart one = c[i];
        one.columns = (int)columns_to_fit();
        curves_text(&one, curves_style_asked(STDOUT_FILENO, l->o->color), &text);
    }
    if (layout == LAB_GRID)
        curves_svg_grid(c, n, &svg);
    else
        curves_svg(c, n, &svg);
    const char *drawn = tn_text_done(&svg, "the curves", e);
    if (drawn) {
        show("\n");
        show_text(&text, "the curves", e);
    }
    if (drawn && !e->code && l->o->svg && !tn_file_create(l->o->svg, drawn, svg.n, e))
        lines_show("\nwritten: %s\n", l->o->svg);
    tn_text_free(&text);
    tn_text_free(&svg);
    return e->code;
}

static int run_experiment(const experiment *x, const options *o, tn_error *e)
{
    lab *l = calloc(1, sizeof *l);
    if (!l)
        return tn_fail(e, TN_ENOMEM, "lab: out of memory");
    l->o = o;
    l->seed = (uint64_t)o->seed;
    l->context =
        choose_all(l, x, e) ? NULL : tn_context_new(&(tn_options){ .threads = (int)o->threads });
    if (!e->code && !l->context)
        tn_fail(e, TN_ENOMEM, "%lld threads: out of memory", (long long)o->threads);
    if (!e->code && !try_all(l, e)) {
        lines_show("%s: %s (seed %lld)\n\n", x->name, x->help, (long long)o->seed);
        x->run(l, e);
    }
    tn_context_free(l->context);
    free(l);
    return e->code;
}

int command_lab(const options *o, tn_error *e)
{
    lines l = lines_begin();
    l.indent = 14;
    for (int i = 0; i < EXPERIMENTS && !o->arguments; i++)
        lines_add(&l, "%-13s %s\n", experiments[i].name, experiments[i].help);
    const experiment *x = o->arguments ? find_experiment(o->argument[0], e) : NULL;
    if (!x && !e->code && o->svg)
        tn_fail(e, APP_USAGE, "--svg %s: expected the name of an experiment, too", o->svg);
    if (x && o->svg)
        output_check_file("--svg", o->svg, ".svg", false, e);
    if (x && !e->code)
        run_experiment(x, o, e);
    return 0;
}
