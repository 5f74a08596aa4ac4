/* options_check.c - refuses options that lack another one, or contradict each other. */
#include "apps/options/options_set.h"

#include <stdio.h>
#include <string.h>

/* ---- what a command needs (commands.def) ---- */

/* Is one of the options "a/b/c" (n bytes) given? */
static bool any_given(const options *o, const command *c, const char *names, size_t n)
{
    for (size_t from = 0, k; from < n; from += k + 1) {
        k = strcspn(names + from, ",|/");
        if (o->given[option_find(names + from, k, c->letter)])
            return true;
    }
    return false;
}

/* Checks one needed option, or one of several, "a|b" or "a/b/c" (n bytes). The error names the
   first two, and describes a missing option by the help of the first, up to its first bracket or
   semicolon. */
static int check_need(const options *o, const command *c, const char *names, size_t n, tn_error *e)
{
    const size_t first = strcspn(names, ",|/");
    const bool two = first < n;
    const char *second = names + first + two;
    const int a = option_find(names, first, c->letter);
    const int b = two ? option_find(second, strcspn(second, ",|/"), c->letter) : a;
    char one[64], other[64];
    option_dashed(options_table[a].name, one);
    option_dashed(options_table[b].name, other);
    if (two && names[first] == '|' && o->given[a] && o->given[b])
        return tn_fail(e, APP_USAGE, "--%s and --%s: use only one", one, other);
    if (any_given(o, c, names, n))
        return e->code;
    tn_text help = { 0 };
    option_says(&options_table[a], c->letter, &help);
    const char *says = tn_text_done(&help, one, e);
    size_t shown = says ? strcspn(says, "(;") : 0;
    while (shown && says[shown - 1] == ' ')
        shown--;
    if (options_table[a].value[0] >= 'a')
        tn_fail(e, APP_USAGE, "--%s is missing; expected one of %s", one, options_table[a].value);
    else if (says)
        tn_fail(e, APP_USAGE, "--%s%s%s is missing; expected %.*s", one, two ? " or --" : "",
                two ? other : "", (int)shown, says);
    tn_text_free(&help);
    return e->code;
}

/* ---- what does not go together ---- */

typedef enum rule {
    APART,    /* only one of them may be set */
    ONLY_FOR, /* the first does something only beside the second */
    NEEDS     /* the second, a switch that is on by default, must not be off */
} rule;

typedef struct row {
    int option;
    rule rule;
    int other;
    int also;         /* of ONLY_FOR: this one will do, too; NONE */
    const char *why;  /* added to the message */
    const char *word; /* of one that is a text: the row is about these words of it, "a|b"; NULL: of
                         all but its default */
} row;

enum { NONE = -1 };

static const row rows[] = {
    { OPT_iters, APART, OPT_epochs, NONE, "", NULL },
    { OPT_overfit_batches, APART, OPT_limit_batches, NONE, "", NULL },
    { OPT_warmup_steps, APART, OPT_warmup_ratio, NONE, "", NULL },
    { OPT_dry_run, APART, OPT_find_lr, NONE, "", NULL },
    { OPT_fast_dev_run, APART, OPT_dry_run, NONE, "", NULL },
    { OPT_fast_dev_run, APART, OPT_find_lr, NONE, "", NULL },
    { OPT_fast_dev_run, APART, OPT_resume, NONE, "", NULL },
    { OPT_fast_dev_run, APART, OPT_auto_resume, NONE, "", NULL },
    { OPT_resume, APART, OPT_overwrite, NONE, "", NULL },
    { OPT_auto_resume, APART, OPT_overwrite, NONE, "", NULL },
    { OPT_find_lr, APART, OPT_resume, NONE, "", NULL },
    { OPT_find_lr, APART, OPT_auto_resume, NONE, "", NULL },
    { OPT_resume, APART, OPT_auto_resume, NONE, "", NULL },
    { OPT_dump_graph, APART, OPT_resume, NONE, "; a new run draws its first step", NULL },
    { OPT_quiet, APART, OPT_progress, NONE, "", "bar|lines|json" },
    { OPT_dpo_beta, APART, OPT_loss, NONE, "", "sft" },
    { OPT_ids, APART, OPT_only_count, NONE, "", NULL },
    { OPT_chat_template, APART, OPT_special, NONE, "", NULL },
    { OPT_chat_template, APART, OPT_ignore_chat_template, NONE, "", NULL },
    { OPT_system_prompt, APART, OPT_special, NONE, "", NULL },
    { OPT_system_prompt, APART, OPT_ignore_chat_template, NONE, "", NULL },
    { OPT_min_delta, ONLY_FOR, OPT_patience, NONE, "", NULL },
    { OPT_sample_tokens, ONLY_FOR, OPT_sample, OPT_sample_file, "", NULL },
    { OPT_lr_decay_steps, ONLY_FOR, OPT_lr_scheduler, NONE, "", "wsd" },
    { OPT_load_best, NEEDS, OPT_save_best, NONE, "", NULL },
    { OPT_loss, NEEDS, OPT_mask_prompt, NONE, "", "dpo" },
};

/* Is it set to something else than its default? A text: is it given as one of the words? */
static bool is_set(const options *o, int i, const char *words)
{
    const option *of = &options_table[i];
    const void *field = (const char *)o + of->offset;
    double real = NOT_SET;
    int64_t count = NOT_SET;
    switch (of->kind) {
    case OPTION_FLAG: return *(const bool *)field;
    case OPTION_COUNT:
        return (!*of->def || read_count(of->def, &count)) && *(const int64_t *)field != count;
    case OPTION_REAL:
        return (!*of->def || read_real(of->def, &real)) && *(const double *)field != real;
    case OPTION_TEXT: {
        const char *text = *(const char *const *)field;
        return words && o->given[i] ? word_in(text, strlen(text), words, "|") : o->given[i];
    }
    case OPTION_LIST: return *(const char *const *)field;
    }
    return false;
}

/* The name of an option in a message, with its word if the row is about words. Returns out. */
static const char *shown(const options *o, int i, const row *r, char out[64])
{
    const option *of = &options_table[i];
    char name[64];
    const char *text = of->kind == OPTION_TEXT && r->word
                           ? *(const char *const *)((const char *)o + of->offset)
                           : NULL;
    snprintf(out, 64, "%s%s%.30s", option_dashed(of->name, name), text ? " " : "",
             text ? r->rule == ONLY_FOR ? r->word : text : "");
    return out;
}

static int check_pairs(const options *o, tn_error *e)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !e->code; i++) {
        const row *r = &rows[i];
        const bool other =
            is_set(o, r->other, r->word) || (r->also != NONE && is_set(o, r->also, NULL));
        char a[64], b[64];
        if (!is_set(o, r->option, r->word) || other != (r->rule == APART))
            continue;
        shown(o, r->option, r, a);
        shown(o, r->other, r, b);
        if (r->rule == ONLY_FOR)
            tn_fail(e, APP_USAGE, "--%s: only for --%s, which is not given", a, b);
        else
            tn_fail(e, APP_USAGE, "--%s and --%s%s: use only one%s", a,
                    r->rule == NEEDS ? "no-" : "", b, r->why);
    }
    return e->code;
}

int options_check(const options *o, const command *c, tn_error *e)
{
    for (const char *names = c->needs; *names && !e->code;) {
        const size_t n = strcspn(names, ",");
        check_need(o, c, names, n, e);
        names += n + (names[n] == ',');
    }
    return check_pairs(o, e);
}
