/* save_model.c - writes a model as a Hugging Face folder or a GGUF file, and looks at it. */
#include "apps/folder/save_model.h"
#include "apps/folder/carry.h"
#include "apps/run/need.h"
#include "apps/run/probe.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "nn/family.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct job {
    const options *o;
    setup s;
    output out;
    bool gguf, untied; /* untied: the head of the base was tied to the embedding */
    probe before;      /* of the model with its adapter */
    tn_file_type type;
    const char *base; /* the type of the base's matrices */
    bool other_type;  /* it is not written here, so that the result is F32 */
    tn_error *e;
} job;

/* The type of all matrices of the base. NULL: they have several. */
static const char *base_type(const tn_params *p)
{
    tn_dtype first = TN_DTYPES;
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        const tn_param *a = tn_params_at(p, i);
        if (a->lora_scale != 0 || a->w->ndim < 2)
            continue;
        if (first != TN_DTYPES && first != a->w->dtype)
            return NULL;
        first = a->w->dtype;
    }
    return first == TN_REAL ? "f32" : tn_dtype_name(first);
}

static const struct {
    const char *name;
    tn_file_type type;
    bool blocks; /* only in GGUF files */
} types[] = { { "f32", TN_FILE_F32, false },
              { "bf16", TN_FILE_BF16, false },
              { "f16", TN_FILE_F16, false },
              { "q8_0", TN_FILE_Q8_0, true },
              { "q4_0", TN_FILE_Q4_0, true } };

/* The type that is asked for; otherwise that of the base, if it is written; otherwise F32. */
static int choose_type(job *j)
{
    const char *base = base_type(j->s.model->params);
    const char *wanted = j->o->dtype ? j->o->dtype : base ? base : "f32";
    j->base = base ? base : "several types";
    j->type = TN_FILE_F32;
    j->other_type = true;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(wanted, types[i].name) && (j->gguf || !types[i].blocks)) {
            j->type = types[i].type;
            j->other_type = base == NULL && !j->o->dtype;
        }
    return j->e->code;
}

static int check_options(const job *j)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (j->o->dtype && !strcmp(j->o->dtype, types[i].name) && types[i].blocks && !j->gguf)
            return tn_fail(j->e, APP_USAGE, "--dtype %s: only in a GGUF file", j->o->dtype);
    if (!j->gguf && save_is_gguf(j->o->save_path))
        return tn_fail(j->e, APP_USAGE,
                       "--save-path %s: a folder is written; expected a name that does not end in "
                       ".gguf",
                       j->o->save_path);
    return j->gguf ? save_check_gguf(j->o, j->e) : j->e->code;
}

bool save_is_gguf(const char *path)
{
    const size_t n = strlen(path);
    return n > 5 && !strcasecmp(path + n - 5, ".gguf");
}

int save_check_gguf(const options *o, tn_error *e)
{
    if (!save_is_gguf(o->save_path))
        return tn_fail(e, APP_USAGE, "--save-path %s: expected a name that ends in .gguf",
                       o->save_path);
    if (output_check_file("--save-path", o->save_path, NULL, true, e) == APP_USAGE && o->overwrite)
        tn_error_add(e, "; --overwrite replaces only folders");
    return e->code;
}

/* The bytes of the result, whose files beside the weights are small. */
static double disk_bytes(const job *j)
{
    enum { SMALL = 1 << 16 };
    const double each = j->type == TN_FILE_F32    ? 4
                        : j->type == TN_FILE_Q8_0 ? 34.0 / 32
                        : j->type == TN_FILE_Q4_0 ? 18.0 / 32
                                                  : 2;
    return each * (double)tn_params_size(j->s.model->params) + SMALL;
}

/* Says what the result becomes where nobody asked for its type, if another may be wanted. */
static void show_type(const job *j)
{
    enum { MUCH = 100 << 20 };
    const double bytes = disk_bytes(j);
    char shown[SHOWN];
    const char *smaller = j->gguf ? "bf16, f16, q8_0 or q4_0" : "bf16 or f16";
    show_bytes(bytes, shown);
    if (j->other_type)
        lines_show("type       F32, %s, as %s cannot be written %s; --dtype %s is smaller\n", shown,
                   j->base, j->gguf ? "to a GGUF file" : "to a folder", smaller);
    else if (j->type == TN_FILE_F32 && !j->o->dtype && bytes > MUCH)
        lines_show("type       F32, %s; --dtype %s is smaller\n", shown, smaller);
}

/* Opens what is read, and remembers what it computes. */
static int read_model(job *j)
{
    const options *o = j->o;
    if (setup_frozen(&j->s, o, j->e))
        return j->e->code;
    const tn_model *m = j->s.model;
    const need n = need_of_merging(m, m->positions < 16 ? m->positions : 16);
    choose_type(j);
    lines_show("model      %s: %s, %s\n", o->model, m->family->type, j->base);
    show_type(j);
    if (o->adapter_path)
        lines_show("adapter    %s\n", o->adapter_path);
    if (!need_check(&n, "merging", j->e))
        probe_take(&j->before, m, j->e);
    return j->e->code;
}

/* Opens what was written, and compares it with what was read. adapter: it is one for this model;
   NULL: it is a model itself. */
static int check(job *j, const char *path, const char *adapter)
{
    const tn_open_options frozen = { .frozen = true };
    tn_model_free(j->s.model);
    j->s.model = tn_model_open_as(j->s.context, path, &frozen, j->e);
    if (j->s.model && adapter)
        tn_adapter_open(j->s.model, adapter, j->e);
    const double most =
        j->s.model && !j->e->code ? probe_difference(&j->before, j->s.model, j->e) : 0;
    if (!j->e->code)
        lines_show(
            "probe      largest difference of a logit %.2g, of logits up to %.3g (%lld token%s)\n",
            most, j->before.largest, (long long)j->before.tokens, show_s(j->before.tokens));
    return j->e->code;
}

/* Writes the config.json of the base once more: keys that we do not know survive. Only the type of
   the numbers is that of the file. */
static int keep_config(const job *j)
{
    static const char *const names[] = {
        [TN_FILE_F32] = "float32", [TN_FILE_BF16] = "bfloat16", [TN_FILE_F16] = "float16"
    };
    static const char tie[] = "tie_word_embeddings";
    tn_text text = { 0 };
    if (j->s.model->nested || tn_path_is(j->o->model, NULL, j->e) != TN_FOLDER)
        return j->e->code; /* of a model that also saw images, only the text model is left */
    char *path = tn_path_newest(j->o->model, "config.json");
    if (!path)
        return tn_fail(j->e, TN_ENOMEM, "%s: out of memory", j->o->model);
    const tn_json *config = tn_json_read(path, j->e);
    tn_text_add(&text, "{");
    for (const tn_json *v = config ? config->child : NULL; v; v = v->next) {
        const bool type = !strcmp(v->key, "dtype") || !strcmp(v->key, "torch_dtype");
        tn_text_add(&text, "%s\n  ", text.n > 1 ? "," : "");
        tn_text_quote(&text, v->key, strlen(v->key));
        tn_text_add(&text, ": ");
        if (type)
            tn_text_add(&text, "\"%s\"", names[j->type]);
        else if (j->untied && !strcmp(v->key, tie))
            tn_text_add(&text, "false");
        else
            tn_text_json(&text, v, 1);
    }
    if (j->untied && config && !tn_json_find(config, tie))
        tn_text_add(&text, ",\n  \"%s\": false", tie);
    tn_text_add(&text, "\n}\n");
    tn_json_free(config);
    free(path);
    return tn_text_save(&text, j->out.work, "config.json", j->e);
}

static int write_folder(job *j)
{
    tn_error *e = j->e;
    const char *path = j->o->save_path;
    if (output_begin(&j->out, tn_hash64(path, strlen(path), 0), disk_bytes(j), e))
        return e->code;
    if (!tn_model_save(j->s.model, j->out.work, j->type, e) && !keep_config(j) &&
        !carry_files(j->o->model, j->o->adapter_path, j->out.work, e))
        check(j, j->out.work, NULL);
    return output_place(&j->out, e);
}

/* Opens the tokenizer that was written. */
static void check_tokenizer(const char *path, tn_error *e)
{
    tn_tokenizer_free(e->code ? NULL : tn_tokenizer_open(path, e));
}

static int write_file(job *j)
{
    tn_error *e = j->e;
    const char *path = j->o->save_path;
    if (output_file_room(path, disk_bytes(j), e))
        return e->code;
    tn_tokenizer *k = carry_tokenizer(j->o->model, j->o->adapter_path, e);
    const int64_t positions = j->s.model ? j->s.model->positions : 0;
    const bool written = !e->code && !tn_model_save_gguf(j->s.model, k, path, j->type, e);
    if (written && !check(j, path, NULL) && k)
        check_tokenizer(path, e);
    tn_tokenizer_free(k);
    if (written && e->code)
        unlink(path);
    if (written && !e->code && j->s.model->positions < positions)
        lines_show(
            "window     the file has no sliding window: llama.cpp takes the model up to %lld of its "
            "%lld positions, where it is the same\n",
            (long long)j->s.model->positions, (long long)positions);
    return e->code;
}

/* ---- an adapter ---- */

/* The bytes of the factors; those of column blocks take up to three times as many. */
static double adapter_bytes(const job *j)
{
    enum { SMALL = 1 << 16, FUSED = 3, EACH = 4 };
    double numbers = 0;
    for (int64_t i = 0; i < tn_params_count(j->s.model->params); i++) {
        const tn_param *a = tn_params_at(j->s.model->params, i);
        numbers += a->lora_scale != 0 ? (double)tn_tensor_count(a->w) : 0;
    }
    return FUSED * EACH * numbers + SMALL;
}

static int write_adapter(job *j)
{
    tn_error *e = j->e;
    const options *o = j->o;
    const char *path = o->save_path;
    if (j->gguf) {
        const bool room = !output_file_room(path, adapter_bytes(j), e);
        const bool written = room && !tn_adapter_save_gguf(j->s.model, path, j->type, e);
        if (written && check(j, o->model, path))
            unlink(path);
        return e->code;
    }
    if (output_begin(&j->out, tn_hash64(path, strlen(path), 0), adapter_bytes(j), e))
        return e->code;
    const bool mlx = !strcmp(o->format, "mlx");
    if (!(mlx ? tn_adapter_save_mlx : tn_adapter_save)(j->s.model, j->out.work, j->type, e))
        check(j, o->model, j->out.work);
    return output_place(&j->out, e);
}

int save_adapter(const options *o, const output_kind *kind, bool gguf, tn_error *e)
{
    job j = { .o = o, .out = { .at = -1, .work_at = -1 }, .gguf = gguf, .e = e };
    options asked = *o;
    if (!o->dtype)
        asked.dtype = "f32";
    j.o = &asked;
    if (o->dtype && (!strcmp(o->dtype, "q8_0") || !strcmp(o->dtype, "q4_0")))
        tn_fail(e, APP_USAGE, "--dtype %s: only of a model", o->dtype);
    if (!check_options(&j) && !gguf)
        output_open(&j.out, kind, o->save_path, &asked, false, e);
    if (!read_model(&j) && !write_adapter(&j))
        lines_show("saved      %s: %s\n", o->save_path, tn_file_type_name(j.type));
    probe_end(&j.before);
    setup_close(&j.s);
    output_close(&j.out);
    return e->code;
}

/* ---- a model ---- */

int save_model(const options *o, const output_kind *kind, bool gguf, tn_error *e)
{
    job j = { .o = o, .out = { .at = -1, .work_at = -1 }, .gguf = gguf, .e = e };
    if (!check_options(&j) && !gguf)
        output_open(&j.out, kind, o->save_path, o, false, e);
    if (!read_model(&j) && o->adapter_path) {
        const bool tied = j.s.model->tied;
        tn_lora_merge(j.s.model, e);
        j.untied = tied && !j.s.model->tied;
    }
    if (!e->code && !(gguf ? write_file(&j) : write_folder(&j)))
        lines_show("saved      %s: %s\n", o->save_path, tn_file_type_name(j.type));
    probe_end(&j.before);
    setup_close(&j.s);
    output_close(&j.out);
    return e->code;
}
