/* test_freeing.c - any object of a run may be freed first; calls on the others work or are refused.
   AddressSanitizer checks that nothing is used after it was freed, and that nothing leaks. */
#include "optim/optim.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>

typedef struct desk {
    tn_error e;
    char *folder;
    tn_context *c;
    tn_tokenizer *k;
    tn_dataset *d;
    tn_loader *l;
    tn_model *m;
    tn_tape *t;
    tn_tensor *loss;
    tn_optim *o;
    bool merged;
} desk;

/* Makes a run in the middle of a step: after the loss, before backward. */
static desk desk_new(void)
{
    desk s = { .folder = temporary() };
    put_file(s.folder, "records", "{\"text\": \"abab\"}\n{\"text\": \"ba\"}\n");
    char *path = tn_path_join(s.folder, "records");
    s.c = tn_context_new(&(tn_options){ .threads = 2 });
    s.k = tn_tokenizer_chars("ab", 2, &s.e);
    s.d = tn_dataset_jsonl(path, s.k, &(tn_data_options){ .max_length = 4 }, &s.e);
    s.l = tn_loader_new(s.d, &(tn_loader_options){ .batch = 2 }, &s.e);
    s.m = tn_model_open(s.c, GOLDEN "tiny_models/gpt2", &s.e);
    tn_lora_add(s.m, &(tn_lora_options){ .rank = 2, .alpha = 2 }, &s.e);
    must(&s.e);
    s.t = tn_tape_new(s.c);
    s.o = tn_optim_new(s.m->params, tn_optim_find("adamw"), NULL, &s.e);
    s.loss = tn_model_loss(s.m, s.t, tn_loader_next(s.l), 0);
    must(&s.e);
    free(path);
    return s;
}

enum { CONTEXT, TOKENIZER, DATASET, LOADER, MODEL, TAPE, OPTIMIZER, OBJECTS };

static void end(desk *s, int object)
{
    switch (object) {
    case CONTEXT:
        tn_context_free(s->c);
        s->c = NULL;
        break;
    case TOKENIZER:
        tn_tokenizer_free(s->k);
        s->k = NULL;
        break;
    case DATASET:
        tn_dataset_free(s->d);
        s->d = NULL;
        break;
    case LOADER:
        tn_loader_free(s->l);
        s->l = NULL;
        break;
    case MODEL:
        tn_model_free(s->m);
        s->m = NULL;
        break;
    case TAPE:
        tn_tape_free(s->t);
        s->t = NULL;
        s->loss = NULL;
        break;
    default:
        tn_optim_free(s->o);
        s->o = NULL;
        break;
    }
}

/* Calls every function that takes the objects that are left. Freed ones are NULL, which is
   refused. */
static void go_on(desk *s)
{
    const int32_t prompt[] = { 1 }, *prompts[] = { prompt };
    int32_t out[2], *outs[] = { out };
    int64_t made;
    tn_eval eval;
    ck_assert_int_eq(tn_backward(s->t, s->loss), s->t ? 0 : TN_EARG);
    ck_assert_int_eq(tn_optim_step(s->o), s->merged ? TN_ESTATE : s->o ? 0 : TN_EARG);
    ck_assert(!tn_loader_next(s->l) == !s->l);
    ck_assert_int_eq(tn_generate(s->m, 1, prompts, (int64_t[]){ 1 },
                                 &(tn_sampling){ .max_tokens = 2 }, outs, &made, NULL, NULL, &s->e),
                     s->m ? 0 : TN_EARG);
    s->e.code = 0;
    const bool all = s->m && s->t && s->l;
    ck_assert_int_eq(tn_evaluate(s->m, s->t, s->l, 1, &eval, &s->e), all ? 0 : TN_EARG);
    s->e.code = 0;
    tn_run_state state = { 0 };
    tn_checkpoint_save(s->folder, s->m ? s->m->params : NULL, s->o, &state, 1, &s->e);
    ck_assert_int_eq(s->e.code, s->merged ? TN_ESTATE : s->m && s->o ? 0 : TN_EARG);
}

/* Each set of objects is freed in the middle of the step, the others at its end. This is done in
   both orders. */
START_TEST(whatever_is_freed_first)
{
    for (int backwards = 0; backwards < 2; backwards++) {
        desk s = desk_new();
        for (int i = 0; i < OBJECTS; i++) {
            const int object = backwards ? OBJECTS - 1 - i : i;
            if (_i >> object & 1)
                end(&s, object);
        }
        go_on(&s);
        for (int i = 0; i < OBJECTS; i++)
            end(&s, backwards ? i : OBJECTS - 1 - i);
        discard(s.folder);
    }
}
END_TEST

/* Weights live as long as their optimizer. If the model is freed, steps are the same. */
START_TEST(steps_without_the_model)
{
    tn_real first[2];
    for (int without = 0; without < 2; without++) {
        desk s = desk_new();
        tn_tensor *w = tn_params_at(s.m->params, tn_params_count(s.m->params) - 1)->w;
        if (without)
            end(&s, MODEL);
        ck_assert_int_eq(tn_backward(s.t, s.loss), 0);
        ck_assert_int_eq(tn_optim_step(s.o), 0);
        first[without] = w->x[0];
        for (int i = 0; i < OBJECTS; i++)
            end(&s, i);
        discard(s.folder);
    }
    ck_assert(first[0] != 0 && first[0] == first[1]);
}
END_TEST

/* Merging takes the weights that the optimizer trains out of the params. */
START_TEST(steps_after_a_merge)
{
    desk s = desk_new();
    ck_assert_int_eq(tn_lora_merge(s.m, &s.e), 0);
    s.merged = true;
    const uint64_t hash = tn_params_hash(s.m->params, false);
    go_on(&s);
    ck_assert_uint_eq(tn_params_hash(s.m->params, false), hash);
    for (int i = 0; i < OBJECTS; i++)
        end(&s, i);
    discard(s.folder);
}
END_TEST

/* The optimizer trains the whole model. A merge freezes its weights, and the model is freed before
   the step. */
START_TEST(steps_after_a_merge_and_the_models_end)
{
    tn_error e = { 0 };
    tn_state_block block;
    tn_context *c = tn_context_new(&(tn_options){ .threads = 2 });
    tn_model *m = tn_model_open(c, GOLDEN "tiny_models/gpt2", &e);
    must(&e);
    tn_optim *o = tn_optim_new(m->params, tn_optim_find("adamw"), NULL, &e);
    tn_params *p = m->params;
    tn_run_state state = { 0 };
    char *folder = temporary();
    tn_lora_add(m, &(tn_lora_options){ .rank = 2, .alpha = 2 }, &e);
    tn_lora_merge(m, &e);
    must(&e);
    for (int freed = 0; freed < 2; freed++) {
        ck_assert_int_eq(tn_optim_step(o), TN_ESTATE);
        ck_assert_str_eq(
            tn_optim_error(o)->text,
            "transformer.wte.weight: frozen after the optimizer was made; expected before");
        ck_assert(tn_optim_state(o, 0, &block));
        ck_assert_str_eq(block.name, "m.transformer.wte.weight");
        tn_checkpoint_save(folder, p, o, &state, 1, &e);
        must_fail(&e, TN_ESTATE, "transformer.wte.weight: frozen after");
        if (!freed)
            tn_model_free(m);
    }
    tn_optim_free(o);
    tn_context_free(c);
    discard(folder);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, whatever_is_freed_first, 0, 1 << OBJECTS);
    tcase_add_test(c, steps_without_the_model);
    tcase_add_test(c, steps_after_a_merge);
    tcase_add_test(c, steps_after_a_merge_and_the_models_end);
}
