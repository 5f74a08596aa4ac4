/* choice.c - finds an optimizer by name, reads --optimizers, and gives each its --opt settings. */
#include "apps/options/choice.h"

#include <stdio.h>
#include <string.h>

static int all_names(const char **names, int most)
{
    int n = 0;
    for (; tn_optims[n] && n < most; n++)
        names[n] = tn_optims[n]->name;
    return n;
}

const tn_optim_def *choice_find(const char *name, tn_error *e)
{
    const tn_optim_def *def = tn_optim_find(name);
    const char *names[MOST_OPTIMIZERS];
    const int n = all_names(names, MOST_OPTIMIZERS);
    if (!def)
        unknown_name("optimizer", name, names, n, "tenon optimizers", e);
    return def;
}

/* Writes the next of comma-separated names into name[64], without blanks around it. Returns the
   rest of the list. */
static const char *next_name(const char *list, char *name)
{
    list += strspn(list, " ");
    const size_t whole = strcspn(list, ",");
    size_t n = whole;
    for (; n && list[n - 1] == ' '; n--)
        ;
    snprintf(name, 64, "%.*s", n < 60 ? (int)n : 60, list);
    return list + whole + (list[whole] == ',');
}

int choice_names(const options *o, const char *otherwise, const char **names, int most, tn_error *e)
{
    char name[64];
    const char *list = o->optimizers ? o->optimizers : otherwise;
    int count = list ? 0 : all_names(names, most), listed = 0;
    for (const char *s = list ? list : ""; *s; listed++)
        s = next_name(s, name);
    if (listed > most)
        tn_fail(e, APP_USAGE, "--optimizers: expected at most %d", most);
    for (const char *s = list ? list : ""; *s && !e->code;) {
        s = next_name(s, name);
        const tn_optim_def *def = choice_find(name, e);
        for (int k = 0; k < count && def; k++)
            if (names[k] == def->name)
                tn_fail(e, APP_USAGE, "--optimizers: %s twice; expected each once", def->name);
        if (def)
            names[count++] = def->name;
    }
    return count;
}

int choice_check(const options *o, const char *const *names, int n, tn_error *e)
{
    for (int i = 0; o->opt[i] && !e->code; i++) {
        const char *text = o->opt[i];
        const size_t length = strcspn(text, ".=");
        bool known = text[length] != '.';
        for (int k = 0; k < n && !known; k++)
            known = strlen(names[k]) == length && !strncmp(text, names[k], length);
        if (!known)
            tn_fail(e, APP_USAGE, "--opt %.80s: \"%.*s\" is not among the optimizers of this study",
                    text, length > 60 ? 60 : (int)length, text);
        else if (!strncmp(text[length] == '.' ? text + length + 1 : text, "lr=", 3))
            tn_fail(e, APP_USAGE, "--opt %.80s: expected rates by --learning-rate or --lr-grid",
                    text);
    }
    return e->code;
}

void choice_settings(const options *o, const char *name, const char *set[MAX_LIST + 1])
{
    const size_t n = strlen(name);
    int kept = 0;
    for (int i = 0; o->opt[i]; i++) {
        const char *dot = strchr(o->opt[i], '.'), *equals = strchr(o->opt[i], '=');
        if (!dot || !equals || dot > equals)
            set[kept++] = o->opt[i];
        else if ((size_t)(dot - o->opt[i]) == n && !strncmp(o->opt[i], name, n))
            set[kept++] = dot + 1;
    }
    set[kept] = NULL;
}
