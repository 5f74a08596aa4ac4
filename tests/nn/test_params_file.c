/* test_params_file.c - weights in one safetensors file: bits, types, patterns, refusals. */
#include "nn/nn.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    tn_context *c;
    tn_params *p;
    char *folder, *path;
    tn_error e;
} fixture;

/* Makes weights "a.weight" (2,3), "a.bias" (2), "b.weight" (4) with random numbers of the seed. */
static tn_params *make_params(tn_context *c)
{
    tn_params *p = tn_params_new(c);
    tn_linear_layer_new(p, "a", 3, 2, TN_OUT_IN, true, 1);
    tn_tensor *b = tn_params_add(p, "b.weight", 1, (int64_t[]){ 4 });
    tn_fill_normal(b->x, 4, 1, tn_context_seed(c), 7);
    return p;
}

static fixture make_fixture(uint64_t seed)
{
    fixture f = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = seed }),
                  .folder = temporary() };
    f.p = make_params(f.c);
    f.path = tn_path_join(f.folder, "w.safetensors");
    return f;
}

static void end_fixture(fixture *f)
{
    tn_params_free(f->p);
    tn_context_free(f->c);
    discard(f->folder);
    free(f->path);
}

/* clang-format off */
static const struct { const char *pattern; tn_file_type type; double error; int count; } saves[] = {
    { NULL, TN_FILE_F64, 0, 3 },
    { NULL, TN_FILE_F32, 6e-8, 3 },
    { "*.weight", TN_FILE_F32, 6e-8, 2 },
    { "a.*", TN_FILE_F16, 5e-4, 2 },
    { "b.weight", TN_FILE_BF16, 4e-3, 1 },
};
/* clang-format on */

/* Opening gives the saved numbers, rounded to the type. Weights that do not match the pattern
   stay. */
START_TEST(opens_what_was_saved)
{
    fixture f = make_fixture(1), g = make_fixture(2);
    const double error =
        sizeof(tn_real) == 4 && saves[_i].type == TN_FILE_F32 ? 0 : saves[_i].error;
    tn_params *before = make_params(g.c);
    tn_params_save(f.p, saves[_i].pattern, f.path, saves[_i].type, &f.e);
    tn_safetensors *file = tn_safetensors_open(f.path, &f.e);
    must(&f.e);
    ck_assert_int_eq(tn_safetensors_count(file), saves[_i].count);
    tn_params_open(g.p, saves[_i].pattern, f.path, &f.e);
    must(&f.e);
    for (int64_t i = 0; i < tn_params_count(f.p); i++) {
        const tn_param *a = tn_params_at(f.p, i);
        const bool saved = tn_safetensors_find(file, a->name);
        const tn_real *x = (saved ? a : tn_params_at(before, i))->w->x;
        for (int64_t k = 0; k < tn_tensor_count(a->w); k++) {
            const tn_real got = tn_params_at(g.p, i)->w->x[k];
            ck_assert_double_le(fabs((double)(got - x[k])), saved ? error * fabs((double)x[k]) : 0);
        }
    }
    tn_safetensors_close(file);
    tn_params_free(before);
    end_fixture(&f);
    end_fixture(&g);
}
END_TEST

static void change_nothing(tn_params *p)
{
    (void)p;
}

static void spoil_last(tn_params *p)
{
    tn_params_find(p, "b.weight")->w->x[3] = (tn_real)NAN;
}

static void enlarge_last(tn_params *p)
{
    tn_params_find(p, "b.weight")->w->x[3] = 1e6;
}

static void add_weight(tn_params *p)
{
    tn_params_add(p, "c.weight", 1, (int64_t[]){ 1 });
}

static void break_params(tn_params *p)
{
    tn_params_add(p, "c.weight", 0, NULL);
}

/* clang-format off */
static const struct { void (*first)(tn_params *p); const char *pattern; tn_file_type type; int code; const char *text; }
    unsaved[] = {
    { change_nothing, "z*", TN_FILE_F32, TN_EARG, "\"z*\" matches no weight" },
    { change_nothing, NULL, TN_FILE_I32, TN_EARG, "w.safetensors: weights are written as F64, F32, F16 or BF16" },
    { change_nothing, NULL, TN_FILE_OTHER, TN_EARG, "weights are written as" },
    { spoil_last, NULL, TN_FILE_F32, TN_ENONFINITE, "b.weight holds nan at element 3" },
    { enlarge_last, NULL, TN_FILE_F16, TN_ENONFINITE, "b.weight holds 1e+06 at element 3" },
    { break_params, NULL, TN_FILE_F32, TN_EARG, "tn_params_add" },
};
/* clang-format on */

/* A refusal leaves the file as it was. */
START_TEST(refuses_to_save)
{
    fixture f = make_fixture(1);
    size_t size;
    tn_params_save(f.p, NULL, f.path, TN_FILE_F32, &f.e);
    char *old = tn_file_read(f.path, 1 << 20, &size, &f.e);
    must(&f.e);
    unsaved[_i].first(f.p);
    tn_params_save(f.p, unsaved[_i].pattern, f.path, unsaved[_i].type, &f.e);
    must_fail(&f.e, unsaved[_i].code, unsaved[_i].text);
    size_t now;
    char *new = tn_file_read(f.path, 1 << 20, &now, &f.e);
    must(&f.e);
    ck_assert(now == size && !memcmp(old, new, size));
    free(old);
    free(new);
    end_fixture(&f);
}
END_TEST

/* `first` changes the weights before they are saved. Only the last weight of the file is wrong. The
   weights before it must stay as they were. */
/* clang-format off */
static const struct { void (*first)(tn_params *p); const char *saved, *opened; int code; const char *text; }
    unopened[] = {
    { change_nothing, "a.*", NULL, TN_EFORMAT, "w.safetensors: tensor \"b.weight\" is missing" },
    { add_weight, NULL, NULL, TN_EFORMAT, "tensor \"c.weight\" is not a weight of these params" },
    { change_nothing, NULL, "a.*", TN_EFORMAT, "tensor \"b.weight\" is not a weight that matches a.*" },
    { change_nothing, NULL, "z", TN_EARG, "\"z\" matches no weight" },
    { break_params, NULL, NULL, TN_EIO, "w.safetensors" },
};
/* clang-format on */

START_TEST(refuses_to_open)
{
    fixture f = make_fixture(1), g = make_fixture(2);
    const uint64_t before = tn_params_hash(g.p, false);
    unopened[_i].first(f.p);
    tn_params_save(f.p, unopened[_i].saved, f.path, TN_FILE_F32, &f.e);
    f.e = (tn_error){ 0 };
    tn_params_open(g.p, unopened[_i].opened, f.path, &f.e);
    must_fail(&f.e, unopened[_i].code, unopened[_i].text);
    ck_assert(tn_params_hash(g.p, false) == before);
    end_fixture(&f);
    end_fixture(&g);
}
END_TEST

/* The last tensor has another shape or holds an infinity. Then no other tensor is opened,
   either. */
START_TEST(changes_all_or_nothing)
{
    fixture g = make_fixture(2);
    const uint64_t before = tn_params_hash(g.p, false);
    const tn_real a[6] = { 1, 2, 3, 4, 5, 6 }, b[4] = { 1, 2, 3, _i ? (tn_real)INFINITY : 4 };
    const tn_entry entries[] = {
        { .name = "a.bias", .type = TN_FILE_F32, .ndim = 1, .dim = { 2 }, .real = a },
        { .name = "a.weight", .type = TN_FILE_F32, .ndim = 2, .dim = { 2, 3 }, .real = a },
        { .name = "b.weight", .type = TN_FILE_F32, .ndim = 1, .dim = { _i ? 4 : 3 }, .real = b }
    };
    tn_safetensors_write(g.path, entries, 3, NULL, &g.e);
    must(&g.e);
    tn_params_open(g.p, NULL, g.path, &g.e);
    must_fail(&g.e, _i ? TN_ENONFINITE : TN_ESHAPE, _i ? "inf" : "is (3); expected (4)");
    ck_assert(tn_params_hash(g.p, false) == before);
    end_fixture(&g);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, opens_what_was_saved, 0, sizeof saves / sizeof *saves);
    tcase_add_loop_test(c, refuses_to_save, 0, sizeof unsaved / sizeof *unsaved);
    tcase_add_loop_test(c, refuses_to_open, 0, sizeof unopened / sizeof *unopened);
    tcase_add_loop_test(c, changes_all_or_nothing, 0, 2);
}
