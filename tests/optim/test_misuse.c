/* test_misuse.c - wrong calls that a compiler accepts are refused.
   AddressSanitizer checks that they do no harm. */
#include "core/op.h"
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

typedef struct desk {
    tn_error e;
    char *folder;
    tn_context *c;
    tn_tape *t;
    tn_params *p;
    tn_tensor *w;
    tn_optim *o;
    tn_model *sketch, *adapted;
} desk;

static desk desk_new(void)
{
    desk d = { .folder = temporary(), .c = tn_context_new(&(tn_options){ .threads = 2 }) };
    d.t = tn_tape_new(d.c);
    d.p = tn_params_new(d.c);
    d.w = tn_params_add(d.p, "w", 2, (int64_t[]){ 2, 2 });
    d.o = tn_optim_new(d.p, tn_optim_find("adamw"), NULL, &d.e);
    d.sketch = tn_model_sketch(d.c, GOLDEN "tiny_models/gpt2", &d.e);
    d.adapted = tn_model_sketch(d.c, GOLDEN "tiny_models/gpt2", &d.e);
    tn_lora_add(d.adapted, &(tn_lora_options){ .rank = 2, .alpha = 2 }, &d.e);
    must(&d.e);
    return d;
}

static void desk_free(desk *d)
{
    tn_model_free(d->sketch);
    tn_model_free(d->adapted);
    tn_optim_free(d->o);
    tn_params_free(d->p);
    tn_tape_free(d->t);
    tn_context_free(d->c);
    discard(d->folder);
}

static void add_late(desk *d)
{
    tn_params_add(d->p, "late", 1, (int64_t[]){ 3 });
    ck_assert_int_eq(tn_optim_step(d->o), TN_ESTATE);
    ck_assert_str_eq(
        tn_optim_error(d->o)->text,
        "7 numbers are trained, and the optimizer was made for 4; expected it to be made last");
}

static void save_other_params(desk *d)
{
    tn_params *other = tn_params_new(d->c);
    tn_params_add(other, "w", 2, (int64_t[]){ 2, 2 });
    tn_run_state r = { .step = 1 };
    ck_assert_int_eq(tn_checkpoint_save(d->folder, d->p, d->o, &r, 1, &d->e), 0);
    ck_assert_int_eq(tn_checkpoint_load(d->folder, d->p, d->o, &r, &d->e), 0);
    ck_assert_int_eq(tn_checkpoint_load(d->folder, other, d->o, &r, &d->e), TN_EARG);
    must_fail(&d->e, TN_EARG, "an optimizer of other params");
    tn_checkpoint_save(d->folder, other, d->o, &r, 1, &d->e);
    must_fail(&d->e, TN_EARG, "an optimizer of other params");
    tn_params_free(other);
}

static void save_sketch(desk *d)
{
    tn_model_save(d->sketch, d->folder, TN_FILE_F32, &d->e);
    must_fail(&d->e, TN_ESTATE, "the model is a sketch");
}

static void merge_sketch(desk *d)
{
    tn_lora_merge(d->adapted, &d->e);
    must_fail(&d->e, TN_ESTATE, "the model is a sketch");
}

static void save_adapter_of_sketch(desk *d)
{
    tn_adapter_save(d->adapted, d->folder, TN_FILE_F32, &d->e);
    must_fail(&d->e, TN_ESTATE, "the model is a sketch");
}

static void open_adapter_on_sketch(desk *d)
{
    tn_adapter_open(d->sketch, GOLDEN "tiny_models/gpt2", &d->e);
    must_fail(&d->e, TN_ESTATE, "the model is a sketch");
}

static void checkpoint_of_sketch(desk *d)
{
    tn_optim *o = tn_optim_new(d->adapted->params, tn_optim_find("adamw"), NULL, &d->e);
    tn_run_state r = { .step = 1 };
    tn_checkpoint_save(d->folder, d->adapted->params, o, &r, 1, &d->e);
    must_fail(&d->e, TN_ESTATE, "params of a sketch");
    tn_optim_free(o);
}

static void memory_of_no_thread(desk *d)
{
    static const int wrong[][2] = { { -1, 0 }, { 2, 0 }, { 0, -1 }, { 0, TN_SCRATCHES } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_ptr_null(tn_thread_memory(d->c, wrong[i][0], wrong[i][1], 64));
    ck_assert_ptr_nonnull(tn_thread_memory(d->c, 1, TN_SCRATCHES - 1, 64));
}

static void nothing(void *arg, int64_t from, int64_t to, int thread)
{
    (void)arg, (void)from, (void)to, (void)thread;
}

static void ranges_without_length(desk *d)
{
    ck_assert_int_eq(tn_parallel_ranges(d->c, 5, 0, nothing, NULL), TN_EARG);
    ck_assert_int_eq(tn_parallel_ranges(d->c, 5, -1, nothing, NULL), TN_EARG);
}

static void numbers_below_the_first(desk *d)
{
    tn_state_block block;
    const tn_schedule s = { .kind = TN_COSINE, .steps = 4 };
    ck_assert(!tn_optim_state(d->o, -1, &block) && tn_optim_state(d->o, 0, &block));
    ck_assert_ptr_null(tn_optim_common(tn_optim_find("adamw"), -1));
    tn_optim_set_steps(d->o, -7);
    ck_assert_int_eq(tn_optim_steps(d->o), 0);
    for (int64_t k = -2; k < 1; k++)
        ck_assert_double_eq(tn_schedule_rate(&s, 1, k), tn_schedule_rate(&s, 1, 1));
}

static void ids_that_do_not_fit_their_room(desk *d)
{
    static const struct {
        int64_t n, room;
    } wrong[] = { { 5, 2 }, { -1, 0 }, { 0, 2 } };
    tn_tokenizer *k = tn_tokenizer_bytes(&d->e);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int32_t *ids = NULL;
        int64_t n = wrong[i].n, room = wrong[i].room;
        tn_encode(k, "abc", 3, &ids, &n, &room, NULL, &d->e);
        must_fail(&d->e, TN_EARG, "ids in room for");
    }
    tn_tokenizer_free(k);
}

static void entry_without_a_name(desk *d)
{
    char *path = tn_path_join(d->folder, "x");
    const tn_entry entries[] = { { .name = "a", .type = TN_FILE_F32 }, { .type = TN_FILE_F32 } };
    tn_safetensors_write(path, entries, 2, NULL, &d->e);
    must_fail(&d->e, TN_EARG, "tensor 2 has no name");
    free(path);
}

static void empty_layers(desk *d)
{
    const tn_linear_layer linear = { 0 };
    const tn_norm_layer norm = { 0 };
    ck_assert_ptr_null(tn_linear_layer_run(&linear, d->t, d->w));
    ck_assert_str_eq(tn_tape_error(d->t), "linear: operand 2 is missing");
    tn_tape_reset(d->t);
    ck_assert_ptr_null(tn_norm_layer_run(&norm, d->t, d->w));
    ck_assert_str_eq(tn_tape_error(d->t), "layer_norm: operand 2 is missing");
}

/* clang-format off */
static void (*const misuses[])(desk *d) = {
    add_late, save_other_params, save_sketch, merge_sketch, save_adapter_of_sketch, open_adapter_on_sketch,
    checkpoint_of_sketch, memory_of_no_thread, ranges_without_length, numbers_below_the_first,
    ids_that_do_not_fit_their_room, entry_without_a_name, empty_layers };
/* clang-format on */

START_TEST(is_refused)
{
    desk d = desk_new();
    misuses[_i](&d);
    desk_free(&d);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, is_refused, 0, sizeof misuses / sizeof *misuses);
}
