/* test_merged.c - SmolLM2 with an adapter merged: log-probabilities of Transformers and PEFT.
   It needs the assets. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>

#define MODEL "assets/models/smollm2-135m-instruct-gguf/SmolLM2-135M-Instruct.Q4_1.gguf"

typedef struct fixture {
    tn_context *c;
    tn_tape *t;
    const tn_json *golden;
    tn_error e;
} fixture;

/* The largest difference of a token's -log p, and of their mean over a prompt. */
typedef struct distance {
    double worst, mean;
} distance;

static void measure(fixture *f, const tn_model *m, const tn_json *prompt, distance *out)
{
    int64_t n, count;
    double *ids = read_numbers(prompt, "ids", &n), *nll = read_numbers(prompt, "nll", &count);
    double sum = 0;
    tn_tensor *in = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, n });
    for (int64_t i = 0; i < n; i++)
        in->i[i] = (int32_t)ids[i];
    const tn_tensor *z = tn_log_softmax(f->t, tn_model_logits(m, f->t, in));
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    for (int64_t i = 0; i < count; i++) {
        const double d = nll[i] + (double)z->x[i * m->vocab + in->i[i + 1]];
        out->worst = fmax(out->worst, fabs(d));
        sum += d / (double)count;
    }
    out->mean = fmax(out->mean, fabs(sum));
    tn_tape_reset(f->t);
    free(ids);
    free(nll);
}

static void check(fixture *f, const tn_model *m, double worst, double mean)
{
    distance d = { 0 };
    for (const tn_json *v = tn_json_find(f->golden, "cases")->child; v; v = v->next)
        measure(f, m, v, &d);
    ck_assert_msg(d.worst <= worst && d.mean <= mean, "%g of a token, %g of a prompt", d.worst,
                  d.mean);
}

/* With the adapter, merged, and as GGUF files of two types. Not in double, where it takes minutes. */
START_TEST(smollm2)
{
    static const struct {
        tn_file_type type;
        double worst, mean;
    } files[] = { { TN_FILE_F32, 1e-3, 1e-3 }, { TN_FILE_F16, 3e-2, 3e-3 } };
    char *path = assets(MODEL), *adapter = assets("golden/hf/curves/smollm2_adamw/final");
    char *numbers = assets("golden/hf/smollm2/merged.json");
    fixture f = { 0 };
    if (path && adapter && numbers && sizeof(tn_real) == sizeof(float)) {
        scratch s;
        scratch_open(&s);
        f.c = tn_context_new(&(tn_options){ .threads = 2 });
        f.t = tn_tape_new(f.c);
        f.golden = tn_json_read(numbers, &f.e);
        const tn_open_options frozen = { .frozen = true };
        tn_model *m = tn_model_open_as(f.c, path, &frozen, &f.e);
        tn_adapter_open(m, adapter, &f.e);
        must(&f.e);
        check(&f, m, 1e-3, 1e-3);
        tn_lora_merge(m, &f.e);
        must(&f.e);
        check(&f, m, 1e-3, 1e-3);
        for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
            tn_model_save_gguf(m, NULL, scratch_path(&s, "m.gguf"), files[i].type, &f.e);
            tn_model *again = tn_model_open_as(f.c, s.path, &frozen, &f.e);
            must(&f.e);
            check(&f, again, files[i].worst, files[i].mean);
            tn_model_free(again);
        }
        tn_model_free(m);
        tn_json_free(f.golden);
        tn_tape_free(f.t);
        tn_context_free(f.c);
        scratch_close(&s);
    }
    free(path);
    free(adapter);
    free(numbers);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, smollm2);
}
