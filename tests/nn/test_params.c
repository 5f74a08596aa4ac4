/* test_params.c - a set of named weights: order, names, freezing, hashes, removing. */
#include "nn/model.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <string.h>

static tn_params *three(tn_context *c)
{
    tn_params *p = tn_params_new(c);
    tn_params_add(p, "h.0.weight", 2, (int64_t[]){ 2, 3 });
    tn_params_add(p, "h.0.bias", 1, (int64_t[]){ 3 });
    tn_params_add(p, "head.weight", 2, (int64_t[]){ 4, 2 });
    return p;
}

START_TEST(keeps_the_order_and_finds_by_name)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c);
    ck_assert_ptr_eq(tn_params_context(p), c);
    ck_assert_int_eq(tn_params_count(p), 3);
    ck_assert_str_eq(tn_params_at(p, 1)->name, "h.0.bias");
    ck_assert_ptr_null(tn_params_at(p, 3));
    ck_assert_ptr_null(tn_params_at(p, -1));
    ck_assert_ptr_eq(tn_params_find(p, "head.weight"), tn_params_at(p, 2));
    ck_assert_ptr_null(tn_params_find(p, "head"));
    ck_assert_int_eq(tn_params_size(p), 17);
    ck_assert_int_eq(tn_params_trained(p), 17);
    for (int i = 0; i < 6; i++)
        ck_assert(tn_params_at(p, 0)->w->x[i] == 0);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(an_entry_keeps_its_address)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c);
    const tn_param *first = tn_params_at(p, 0);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "more.%d", i);
        ck_assert_ptr_nonnull(tn_params_add(p, name, 1, (int64_t[]){ 1 }));
    }
    ck_assert_ptr_eq(tn_params_at(p, 0), first);
    ck_assert_ptr_eq(tn_params_find(p, "more.299"), tn_params_at(p, 302));
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(freezes_by_pattern)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c);
    ck_assert_int_eq(tn_params_freeze(p, "*.bias"), 1);
    ck_assert_int_eq(tn_params_trained(p), 14);
    ck_assert(!tn_params_find(p, "h.0.bias")->w->wants_grad);
    ck_assert_ptr_null(tn_params_find(p, "h.0.bias")->w->g);
    ck_assert_int_eq(tn_params_freeze(p, "nothing.*"), 0);
    ck_assert_int_eq(tn_params_freeze(p, "*"), 3);
    ck_assert_int_eq(tn_params_trained(p), 0);
    ck_assert_int_eq(tn_params_size(p), 17);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(refuses_a_name_twice)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c);
    ck_assert_ptr_null(tn_params_add(p, "h.0.bias", 1, (int64_t[]){ 3 }));
    ck_assert_int_eq(tn_params_error(p)->code, TN_EARG);
    ck_assert_str_eq(tn_params_error(p)->text, "h.0.bias: there is a weight of this name already");
    ck_assert_ptr_null(
        tn_params_add(p, "fine", 1, (int64_t[]){ 3 })); /* the first mistake sticks */
    ck_assert_int_eq(tn_params_count(p), 3);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(hash_sees_names_shapes_and_bytes)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c), *q = three(c);
    ck_assert(tn_params_hash(p, false) == tn_params_hash(q, false));
    tn_params_freeze(q, "*.bias");
    ck_assert(tn_params_hash(p, false) == tn_params_hash(q, false));
    ck_assert(tn_params_hash(p, true) != tn_params_hash(q, true));
    uint64_t trained = tn_params_hash(q, true);
    tn_params_find(q, "h.0.bias")->w->x[1] = 1;
    ck_assert(tn_params_hash(q, true) == trained);
    ck_assert(tn_params_hash(p, false) != tn_params_hash(q, false));
    tn_params *r = tn_params_new(c);
    tn_params_add(r, "h.0.weight", 2, (int64_t[]){ 3, 2 });
    tn_params *s = tn_params_new(c);
    tn_params_add(s, "h.0.weight", 2, (int64_t[]){ 2, 3 });
    ck_assert(tn_params_hash(r, false) != tn_params_hash(s, false));
    tn_params_free(p);
    tn_params_free(q);
    tn_params_free(r);
    tn_params_free(s);
    tn_context_free(c);
}
END_TEST

/* A change of a trained weight changes only the hash of the trained weights. The same holds for the
   frozen weights. */
START_TEST(digest_and_base_see_their_part)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c), *q = three(c);
    tn_params_freeze(p, "*.bias");
    tn_params_freeze(q, "*.bias");
    tn_tensor *trained = tn_params_find(q, "h.0.weight")->w,
              *frozen = tn_params_find(q, "h.0.bias")->w;
    ck_assert(tn_params_digest(p, true) == tn_params_digest(q, true));
    ck_assert(tn_params_base(p).frozen == tn_params_base(q).frozen);
    ck_assert(tn_params_base(p).config == tn_params_base(q).config);

    trained->x[0] += 1;
    ck_assert(tn_params_digest(p, true) != tn_params_digest(q, true));
    ck_assert(tn_params_base(p).frozen == tn_params_base(q).frozen);
    trained->x[0] -= 1;
    frozen->x[0] += 1;
    ck_assert(tn_params_digest(p, true) == tn_params_digest(q, true));
    ck_assert(tn_params_base(p).frozen != tn_params_base(q).frozen);
    frozen->x[0] -= 1;
    trained->dim[0] = 3; /* (2,3) and (3,2) hold the same bytes */
    trained->dim[1] = 2;
    ck_assert(tn_params_digest(p, true) != tn_params_digest(q, true));

    tn_params_describe(q, "{\"n_head\": 2}");
    const uint64_t two = tn_params_base(q).config;
    tn_params_describe(q, "{\"n_head\": 4}");
    ck_assert(tn_params_base(q).config != two);
    tn_params_describe(q, "{\"n_head\": 2}");
    ck_assert(tn_params_base(q).config == two);
    tn_params_find(q, "h.0.weight")->lora_scale = 2;
    ck_assert(tn_params_base(q).config != two);
    tn_params_free(p);
    tn_params_free(q);
    tn_context_free(c);
}
END_TEST

/* Removes one of three weights. The others keep their order and addresses, and the name is free
   again. The removed weight is frozen. A caller that has its pointer can read it until the set is
   freed. */
START_TEST(a_removed_weight_is_gone)
{
    const int removed = _i / 2;
    const bool held = _i % 2;
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c);
    tn_param *all[3] = { tn_params_at(p, 0), tn_params_at(p, 1), tn_params_at(p, 2) };
    char name[64];
    snprintf(name, sizeof name, "%s", all[removed]->name);
    if (held)
        tn_params_hold(p);
    tn_params_remove(p, removed);
    ck_assert_int_eq(tn_params_count(p), 2);
    ck_assert_ptr_eq(tn_params_at(p, 0), all[removed == 0]);
    ck_assert_ptr_eq(tn_params_at(p, 1), all[removed == 2 ? 1 : 2]);
    ck_assert_ptr_null(tn_params_find(p, name));
    ck_assert_ptr_nonnull(tn_params_add(p, name, 1, (int64_t[]){ 5 }));
    ck_assert_int_eq(tn_tensor_count(tn_params_at(p, 2)->w), 5);
    if (held) {
        ck_assert_str_eq(all[removed]->name, name);
        ck_assert(!all[removed]->w->wants_grad && !all[removed]->w->g);
        tn_params_free(p);
    }
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

/* 500 names are added and removed in any order. Each search finds what a plain list holds. */
START_TEST(finds_after_any_adding_and_removing)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = tn_params_new(c);
    char name[64];
    for (uint64_t step = 0; step < 4000; step++) {
        snprintf(name, sizeof name, "layer.%u.weight", tn_random(1, 2, 3, step) % 500);
        int64_t i = 0, n = tn_params_count(p);
        while (i < n && strcmp(tn_params_at(p, i)->name, name))
            i++;
        if (tn_params_find(p, name) != tn_params_at(p, i))
            ck_abort_msg("step %d: %s", (int)step, name);
        if (i < n)
            tn_params_remove(p, i);
        else
            tn_params_add(p, name, 1, (int64_t[]){ 1 });
    }
    ck_assert_int_gt(tn_params_count(p), 100);
    ck_assert_int_eq(tn_params_error(p)->code, 0);
    tn_params_free(p);
    tn_context_free(c);
}
END_TEST

START_TEST(clear_makes_every_gradient_zero)
{
    tn_context *c = tn_context_new(NULL);
    tn_params *p = three(c);
    tn_params_at(p, 0)->w->has_grad = true;
    tn_params_clear(p);
    ck_assert(!tn_params_at(p, 0)->w->has_grad);
    tn_params_free(p);
    tn_params_free(NULL);
    tn_context_free(c);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, keeps_the_order_and_finds_by_name);
    tcase_add_test(c, an_entry_keeps_its_address);
    tcase_add_test(c, freezes_by_pattern);
    tcase_add_test(c, refuses_a_name_twice);
    tcase_add_test(c, hash_sees_names_shapes_and_bytes);
    tcase_add_test(c, digest_and_base_see_their_part);
    tcase_add_loop_test(c, a_removed_weight_is_gone, 0, 6);
    tcase_add_test(c, finds_after_any_adding_and_removing);
    tcase_add_test(c, clear_makes_every_gradient_zero);
}
