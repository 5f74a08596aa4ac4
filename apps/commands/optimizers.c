/* optimizers.c - tenon optimizers: a table of all, or every fact about one, from its definition. */
#include "apps/bench/bench.h"
#include "apps/options/choice.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <string.h>

static const char *const claim_names[] = { [TN_INVARIANT_NONE] = "none",
                                           [TN_INVARIANT_SCALE] = "scale",
                                           [TN_INVARIANT_ROTATION] = "rotations",
                                           [TN_INVARIANT_BOTH] = "scale and rotations",
                                           [TN_INVARIANT_FULL] = "every invertible T",
                                           [TN_INVARIANT_UNSIGNED] = "unsigned permutations" };
static const char *const kind_names[] = {
    [TN_LIKE_X] = "like the weight",         [TN_LIKE_B] = "like lora_B",
    [TN_ROWS] = "a number per row",          [TN_COLS] = "a number per column",
    [TN_ROW_SQUARE] = "rows x rows, double", [TN_COL_SQUARE] = "columns x columns, double",
    [TN_R_BY_R] = "R x R, double",           [TN_SCALAR] = "a number, double"
};

/* The start from which a claim holds; it is printed after claims_when. */
static const char *start_of(const tn_optim_def *d)
{
    return d->claims_nonzero ? ", from factors that are not zero" : "";
}

static void print_table(void)
{
    static const char *const brief[] = {
        [TN_INVARIANT_NONE] = "none",          [TN_INVARIANT_SCALE] = "scale",
        [TN_INVARIANT_ROTATION] = "rotations", [TN_INVARIANT_BOTH] = "both",
        [TN_INVARIANT_FULL] = "every T",       [TN_INVARIANT_UNSIGNED] = "unsigned"
    };
    lines l = lines_begin();
    l.indent = 36; /* where the fourth column begins */
    lines_add(&l, "%-16s %-7s %-10s %s\n", "name", "lr", "invariance", "what it is");
    for (int i = 0; tn_optims[i]; i++) {
        const tn_optim_def *d = tn_optims[i];
        const char *star = d->claims_when ? "*" : "";
        lines_add(&l, "%-16s %-7g %s%-*s %s\n", d->name, d->hyper[0].value, brief[d->claims],
                  (int)(10 - strlen(brief[d->claims])), star, d->title);
    }
    lines_show("\ntenon optimizers NAME prints all facts about one.\n"
               "Invariance: which T in A -> A T, B -> B T^-T leave its steps on the product "
               "unchanged;\nnone: signed permutations alone; both: scale and rotations;\n"
               "*: under the settings that tenon optimizers NAME prints.\n");
}

/* ---- in Markdown ---- */

/* The text of a table's cell. Outside of code the signs of Markdown are escaped too. */
static void cell(tn_text *out, const char *s, bool code)
{
    for (; *s; s++)
        tn_text_add(out, "%s%c", *s == '|' || (!code && strchr("*_<[`", *s)) ? "\\" : "", *s);
}

static void paper(tn_text *out, const char *s)
{
    static const char archive[] = "arXiv:";
    const bool known = s && !strncmp(s, archive, sizeof archive - 1) && !strpbrk(s, " ,;");
    if (known)
        tn_text_add(out, "[%s](https://arxiv.org/abs/%s)", s, s + sizeof archive - 1);
    else
        cell(out, s ? s : "-", false);
}

/* Bytes of state for every trained number of a pair. */
static double state_of(tn_context *c, const options *o, const tn_optim_def *d, tn_error *e)
{
    options one = *o;
    one.pairs = 1;
    tn_params *p = bench_pairs(c, &one, e);
    tn_optim *optim = tn_optim_new(p, d, NULL, e);
    double bytes = 0;
    if (!e->code)
        bytes = (double)tn_optim_state_bytes(optim) / (double)tn_params_trained(p);
    tn_optim_free(optim);
    tn_params_free(p);
    return bytes;
}

static void add_row(const char *file, const tn_optim_def *d, double bytes, tn_text *out)
{
    tn_text_add(out, "| [%s](%s.c) | `", d->name, file);
    cell(out, d->update, true);
    tn_text_add(out, "` | %.3g | ", bytes);
    cell(out, d->cost, false);
    tn_text_add(out, " | %s", claim_names[d->claims]);
    if (d->claims_when) {
        tn_text_add(out, ", if ");
        cell(out, d->claims_when, false);
    }
    tn_text_add(out, "%s | %g | ", start_of(d), d->hyper[0].value);
    paper(out, d->paper);
    tn_text_add(out, " | ");
    cell(out, d->departs ? d->departs : "-", false);
    tn_text_add(out, " |\n");
}

static int print_markdown(const options *o, tn_error *e)
{
    static const char *const files[] = {
#define OPTIM(name) #name,
#include "optim/optim.def"
#undef OPTIM
    };
    tn_text out = { 0 };
    tn_context *c = bench_context(NULL, 1, e);
    tn_text_add(&out,
                "| name | update | state, bytes a number of a pair (%lld x %lld, r %lld) | cost | "
                "invariance | rate | paper | departs from the authors' code |\n"
                "|---|---|---|---|---|---|---|---|\n",
                (long long)o->width, (long long)o->width, (long long)o->lora_rank);
    for (int i = 0; tn_optims[i] && !e->code; i++)
        add_row(files[i], tn_optims[i], state_of(c, o, tn_optims[i], e), &out);
    if (!e->code)
        show_text(&out, "the table", e);
    tn_text_free(&out);
    tn_context_free(c);
    return e->code;
}

/* ---- one optimizer ---- */

static void print_setting(const tn_hyper *h)
{
    lines l = lines_begin();
    l.indent = 18; /* where the second column begins */
    lines_add(&l, "  %-15s %-8g %-22s  %s\n", h->name, h->value, tn_range_text(h->range), h->help);
}

static void print_one(const tn_optim_def *d)
{
    lines_show("%s - %s\n\n", d->name, d->title);
    lines_show("paper       %s\n", d->paper ? d->paper : "-");
    lines_show("update      %s\n", d->update);
    lines_show("cost        %s\n", d->cost);
    lines_show("units       %s\n", d->pairs      ? "LoRA pairs; what is no pair goes to adamw"
                                   : d->matrices ? "single matrices; vectors go to adamw"
                                                 : "single weights");
    lines_show("invariance  %s%s%s%s\n", claim_names[d->claims], d->claims_when ? ", if " : "",
               d->claims_when ? d->claims_when : "", start_of(d));
    lines_show("clipping    %s\n", d->clip == TN_CLIP_REFUSED
                                       ? "--max-grad-norm is refused: it breaks the invariance"
                                       : "--max-grad-norm, 1 unless it is set");
    lines_show("decay       %s%s\n", d->decay ? "--weight-decay sets " : "none",
               d->decay ? d->decay : "");
    lines_show("\nsettings: default, range, meaning (--opt NAME=VALUE; lr: --learning-rate)\n");
    for (int i = 0; i < TN_MAX_HYPER && d->hyper[i].name; i++)
        print_setting(&d->hyper[i]);
    lines_show("  shared with others:\n");
    for (int i = 0; tn_optim_common(d, i); i++)
        print_setting(tn_optim_common(d, i));
    if (d->presets[0].name)
        lines_show("\npresets (--opt preset=NAME)\n");
    for (int i = 0; i < TN_MAX_PRESETS && d->presets[i].name; i++)
        lines_show("  preset=%-13s %s\n", d->presets[i].name, d->presets[i].settings);
    if (d->departs)
        lines_show("\ndeparts from the authors' code\n  %s\n", d->departs);
    lines_show("\nstate%s\n", d->needs ? " (as far as the settings need it)" : "");
    for (int i = 0; i < TN_MAX_SLOTS && d->slots[i].kind != TN_SLOT_NONE; i++)
        lines_show("  %-14s %s\n", d->slots[i].name, kind_names[d->slots[i].kind]);
    if (d->slots[0].kind == TN_SLOT_NONE)
        lines_show("  none\n");
}

int command_optimizers(const options *o, tn_error *e)
{
    if (o->arguments && o->markdown)
        tn_fail(e, APP_USAGE, "--markdown: expected no NAME beside it");
    else if (o->markdown)
        print_markdown(o, e);
    else if (!o->arguments)
        print_table();
    if (!o->arguments || e->code)
        return 0;
    const tn_optim_def *d = choice_find(o->argument[0], e);
    if (d)
        print_one(d);
    return 0;
}
