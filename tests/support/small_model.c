/* small_model.c - makes small models, compares them, and writes their tensors. */
#include "tests/support/small_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double F32_STEP = sizeof(tn_real) == sizeof(float) ? 0 : 0x1p-24;

tn_model *open_model(tn_context *c, const char *folder)
{
    tn_error e = { 0 };
    tn_model *m = tn_model_open(c, folder, &e);
    must(&e);
    return m;
}

void check_same(const tn_model *a, const tn_model *b, tn_file_type type)
{
    ck_assert_int_eq(tn_params_count(a->params), tn_params_count(b->params));
    for (int64_t i = 0; i < tn_params_count(a->params); i++) {
        const tn_param *p = tn_params_at(a->params, i), *q = tn_params_at(b->params, i);
        double step = type == TN_FILE_BF16 ? 0x1p-8 : type == TN_FILE_F16 ? 0x1p-11 : F32_STEP;
        ck_assert_str_eq(p->name, q->name);
        for (int64_t k = 0; k < tn_tensor_count(p->w); k++) {
            double x = (double)p->w->x[k], y = (double)q->w->x[k];
            double most = step * fabs(x) + (step > 0 ? 0x1p-25 : 0);
            ck_assert_msg(fabs(x - y) <= most, "%s: %g, expected %g", p->name, y, x);
        }
    }
}

tn_model *new_model(tn_context *c, const char *text)
{
    tn_error e = { 0 };
    const tn_json *config = tn_json_parse(text, strlen(text), "config.json", 0, &e);
    must(&e);
    tn_model *m = tn_model_new(c, config, 0, -1, &e);
    must(&e);
    tn_json_free(config);
    return m;
}

int64_t list_tensors(const tn_model *m, tn_entry *entries)
{
    int64_t n = tn_params_count(m->params);
    for (int64_t i = 0; i < n; i++) {
        const tn_param *p = tn_params_at(m->params, i);
        entries[i] =
            (tn_entry){ .name = p->name, .type = TN_FILE_F32, .ndim = p->w->ndim, .real = p->w->x };
        memcpy(entries[i].dim, p->w->dim, sizeof p->w->dim);
    }
    return n;
}

void write_tensors(const char *folder, const char *name, const tn_entry *entries, int64_t n)
{
    tn_error e = { 0 };
    char *path = tn_path_join(folder, name);
    tn_safetensors_write(path, entries, n, NULL, &e);
    must(&e);
    free(path);
}

small_model small_model_make(void)
{
    small_model s = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 }) };
    s.m = new_model(s.c, "{" SMALL "}");
    s.folder = temporary();
    s.n = list_tensors(s.m, s.entries);
    return s;
}

void small_model_end(small_model *s)
{
    tn_model_free(s->m);
    discard(s->folder);
    tn_context_free(s->c);
}

tiny tiny_open(void)
{
    tiny f = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = 3 }) };
    f.t = tn_tape_new(f.c);
    f.m = tn_model_open(f.c, TINY, &f.e);
    must(&f.e);
    return f;
}

void tiny_close(tiny *f)
{
    tn_model_free(f->m);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}
