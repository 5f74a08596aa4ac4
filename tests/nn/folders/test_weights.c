/* test_weights.c - files of weights in a model folder: shards, and formats that cannot be read. */
#include "tests/support/fixtures.h"
#include "tests/support/small_model.h"
#include "tests/support/tests.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
static const struct { const char *name; bool weights; } beside[] = {
    { "pytorch_model.bin", true }, { "pytorch_model.bin.index.json", true }, { "tf_model.h5", true },
    { "flax_model.msgpack", true }, { "model-00001-of-00002.safetensors", true }, { "model.gguf", true },
    { "consolidated.00.pth", true }, { "model.fp16.safetensors", true }, { "model.safetensors.tmp", false },
    { "model.safetensors.gz", true }, { "pytorch_model.bin.part", true }, { "model.ckpt.index", true },
    { "README.pt.md", false }, { "notes.h5.txt", false },
    { "merges.txt", false }, { "generation_config.json", false }, { "bin", false }, { "README.md", false },
};
/* clang-format on */

/* A model never gets random weights if its folder has weights in any format. */
START_TEST(weights_of_other_formats_are_refused)
{
    tn_error e = { 0 };
    tn_context *c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 });
    char *folder = temporary();
    put_file(folder, "config.json", "{" SMALL "}");
    put_file(folder, beside[_i].name, "{}");
    tn_model *m = tn_model_open(c, folder, &e);
    ck_assert_int_eq(e.code, beside[_i].weights ? TN_EFORMAT : 0);
    ck_assert(beside[_i].weights ? !m && strstr(e.text, beside[_i].name) != NULL : m && !m->stored);
    e = (tn_error){ 0 };
    ck_assert_int_eq(tn_model_weights(folder, &e), beside[_i].weights ? TN_UNREADABLE : TN_ABSENT);
    tn_model_free(m);
    discard(folder);
    tn_context_free(c);
}
END_TEST

START_TEST(sharded_models_open)
{
    static const char index[] =
        "{\"metadata\":{\"total_size\":1},\"weight_map\":{"
        "\"transformer.wte.weight\":\"a.safetensors\",\"transformer.wpe.weight\":\"b.safetensors\","
        "\"transformer.ln_f.weight\":\"b.safetensors\"}}";
    tn_error e = { 0 };
    small_model s = small_model_make();
    int here = open(".", O_RDONLY);
    put_file(s.folder, "config.json", "{" SMALL "}");
    put_file(s.folder, "model.safetensors.index.json", index);
    ck_assert_ptr_null(tn_model_open(s.c, s.folder, &e));
    must_fail(&e, TN_EIO, "are missing: a.safetensors b.safetensors");
    write_tensors(s.folder, "a.safetensors", s.entries, 1);
    write_tensors(s.folder, "b.safetensors", s.entries + 1, s.n - 1);
    tn_model *again = open_model(s.c, s.folder);
    check_same(s.m, again, TN_FILE_F32);
    tn_model_free(again);
    write_tensors(s.folder, "a.safetensors", s.entries, 2);
    ck_assert_ptr_null(tn_model_open(s.c, s.folder, &e));
    must_fail(&e, TN_EFORMAT, "\"transformer.wpe.weight\" is there twice");
    write_tensors(s.folder, "a.safetensors", s.entries + 2, 1);
    ck_assert_ptr_null(tn_model_open(s.c, s.folder, &e));
    must_fail(&e, TN_EFORMAT, "\"transformer.wte.weight\" is not there, but the index says so");
    put_file(s.folder, "model.safetensors.index.json",
             "{\"weight_map\":{\"x\":\"../a.safetensors\"}}");
    ck_assert_ptr_null(tn_model_open(s.c, s.folder, &e));
    must_fail(&e, TN_EFORMAT, "/weight_map/x");
    ck_assert_int_eq(chdir(s.folder), 0); /* "" is the working directory */
    put_file(".", "model.safetensors.index.json", index);
    write_tensors(".", "a.safetensors", s.entries, 1);
    again = open_model(s.c, "");
    check_same(s.m, again, TN_FILE_F32);
    tn_model_free(again);
    ck_assert_int_eq(fchdir(here), 0);
    close(here);
    small_model_end(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, weights_of_other_formats_are_refused, 0, sizeof beside / sizeof *beside);
    tcase_add_test(c, sharded_models_open);
}
