/* setup.c - opens what a command works on: model, tokenizer, adapter. */
#include "apps/run/setup.h"
#include "apps/run/preference.h"
#include "apps/run/team.h"
#include "apps/report/show.h"
#include "nn/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool setup_is_adapter(const char *path, tn_error *e)
{
    return tn_path_is(path, NULL, e) == TN_FOLDER &&
           tn_path_is(path, "config.json", e) == TN_ABSENT &&
           tn_path_is(path, "adapter_config.json", e) != TN_ABSENT;
}

/* Refuses the folder of an adapter where a model is expected. */
static int check_folder(const char *folder, tn_error *e)
{
    if (setup_is_adapter(folder, e))
        tn_fail(e, TN_EFORMAT,
                "%s: a LoRA adapter; expected a model folder (give the adapter as "
                "--adapter-path and its base as --model)",
                folder);
    return e->code;
}

/* Has the command the option --tokenizer? */
static bool makes_tokenizers(const options *o)
{
    const command *c = o->argc > 1 ? command_find(o->argv[1]) : NULL;
    return c && strchr(options_table[OPT_tokenizer].commands, c->letter);
}

/* A model without a tokenizer uses its adapter's, which was made for the training. */
static tn_tokenizer *open_tokenizer(setup *s, const options *o, tn_error *e)
{
    const char *folder = o->model;
    const char *own = tn_tokenizer_file(folder, e);
    char name[DATA_NAME];
    if (o->tokenizer && own)
        tn_fail(e, APP_USAGE, "--tokenizer %s: %s has its own %s", o->tokenizer, folder, own);
    s->lends_tokenizer = !own;
    if (o->tokenizer)
        return data_tokenizer(o, e);
    if (o->adapter_path && !own && tn_tokenizer_file(o->adapter_path, e))
        folder = o->adapter_path;
    else if (!own && data_is_ids(o))
        tn_fail(e, TN_EIO,
                "%s: no tokenizer.json; expected the one that the token ids of %s were made with%s",
                folder, data_name(o, name),
                makes_tokenizers(o) ? ", or --tokenizer bytes if each is a byte" : "");
    else if (!own)
        tn_fail(e, TN_EIO, "%s: no %s; expected one%s", folder,
                tn_path_is(folder, NULL, e) == TN_FILE ? "tokenizer.ggml.tokens" : "tokenizer.json",
                makes_tokenizers(o) ? ", or --tokenizer bytes|chars"
                                    : ", or --adapter-path with the adapter that has it");
    return tn_tokenizer_open(folder, e);
}

/* Are all weights trained? Random ones are by default. A base type is for LoRA. */
static bool trains_all(const options *o, bool random)
{
    return o->fine_tune_type ? !strcmp(o->fine_tune_type, "full") : random && !o->base_dtype;
}

/* Weights that are read stay as they are, unless all are trained: adapters are, or nothing. Those
   of a sketch are counted in the type of the options. */
static tn_open_options how_to_open(const setup *s, const options *o, bool read)
{
    const bool full = trains_all(o, !read);
    return (tn_open_options){ .frozen = !full && (read || (s->sketch && o->base_dtype)),
                              .base_dtype = full ? NULL : o->base_dtype,
                              .sketch = s->sketch };
}

/* Makes a model with random weights and the tokenizer's vocabulary. */
static tn_model *new_model(setup *s, const options *o, tn_error *e)
{
    char *path = tn_path_join(o->model, "config.json");
    const tn_json *config = path ? tn_json_read(path, e) : NULL;
    if (!path)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", o->model);
    const int64_t vocab = tn_tokenizer_size(s->tokenizer);
    tn_model *m = NULL;
    const tn_open_options how = how_to_open(s, o, false);
    tn_reading r;
    if (config && s->sketch && !tn_reading_of(&how, &r, e))
        m = tn_model_make(s->context, config, o->model, &(tn_model){ .tied = true, .vocab = vocab },
                          &r, true, e);
    else if (config && !s->sketch)
        m = tn_model_new(s->context, config, vocab, tn_tokenizer_end(s->tokenizer), e);
    tn_json_free(config);
    free(path);
    return m;
}

static int check_sizes(const setup *s, const options *o, tn_error *e)
{
    if (!e->code && s->model->vocab < tn_tokenizer_size(s->tokenizer))
        return tn_fail(e, TN_EFORMAT,
                       "%s: vocab_size is %lld; expected at least the %lld tokens of its "
                       "tokenizer",
                       o->model, (long long)s->model->vocab,
                       (long long)tn_tokenizer_size(s->tokenizer));
    return e->code;
}

/* Opens the folder of an adapter, or checkpoint-N, and notes which layers it leaves out. */
static int open_adapter(const setup *s, const char *folder, tn_error *e)
{
    if (tn_adapter_open(s->model, folder, e))
        return e->code;
    if (tn_adapter_is_checkpoint(folder, e))
        tn_checkpoint_check(folder, s->model->params, e);
    if (!e->code && s->model->note)
        show_note("%s", s->model->note);
    return e->code;
}

static int open_context(setup *s, const options *o, uint64_t seed, tn_error *e)
{
    if (e->code || check_folder(o->model, e))
        return e->code;
    s->seed = seed;
    const int threads = o->threads > 0 ? (int)o->threads : team_threads(o->team);
    s->context = tn_context_new(&(tn_options){ .threads = threads, .seed = seed });
    if (!s->context)
        tn_fail(e, TN_ENOMEM, "the threads: out of memory");
    return e->code;
}

/* Random weights are good for training only. */
static int refuse_random(const setup *s, const options *o, tn_error *e)
{
    if (!e->code && s->random)
        tn_fail(e, TN_EFORMAT, "%s: no model.safetensors; expected trained weights", o->model);
    return e->code;
}

/* With --tokenizer a model with random weights has the vocabulary of that tokenizer. */
static int make_model(setup *s, const options *o, tn_error *e)
{
    const bool read = !e->code && tn_model_weights(o->model, e) != TN_ABSENT;
    const tn_open_options how = how_to_open(s, o, read);
    if (!e->code && o->base_dtype && !read && !s->sketch)
        tn_fail(e, APP_USAGE, "--base-dtype %s: the weights of %s are random; expected a file",
                o->base_dtype, o->model);
    if (!e->code)
        s->model = o->tokenizer && !read ? new_model(s, o, e)
                                         : tn_model_open_as(s->context, o->model, &how, e);
    s->random = s->model && !s->model->stored;
    return e->code;
}

int setup_frozen(setup *s, const options *o, tn_error *e)
{
    if (!open_context(s, o, 0, e))
        make_model(s, o, e);
    if (!refuse_random(s, o, e) && o->adapter_path)
        open_adapter(s, o->adapter_path, e);
    return e->code;
}

int setup_model(setup *s, const options *o, uint64_t seed, tn_error *e)
{
    if (open_context(s, o, seed, e))
        return e->code;
    if (!o->tokenizer)
        make_model(s, o, e);
    s->tokenizer = e->code ? NULL : open_tokenizer(s, o, e);
    if (o->tokenizer)
        make_model(s, o, e);
    if (!check_sizes(s, o, e) && o->adapter_path)
        open_adapter(s, o->adapter_path, e);
    if (!e->code) {
        s->tape = tn_tape_new(s->context);
        if (!s->tape)
            tn_fail(e, TN_ENOMEM, "the tape: out of memory");
        tracer_begin(&s->tracer, s->tape, s->model->params);
    }
    return e->code;
}

int setup_weights(setup *s, const options *o, tn_error *e)
{
    if (e->code)
        return e->code;
    tn_reference_free(s->reference);
    s->reference = NULL;
    tn_model_free(s->model);
    s->model = NULL;
    s->sketch = false;
    make_model(s, o, e);
    if (!e->code)
        tracer_begin(&s->tracer, s->tape, s->model->params);
    return setup_train(s, o, e);
}

int setup_trained(setup *s, const options *o, tn_error *e)
{
    setup_model(s, o, (uint64_t)o->seed, e);
    return refuse_random(s, o, e);
}

int64_t setup_length(const setup *s, const options *o)
{
    const int64_t most = s->model->positions;
    if (o->max_seq_length > 0)
        return o->max_seq_length;
    return most < 2048 ? most : 2048;
}

static data_how how_of(const setup *s, const options *o, tn_error *e)
{
    const int64_t length = e->code ? 0 : setup_length(s, o);
    if (!e->code && length > s->model->positions)
        tn_fail(e, APP_USAGE, "--max-seq-length %lld: expected at most the model's %lld",
                (long long)length, (long long)s->model->positions);
    return (data_how){ o, s->tokenizer, length, s->context };
}

int setup_data(setup *s, const options *o, part which, tn_error *e)
{
    int64_t count;
    const data_how how = how_of(s, o, e);
    s->task = e->code ? NULL : data_task(o, &count, e);
    s->data[which] = e->code ? NULL : data_part(&how, which, e);
    return e->code;
}

int setup_both(setup *s, const options *o, tn_error *e)
{
    int64_t count;
    tn_dataset *both[2] = { NULL, NULL };
    const data_how how = how_of(s, o, e);
    s->task = e->code ? NULL : data_task(o, &count, e);
    if (!e->code)
        data_both(&how, both, e);
    s->data[PART_TRAIN] = both[0];
    s->data[PART_VALID] = both[1];
    return e->code;
}

int setup_train(setup *s, const options *o, tn_error *e)
{
    if (e->code)
        return e->code;
    s->full = trains_all(o, s->random);
    s->model->dropout = o->dropout;
    s->model->recompute = o->grad_checkpoint;
    if (s->full)
        setup_refuse_adapters(o, e);
    else
        setup_adapters(s, o, e);
    return preference_open(s, o, e);
}

void setup_close(setup *s)
{
    for (int i = 0; i < PARTS; i++)
        tn_dataset_free(s->data[i]);
    tn_tape_free(s->tape);
    tn_reference_free(s->reference);
    tn_model_free(s->other);
    tn_model_free(s->model);
    tn_tokenizer_free(s->tokenizer);
    tn_context_free(s->context);
    *s = (setup){ 0 };
}
