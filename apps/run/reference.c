/* reference.c - what eval measures the rewards of preferences against (reference.h). */
#include "apps/run/reference.h"
#include "apps/run/config_used.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what a training began with ---- */

typedef struct beginning {
    char *used; /* its config.used; NULL: there is none */
    options o;  /* of that run, if there is one */
} beginning;

/* A config.used of another command, or one that this version cannot read, says nothing. */
static beginning read_beginning(const char *path, tn_error *e)
{
    tn_error unread = { 0 };
    beginning b = { .used = config_path(path, e) };
    char *words[] = { (char *)(uintptr_t) "tenon", (char *)(uintptr_t) "train",
                      (char *)(uintptr_t) "--config", b.used };
    if (b.used && options_parse(&b.o, command_find("train"), 4, words, &unread)) {
        options_free(&b.o);
        free(b.used);
        b.used = NULL;
    }
    return b;
}

static void forget(beginning *b)
{
    if (b->used)
        options_free(&b->o);
    free(b->used);
}

/* ---- opening it ---- */

/* Opens a model, or an adapter of the model of the setup, as the reference. */
static int open_other(setup *s, const options *o, const char *path, tn_text *against, tn_error *e)
{
    const bool adapter = tn_adapter_is_checkpoint(path, e) || setup_is_adapter(path, e);
    const tn_open_options how = { .frozen = true, .base_dtype = o->base_dtype };
    if (!e->code)
        s->other = tn_model_open_as(s->context, adapter ? o->model : path, &how, e);
    if (!e->code && !s->other->stored)
        tn_fail(e, TN_EFORMAT, "%s: no model.safetensors; expected trained weights", path);
    if (!e->code && adapter)
        tn_adapter_open(s->other, path, e);
    if (!e->code)
        s->reference = tn_reference_other(s->model, s->other, e);
    if (e->code == TN_EARG)
        tn_error_add(e, " (--reference %s)", path);
    tn_text_add(against, "%s", path);
    return e->code;
}

/* Are these the weights whose hash config.used has? A model that was trained whole is frozen here.
   In another base type they cannot be compared. */
static bool is_beginning(const tn_model *m, const options *o, const beginning *b, tn_error *e)
{
    if (strcmp(o->base_dtype ? o->base_dtype : "", b->o.base_dtype ? b->o.base_dtype : "") != 0)
        return true;
    const uint64_t frozen = tn_params_digest(m->params, false),
                   trained = tn_params_digest(m->params, true);
    tn_text lines = { 0 };
    size_t n;
    char *used = tn_text_read(b->used, 1 << 20, &n, e);
    if (trained)
        config_weights(frozen, trained, &lines);
    else
        config_weights(0, frozen, &lines);
    const char *line = tn_text_done(&lines, b->used, e);
    const bool same = !e->code && strstr(used, line);
    tn_text_free(&lines);
    free(used);
    return same;
}

static void say_unknown(const char *what, const char *why)
{
    show_note("the reference is not known: %s %s; --reference PATH names it, for rewards", what,
              why);
}

/* What the training began with: another adapter, another model, or the model without the
   adapter. */
static int open_beginning(setup *s, const options *o, const beginning *b, tn_text *against,
                          tn_error *e)
{
    const bool adapter = o->adapter_path != NULL;
    const char *from = !b->used ? NULL : adapter ? b->o.adapter_path : b->o.model;
    if (adapter && !from) {
        tn_text_add(against, "the model without the adapter");
        if (!b->used)
            show_note("%s has no config.used of tenon train: the reference is the model without "
                      "the adapter; --reference PATH names another",
                      o->adapter_path);
    } else if (!from) {
        say_unknown(o->model, "has no config.used of tenon train");
    } else if (tn_path_is(from, NULL, e) == TN_ABSENT && !e->code) {
        say_unknown(from, "is not there, with which the training began");
    } else if (!adapter && !e->code && tn_model_weights(from, e) == TN_ABSENT && !e->code) {
        say_unknown(from, "has no weights: the training began with random ones");
    } else if (!e->code) {
        if (open_other(s, o, from, against, e) || is_beginning(s->other, o, b, e) || e->code)
            return e->code;
        say_unknown(from, "is not as it was when the training began");
        tn_text_free(against);
        return e->code;
    }
    s->reference = e->code ? NULL : tn_reference_base(s->model, e);
    return e->code;
}

int reference_open(setup *s, const options *o, tn_text *against, tn_error *e)
{
    if (e->code)
        return e->code;
    if (o->reference)
        return open_other(s, o, o->reference, against, e);
    beginning b = read_beginning(o->adapter_path ? o->adapter_path : o->model, e);
    open_beginning(s, o, &b, against, e);
    forget(&b);
    return e->code;
}
