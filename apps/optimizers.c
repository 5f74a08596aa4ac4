/* optimizers.c - tenon optimizers: a table of all, or every fact of one, read from its definition.
 */
#include "apps/run.h"

#include <stdio.h>
#include <string.h>

static const char *const claim_names[] = { [TN_INVARIANT_NONE] = "none",
                                           [TN_INVARIANT_SCALE] = "scale",
                                           [TN_INVARIANT_ROTATION] = "rotations",
                                           [TN_INVARIANT_BOTH] = "scale and rotations",
                                           [TN_INVARIANT_FULL] = "every invertible T",
                                           [TN_INVARIANT_UNSIGNED] = "unsigned permutations" };
static const char *const kind_names[] = { [TN_LIKE_X] = "like the weight",
                                          [TN_LIKE_B] = "like lora_B",
                                          [TN_ROWS] = "a number a row",
                                          [TN_COLS] = "a number a column",
                                          [TN_ROW_SQUARE] = "rows x rows, double",
                                          [TN_COL_SQUARE] = "columns x columns, double",
                                          [TN_R_BY_R] = "R x R, double",
                                          [TN_SCALAR] = "a number, double" };

static void print_table(void)
{
    printf("%-14s %-8s %-20s %s\n", "name", "lr", "invariance", "what it is");
    for (int i = 0; tn_optims[i]; i++) {
        const tn_optim_def *d = tn_optims[i];
        printf("%-14s %-8g %-20s %s\n", d->name, d->hyper[0].value, claim_names[d->claims],
               d->title);
    }
    printf("\ntenon optimizers NAME says all of one. Invariance: which T in A -> A T, B -> B T^-T "
           "leave its\n"
           "steps on the product unchanged.\n");
}

static void print_one(const tn_optim_def *d)
{
    printf("%s - %s\n\n", d->name, d->title);
    printf("paper       %s\n", d->paper ? d->paper : "-");
    printf("update      %s\n", d->update);
    printf("cost        %s\n", d->cost);
    printf("units       %s\n",
           d->pairs      ? "LoRA pairs; what is no pair goes to adamw"
           : d->matrices ? "single matrices; vectors go to adamw"
                         : "single weights");
    printf("invariance  %s%s%s\n", claim_names[d->claims], d->claims_when ? ", if " : "",
           d->claims_when ? d->claims_when : "");
    printf("clipping    %s\n", d->clip == TN_CLIP_OWN ? "its own rule; --max-grad-norm is refused"
                                                      : "--max-grad-norm, 1 unless told");
    printf("decay       %s%s\n", d->decay ? "--weight-decay sets " : "none",
           d->decay ? d->decay : "");
    printf("\nsettings (--opt NAME=VALUE; lr: --learning-rate)\n");
    for (int i = 0; i < TN_MAX_HYPER && d->hyper[i].name; i++)
        printf("  %-14s %-10g %s\n", d->hyper[i].name, d->hyper[i].value, d->hyper[i].help);
    for (int i = 0; i < TN_MAX_PRESETS && d->presets[i].name; i++)
        printf("%s  preset=%-13s %s\n", i ? "" : "\npresets (--opt preset=NAME)\n",
               d->presets[i].name, d->presets[i].settings);
    if (d->departs)
        printf("\ndeparts from the authors' code\n  %s\n", d->departs);
    printf("\nstate\n");
    for (int i = 0; i < TN_MAX_SLOTS && d->slots[i].kind != TN_SLOT_NONE; i++)
        printf("  %-14s %s\n", d->slots[i].name, kind_names[d->slots[i].kind]);
    if (d->slots[0].kind == TN_SLOT_NONE)
        printf("  none\n");
}

int command_optimizers(const options *o, tn_error *e)
{
    if (!o->arguments) {
        print_table();
        return 0;
    }
    const tn_optim_def *d = find_optimizer(o->argument[0], e);
    if (d)
        print_one(d);
    return 0;
}
