/* test_gguf_source.c - models in GGUF files: the logits that an independent program made in double.
   The files were written by a program that follows llama.cpp's conversion, and llama.cpp computes
   the same logits from them. */
#include "data/gguf.h"
#include "nn/family.h"
#include "nn/folders/gguf_model.h"
#include "tests/support/fixtures.h"
#include "tests/support/golden_model.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE = sizeof(tn_real) == sizeof(double) ? 1e-5 : 1e-4;

static const char *const names[] = {
    "gpt2", "llama", "llama3", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "smollm3", "phi3"
}; /* the last two have narrow rows */
enum { NAMES = sizeof names / sizeof *names, WIDE = NAMES - 2, TOKENS = 24 };

typedef struct fixture {
    char folder[64], file[80];
    tn_context *c;
    tn_tape *t;
    tn_safetensors *expected;
    int32_t ids[TOKENS];
    tn_error e;
} fixture;

static void open_fixture(fixture *f, const char *name)
{
    char path[96];
    memset(f, 0, sizeof *f);
    snprintf(f->folder, sizeof f->folder, GOLDEN "tiny_models/%s", name);
    snprintf(f->file, sizeof f->file, "%s/model.gguf", f->folder);
    snprintf(path, sizeof path, "%s/expected.safetensors", f->folder);
    f->c = tn_context_new(&(tn_options){ .threads = 2, .seed = 1 });
    f->t = tn_tape_new(f->c);
    f->expected = tn_safetensors_open(path, &f->e);
    must(&f->e);
    tn_entry_int(f->expected, tn_safetensors_find(f->expected, "input_ids"), f->ids, &f->e);
    must(&f->e);
}

static void close_fixture(fixture *f)
{
    tn_safetensors_close(f->expected);
    tn_tape_free(f->t);
    tn_context_free(f->c);
}

static tn_model *opened(fixture *f, const char *path, bool frozen)
{
    tn_model *m = tn_model_open_as(f->c, path, &(tn_open_options){ .frozen = frozen }, &f->e);
    must(&f->e);
    return m;
}

/* The largest difference from the logits expected[0..], over the largest of them. Ends the model. */
static double distance(fixture *f, tn_model *m, const double *expected)
{
    tn_tensor *ids = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, TOKENS });
    memcpy(ids->i, f->ids, sizeof f->ids);
    tn_tensor *z = tn_model_logits(m, f->t, ids);
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    const double d = difference(z->x, expected, tn_tensor_count(z));
    tn_tape_reset(f->t);
    tn_model_free(m);
    return d;
}

/* To be trained, with converted weights, and frozen, with borrowed ones. */
START_TEST(logits_are_as_expected)
{
    fixture f;
    int64_t n;
    open_fixture(&f, names[_i]);
    double *expected = read_doubles(f.expected, "logits.base", &n);
    for (int frozen = 0; frozen < 2; frozen++) {
        const double d = distance(&f, opened(&f, f.file, frozen), expected);
        ck_assert_msg(d < TOLERANCE, "%s differs by %g", f.file, d);
    }
    free(expected);
    close_fixture(&f);
}
END_TEST

/* The adapter of the folder on the model of the file: logits, loss, and the gradients of its
   factors. Before that the loss of the model itself, all of it trained. */
START_TEST(adapted_model_is_as_expected)
{
    golden_model f;
    golden_open(&f, names[_i], TOLERANCE);
    char file[80];
    snprintf(file, sizeof file, "%s/model.gguf", f.folder);
    for (int frozen = 0; frozen < 2; frozen++) {
        tn_model_free(f.m);
        f.m = tn_model_open_as(f.c, file, &(tn_open_options){ .frozen = frozen }, &f.e);
        must(&f.e);
        if (!frozen)
            golden_loss(&f, "loss_base");
        tn_tape_reset(f.t);
    }
    golden_adapter(&f, (strcmp(names[_i], "gpt2") ? 6 : 4) * f.m->layers);
    golden_close(&f);
}
END_TEST

/* What config.json says, as far as it has a place in the keys; and the same weights, to the bit
   where nothing is added to them. */
START_TEST(the_model_of_the_folder)
{
    fixture f;
    open_fixture(&f, names[_i]);
    tn_model *a = opened(&f, f.file, false), *b = opened(&f, f.folder, false);
    ck_assert_str_eq(a->family->type, b->family->type);
    ck_assert(a->layers == b->layers && a->heads == b->heads && a->kv_heads == b->kv_heads);
    ck_assert(a->width == b->width && a->vocab == b->vocab && a->positions == b->positions);
    ck_assert(a->head_size == b->head_size && a->tied == b->tied);
    ck_assert_int_eq(tn_params_count(a->params), tn_params_count(b->params));
    const bool less = strncmp(names[_i], "gemma", 5) == 0;
    for (int64_t i = 0; i < tn_params_count(a->params); i++) {
        const tn_param *p = tn_params_at(a->params, i), *q = tn_params_find(b->params, p->name);
        ck_assert_msg(q != NULL, "%s", p->name);
        for (int64_t k = 0; k < tn_tensor_count(p->w); k++)
            ck_assert_msg(fabs((double)(p->w->x[k] - q->w->x[k])) <= (less ? 1e-6 : 0),
                          "%s: number %lld", p->name, (long long)k);
    }
    tn_model_free(a);
    tn_model_free(b);
    close_fixture(&f);
}
END_TEST

/* ---- quantised files ---- */

/* Writes the file again with its matrices of whole blocks in another type. */
static void quantise(const char *from, const char *to, tn_file_type type)
{
    tn_error e = { 0 };
    tn_gguf_list keys = { 0 };
    tn_gguf *g = tn_gguf_open(from, &e);
    must(&e);
    const int64_t n = tn_gguf_count(g);
    tn_entry *entries = calloc((size_t)n, sizeof *entries);
    tn_real **numbers = calloc((size_t)n, sizeof *numbers);
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        tn_gguf_add(&keys, tn_gguf_key(g, i), &e);
    for (int64_t i = 0; i < n; i++) {
        const tn_entry *t = tn_gguf_at(g, i);
        entries[i] = *t;
        if (t->ndim != 2 || t->dim[1] % 32)
            continue;
        numbers[i] = malloc((size_t)tn_entry_count(t) * sizeof **numbers);
        tn_gguf_real(g, t, numbers[i], &e);
        entries[i].type = type;
        entries[i].bytes = NULL;
        entries[i].real = numbers[i];
    }
    tn_gguf_write(to, &keys, entries, n, &e);
    must(&e);
    for (int64_t i = 0; i < n; i++)
        free(numbers[i]);
    free(numbers);
    free(entries);
    tn_gguf_list_free(&keys);
    tn_gguf_close(g);
}

/* Frozen matrices stay quantised, also those whose rows are moved; converted ones are what these
   bytes say: the same logits to the last places. */
START_TEST(quantised_files)
{
    static const tn_file_type types[] = { TN_FILE_Q8_0, TN_FILE_Q4_0, TN_FILE_F16, TN_FILE_BF16 };
    static const tn_dtype kept[] = { TN_Q8_0, TN_Q4_0, TN_F16, TN_BF16 };
    fixture f;
    scratch s;
    open_fixture(&f, names[_i]);
    scratch_open(&s);
    for (int i = 0; i < 4; i++) {
        quantise(f.file, scratch_path(&s, "q.gguf"), types[i]);
        tn_model *m = opened(&f, s.path, false), *frozen = opened(&f, s.path, true);
        int64_t quantised = 0, n;
        for (int64_t k = 0; k < tn_params_count(frozen->params); k++)
            quantised += tn_params_at(frozen->params, k)->w->dtype == kept[i];
        ck_assert_int_ge(quantised, _i ? 6 * m->layers : 2);
        tn_tensor *ids = tn_tape_input(f.t, TN_I32, 2, (int64_t[]){ 1, TOKENS });
        memcpy(ids->i, f.ids, sizeof f.ids);
        tn_tensor *z = tn_model_logits(m, f.t, ids);
        n = tn_tensor_count(z);
        double *logits = malloc((size_t)n * sizeof *logits);
        for (int64_t k = 0; k < n; k++)
            logits[k] = (double)z->x[k];
        tn_tape_reset(f.t);
        tn_model_free(m);
        const double d = distance(&f, frozen, logits);
        ck_assert_msg(d < 1e-5, "%s as %s: %g", names[_i], tn_file_type_name(types[i]), d);
        free(logits);
    }
    scratch_close(&s);
    close_fixture(&f);
}
END_TEST

/* A model that is quantised as it is opened, from the file or from the folder, is the model of the
   quantised file, to the bit. Not so GPT-2: its matrices are turned in a file. Gemma's folder is
   left out: the sums 1 + w in the file were rounded to float. */
START_TEST(quantised_as_it_is_opened)
{
    static const struct {
        const char *name;
        tn_file_type type;
        tn_dtype kept;
    } types[] = { { "q8_0", TN_FILE_Q8_0, TN_Q8_0 },
                  { "q4_0", TN_FILE_Q4_0, TN_Q4_0 },
                  { "bf16", TN_FILE_BF16, TN_BF16 } };
    fixture f;
    scratch s;
    open_fixture(&f, names[_i]);
    scratch_open(&s);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        quantise(f.file, scratch_path(&s, "q.gguf"), types[i].type);
        tn_model *m = opened(&f, s.path, true);
        const int sources = strncmp(names[_i], "gemma", 5) ? 2 : 1;
        for (int folder = 0; folder < sources; folder++) {
            const tn_open_options how = { .frozen = true, .base_dtype = types[i].name };
            tn_model *k = tn_model_open_as(f.c, folder ? f.folder : f.file, &how, &f.e);
            must(&f.e);
            for (int64_t p = 0; p < tn_params_count(k->params); p++) {
                const tn_tensor *w = tn_params_at(k->params, p)->w;
                ck_assert_int_eq(w->dtype, w->ndim == 2 ? types[i].kept : TN_REAL);
            }
            tn_tensor *z[2];
            for (int which = 0; which < 2; which++) {
                tn_tensor *ids = tn_tape_input(f.t, TN_I32, 2, (int64_t[]){ 1, TOKENS });
                memcpy(ids->i, f.ids, sizeof f.ids);
                z[which] = tn_model_logits(which ? k : m, f.t, ids);
                ck_assert_msg(z[which] != NULL, "%s", tn_tape_error(f.t));
            }
            ck_assert_msg(!memcmp(z[0]->x, z[1]->x, tn_tensor_bytes(z[0])), "%s as %s", names[_i],
                          types[i].name);
            tn_tape_reset(f.t);
            tn_model_free(k);
        }
        tn_model_free(m);
    }
    scratch_close(&s);
    close_fixture(&f);
}
END_TEST

/* ---- a real model, where the assets are ---- */

/* The largest difference of -log p(ids[i+1]) from the numbers of Transformers. */
static double nll_distance(const fixture *f, const tn_model *m, const tn_json *prompt)
{
    int64_t n, count;
    double *ids = read_numbers(prompt, "ids", &n), *nll = read_numbers(prompt, "nll", &count);
    double worst = 0;
    ck_assert_int_eq(count, n - 1);
    tn_tensor *in = tn_tape_input(f->t, TN_I32, 2, (int64_t[]){ 1, n });
    for (int64_t i = 0; i < n; i++)
        in->i[i] = (int32_t)ids[i];
    tn_tensor *z = tn_log_softmax(f->t, tn_model_logits(m, f->t, in));
    ck_assert_msg(z != NULL, "%s", tn_tape_error(f->t));
    for (int64_t i = 0; i < count; i++) {
        const double d = fabs(nll[i] + (double)z->x[i * m->vocab + in->i[i + 1]]);
        worst = d > worst ? d : worst;
    }
    tn_tape_reset(f->t);
    free(ids);
    free(nll);
    return worst;
}

/* SmolLM2-135M, whose file has Q4_1, Q8_0 and F32: a model of a size that is used. Not in double,
   where it takes minutes. */
START_TEST(smollm2)
{
    char *path = assets("assets/models/smollm2-135m-instruct-gguf/SmolLM2-135M-Instruct.Q4_1.gguf");
    char *numbers = assets("golden/hf/smollm2/prompts.json");
    fixture f = { 0 };
    if (path && numbers && sizeof(tn_real) == sizeof(float)) {
        f.c = tn_context_new(&(tn_options){ .threads = 2 });
        f.t = tn_tape_new(f.c);
        const tn_json *golden = tn_json_read(numbers, &f.e);
        tn_model *m = opened(&f, path, true);
        for (const tn_json *v = tn_json_find(golden, "cases")->child; v; v = v->next)
            ck_assert_double_le(nll_distance(&f, m, v), 1e-3);
        tn_model_free(m);
        tn_json_free(golden);
        tn_tape_free(f.t);
        tn_context_free(f.c);
    }
    free(path);
    free(numbers);
}
END_TEST

/* ---- names ---- */

START_TEST(weight_names)
{
    static const struct {
        const char *architecture, *ours, *theirs;
    } rows[] = {
        { "gpt2", "transformer.wte.weight", "token_embd.weight" },
        { "gpt2", "transformer.wpe.weight", "position_embd.weight" },
        { "gpt2", "transformer.ln_f.bias", "output_norm.bias" },
        { "gpt2", "transformer.h.11.attn.c_attn.bias", "blk.11.attn_qkv.bias" },
        { "gpt2", "transformer.h.0.mlp.c_proj.weight", "blk.0.ffn_down.weight" },
        { "llama", "model.embed_tokens.weight", "token_embd.weight" },
        { "llama", "lm_head.weight", "output.weight" },
        { "llama", "model.norm.weight", "output_norm.weight" },
        { "llama", "model.layers.7.self_attn.q_proj.weight", "blk.7.attn_q.weight" },
        { "qwen2", "model.layers.7.self_attn.k_proj.bias", "blk.7.attn_k.bias" },
        { "qwen3", "model.layers.123.self_attn.k_norm.weight", "blk.123.attn_k_norm.weight" },
        { "llama", "model.layers.1.post_attention_layernorm.weight", "blk.1.ffn_norm.weight" },
        { "gemma", "model.layers.1.post_attention_layernorm.weight", "blk.1.ffn_norm.weight" },
        { "gemma2", "model.layers.1.post_attention_layernorm.weight",
          "blk.1.post_attention_norm.weight" },
        { "gemma3", "model.layers.1.pre_feedforward_layernorm.weight", "blk.1.ffn_norm.weight" },
        { "gemma3", "model.layers.1.post_feedforward_layernorm.weight",
          "blk.1.post_ffw_norm.weight" },
        { "phi3", "model.layers.1.self_attn.qkv_proj.weight", "blk.1.attn_qkv.weight" },
        { "phi3", "model.layers.1.mlp.gate_up_proj.weight", "blk.1.ffn_up.weight" },
        { "llama", "model.layers.x.self_attn.q_proj.weight", NULL },
        { "llama", "model.layers..self_attn.q_proj.weight", NULL },
        { "llama", "model.layers.7", NULL },
        { "llama", "model.layers.7.weight", NULL },
        { "llama", "model.layers.7.self_attn.rotary.weight", NULL },
        { "llama", "model.other.weight", NULL },
        { "llama", "weight", NULL },
        { "llama", "", NULL },
        { "llama",
          "model.layers.1234567890123456789012345678901234567890.self_attn.q_proj.weight_of_it",
          NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[TN_GGUF_NAME] = "";
        const bool found = tn_gguf_name(rows[i].architecture, rows[i].ours, name);
        ck_assert_msg(found == (rows[i].theirs != NULL), "%s: %s", rows[i].ours, name);
        if (found)
            ck_assert_str_eq(name, rows[i].theirs);
    }
}
END_TEST

/* ---- refusals ---- */

/* The file with one key changed, added or left out, or with one tensor left out. */
typedef struct fault {
    const char *model, *key; /* NULL: no key changes */
    tn_gguf_kind kind;       /* TN_GGUF_ARRAY: the key is left out */
    double number;
    const char *string, *tensor, *says;
} fault;

static const fault faults[] = {
    { "gpt2", "general.architecture", TN_GGUF_STRING, 0, "mamba", NULL,
      "general.architecture is \"mamba\"; expected gpt2, llama, smollm3," },
    { "gpt2", "general.architecture", TN_GGUF_U32, 1, NULL, NULL,
      "general.architecture is an integer" },
    { "gpt2", "general.architecture", TN_GGUF_ARRAY, 0, NULL, NULL,
      "general.architecture is \"\"" },
    { "gpt2", "gpt2.block_count", TN_GGUF_ARRAY, 0, NULL, NULL,
      "the key gpt2.block_count is missing" },
    { "gpt2", "gpt2.block_count", TN_GGUF_F32, 2, NULL, NULL, "gpt2.block_count is a number" },
    { "gpt2", "gpt2.block_count", TN_GGUF_U32, 0, NULL, NULL,
      "m.gguf: gpt2.block_count is a number, expected an integer from 1" },
    { "gpt2", "gpt2.block_count", TN_GGUF_U32, 3, NULL, NULL, "tensors are missing, the first is" },
    { "gpt2", "gpt2.block_count", TN_GGUF_U32, 1, NULL, NULL, "has no place in the model" },
    { "gpt2", "gpt2.attention.head_count", TN_GGUF_ARRAY, 0, NULL, NULL,
      "the key gpt2.attention.head_count is missing" },
    { "gpt2", "gpt2.embedding_length", TN_GGUF_U32, 64, NULL, NULL,
      "expected sizes that fit the weights beside it" },
    { "gpt2", NULL, 0, 0, NULL, "token_embd.weight", "tensor \"token_embd.weight\" is missing" },
    { "gpt2", NULL, 0, 0, NULL, "position_embd.weight",
      "tensor \"position_embd.weight\" is missing" },
    { "gpt2", NULL, 0, 0, NULL, "blk.1.ffn_up.bias",
      "\"transformer.h.1.mlp.c_fc.bias\" is missing" },
    { "llama", "llama.attention.head_count_kv", TN_GGUF_U32, 3, NULL, NULL, "expected" },
    { "llama", "llama.feed_forward_length", TN_GGUF_ARRAY, 0, NULL, NULL,
      "the key llama.feed_forward_length is missing" },
    { "llama", "llama.rope.scaling.type", TN_GGUF_STRING, 0, "yarn", NULL,
      "llama.rope.scaling.type is \"yarn\"; expected none or linear" },
    { "llama", "llama.attention.value_length", TN_GGUF_U32, 16, NULL, NULL,
      "heads of several sizes" },
    { "llama3", "llama.rope.freq_base", TN_GGUF_F32, 20, NULL, NULL,
      "tensor \"rope_freqs.weight\": expected the scaling of Llama 3.1" },
    { "gemma3", "gemma3.rope.scaling.factor", TN_GGUF_ARRAY, 0, NULL, NULL,
      "the key gemma3.rope.scaling.factor is missing" },
};

static void add_change(tn_gguf_list *keys, const fault *r, tn_error *e)
{
    if (!r->key || r->kind == TN_GGUF_ARRAY)
        return;
    if (r->kind == TN_GGUF_STRING)
        tn_gguf_add_string(keys, r->key, r->string, strlen(r->string), e);
    else if (r->kind == TN_GGUF_F32)
        tn_gguf_add_real(keys, r->key, r->number, e);
    else
        tn_gguf_add_int(keys, r->key, r->kind, (int64_t)r->number, e);
}

/* The file has a member of config.json in its name, which is no key in a message. */
START_TEST(refuses)
{
    static const char named[] = "of: n_head m.gguf";
    const fault *r = &faults[_i];
    fixture f;
    scratch s;
    tn_gguf_list keys = { 0 };
    open_fixture(&f, r->model);
    tn_gguf *g = tn_gguf_open(f.file, &f.e);
    must(&f.e);
    tn_entry *entries = calloc((size_t)tn_gguf_count(g), sizeof *entries);
    int64_t n = 0;
    for (int64_t i = 0; i < tn_gguf_keys(g); i++)
        if (!r->key || strcmp(tn_gguf_key(g, i)->key, r->key) != 0)
            tn_gguf_add(&keys, tn_gguf_key(g, i), &f.e);
    add_change(&keys, r, &f.e);
    for (int64_t i = 0; i < tn_gguf_count(g); i++)
        if (!r->tensor || strcmp(tn_gguf_at(g, i)->name, r->tensor) != 0)
            entries[n++] = *tn_gguf_at(g, i);
    scratch_open(&s);
    tn_gguf_write(scratch_path(&s, named), &keys, entries, n, &f.e);
    must(&f.e);
    ck_assert_ptr_null(tn_model_open(f.c, s.path, &f.e));
    ck_assert_msg(f.e.code < 0 && strstr(f.e.text, r->says) && strstr(f.e.text, named),
                  "\"%s\" does not say \"%s\"", f.e.text, r->says);
    scratch_close(&s);
    tn_gguf_list_free(&keys);
    free(entries);
    tn_gguf_close(g);
    close_fixture(&f);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, logits_are_as_expected, 0, NAMES);
    tcase_add_loop_test(c, adapted_model_is_as_expected, 0, NAMES);
    tcase_add_loop_test(c, the_model_of_the_folder, 0, NAMES);
    tcase_add_loop_test(c, quantised_files, 0, WIDE);
    tcase_add_loop_test(c, quantised_as_it_is_opened, 1, WIDE);
    tcase_add_test(c, smollm2);
    tcase_add_test(c, weight_names);
    tcase_add_loop_test(c, refuses, 0, sizeof faults / sizeof *faults);
}
