/* format_checkpoint.c - the three files of a checkpoint.
   trainer_state.json has the hashes of the other two; they are made right before the checkpoint is
   loaded. */
#include "tests/fuzz/format_safetensors.h"

#include "data/data.h"
#include "optim/optim.h"
#include "optim/run/trainer_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT "checkpoint-1"

static const row state_rows[] = {
    { NULL, "", ":1: found `:` at column 13", false },
    { NULL, "{\n}", ":2: found `'` at column 4", false },
    { NULL, "[]", ":1: found `'` at column 5", false },
    { "'format': 5", "'format': 6", "format is 6", false },
    { "'format': 5", "'format': 0", "format is 0", false },
    { "'format': 5", "'format': '5'", "format is 5", false },
    { "'format': 5", "'format': 5.0", "format is 5.0", false },
    { "  'format': 5,\n", "", "format is missing", false },
    { "'format': 5", "'format': 1", "planned is unknown", false },
    { "'lora-rite'", "'adamw'", "of a run with adamw, this one has lora-rite", false },
    { "'lora-rite'", "7", "optimizer is 7", false },
    { "'lora-rite'", "'x\\u0000'", "optimizer is x", false },
    { "'lora-rite'", "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
      "optimizer is xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", false },
    { "'step': 1", "'step': 2", "step is 2", false },
    { "'step': 1", "'step': -1", "step is -1", false },
    { "'step': 1", "'step': 1.5", "step is 1.5", false },
    { "'step': 1", "'step': '1'", "step is 1", false },
    { "'step': 1", "'step': 9007199254740993", "step is ", false },
    { "  'step': 1,\n", "", "step is missing", false },
    { "'step': 1", "'step': 1, 'step': 1", ":4: found the key 'step' again at column 22", false },
    { "'batches': 2", "'batches': -1", "batches is -1", false },
    { "'batches': 2", "'batches': 4611686018427387904", "batches is ", false },
    { "'tokens': 30", "'tokens': -1", "tokens is -1", false },
    { "'tokens': 30", "'tokens': null", "tokens is null", false },
    { "'planned': 10", "'planned': -1", "planned is -1", false },
    { "'records': 5", "'records': 1e3", "records is 1e3", false },
    { "'best': 1.5", "'best': 'low'", "best is low", false },
    { "'best': 1.5", "'best': 1e999", "best is 1e999", false },
    { "'best': 1.5", "'best': nan", ":9: found `n` at column 11", false },
    { "'best': 1.5", "'worst': 1.5", "worst is unknown", false },
    { "'options': '", "'options': 'g", "options is g0000000000000007", false },
    { "'options': '", "'options': '0", "options is 00000000000000007", false },
    { "'data': '", "'data': 7, 'datum': '", "data is 7", false },
    { "'config': '", "'config': '-", "config is -", false },
    { "'frozen': '", "'frozen': '\\u0030", "frozen is 00000000000000000", false },
    { "'files': {", "'files': [{", ":28: found `:` at column 13", false },
    { "'model.safetensors': '", "'model.safetensors': 'x", "model.safetensors is x", false },
    { "'model.safetensors'", "'other.safetensors'", "model.safetensors is missing", false },
    { "'files': { ", "'files': { 'more': '0000000000000000', ", "more is unknown", false },
    { "'options'", "'extra': 1, 'options'", "extra is unknown", false },
    { "  'options'", NULL, "options is missing", false },
    { "'1234567890abcdef'", "'1234567890ABCDEF'", "run is 1234567890ABCDEF", false },
    { "'step': 1", "'step': 3", "its checksum does not fit its content; the file is damaged",
      true },
    { "'checksum': '", "'checksum': 'x",
      "its checksum does not fit its content; the file is damaged", true },
    { "'checksum'", "'checksun'", "has no checksum; it is cut short or not from a checkpoint",
      true },
    { "  'checksum'", NULL, "has no checksum; it is cut short or not from a checkpoint", true },
    { "", "\n", "its checksum does not fit its content; the file is damaged", true },
    /* valid */
    { "'best': 1.5", "'best': 2", NULL, false },
    { "  'best': 1.5,\n", "", NULL, false },
    { "'tokens': 30", "'tokens': 9007199254740992", NULL, false },
    { "'planned': 10", "'planned': 0", NULL, false },
    { "'step': 1,", "'step' : 1 ,", NULL, false },
    END,
};

static const row weight_rows[] = {
    { NULL, "{}\n", "layer.0.lora_A.weight is not in it", false },
    { "lora_A", "lora_C", "layer.0.lora_A.weight is not in it", false },
    { "[2,3]", "[3,2]", "layer.0.lora_A.weight has 6 numbers", false },
    { "[2,3]", "[6]", "layer.0.lora_A.weight has 6 numbers", false },
    { "dtype':'F", "dtype':'I", "layer.0.lora_A.weight has 6 numbers", false },
    { "norm.weight", "norm.weights", "norm.weight is not in it", false },
    END,
};

static const row moment_rows[] = {
    { NULL, "{}\n", "d.layer.0.lora_A.weight is not in it", false },
    { "lora_A", "lora_C", "d.layer.0.lora_A.weight is not in it", false },
    { "[6]", "[2,3]", "d.layer.0.lora_A.weight has 6 numbers", false },
    { "[6]", "[3]", "tensor 'd.layer.0.lora_A.weight' has ", false },
    { "dtype':'F", "dtype':'I", " numbers of type I", false },
    END,
};

/* The text of a state is the part of the file that its checksum covers. */
static bytes state_unpack(bytes file)
{
    const char *end = file.n ? memmem(file.s, file.n, "  \"checksum\"", 12) : NULL;
    bytes out = { malloc(file.n + 1), end ? (size_t)(end - file.s) : file.n };
    memcpy(out.s, file.s, out.n);
    return out;
}

static bytes state_pack(bytes text)
{
    bytes out = { malloc(text.n + 64), text.n };
    memcpy(out.s, text.s, text.n);
    out.n += (size_t)snprintf(out.s + text.n, 64, "  \"checksum\": \"%016" PRIx64 "\"\n}\n",
                              tn_hash64(text.s, text.n, 0));
    return out;
}

/* clang-format off */
typedef struct run { tn_context *c; tn_params *p; tn_optim *o; } run;
/* clang-format on */

static run new_run(void)
{
    static const struct {
        const char *name;
        int rank;
        int64_t dim[2];
    } weights[] = {
        { "layer.0.lora_A.weight", 2, { 2, 3 } },
        { "layer.0.lora_B.weight", 2, { 4, 2 } },
        { "norm.weight", 1, { 3, 0 } },
    };
    tn_error e = { 0 };
    run r = { .c = tn_context_new(&(tn_options){ .threads = 1, .seed = 1 }) };
    r.p = tn_params_new(r.c);
    for (int i = 0; i < 3; i++)
        tn_params_add(r.p, weights[i].name, weights[i].rank, weights[i].dim);
    r.o = tn_optim_new(r.p, tn_optim_find("lora-rite"), &(tn_optim_options){ .weight_decay = -1 },
                       &e);
    if (!r.o)
        abort();
    return r;
}

static void end_run(run r)
{
    tn_optim_free(r.o);
    tn_params_free(r.p);
    tn_context_free(r.c);
}

static void step(run r)
{
    for (int64_t i = 0; i < tn_params_count(r.p); i++) {
        tn_tensor *w = tn_params_at(r.p, i)->w;
        for (int64_t k = 0; k < tn_tensor_count(w); k++)
            w->g[k] = (tn_real)(k % 3) - 1;
        w->has_grad = true;
    }
    tn_optim_step(r.o);
}

static void furnish(const char *folder)
{
    tn_error e = { 0 };
    run r = new_run();
    step(r);
    const tn_run_state state = { .step = 1,
                                 .batches = 2,
                                 .tokens = 30,
                                 .best = 1.5,
                                 .options_hash = 7,
                                 .planned = 10,
                                 .records = 5,
                                 .data_hash = 9,
                                 .run = 0x1234567890abcdef };
    if (tn_checkpoint_save(folder, r.p, r.o, &state, 3, &e))
        abort();
    end_run(r);
}

static int use_state(const char *folder, tn_error *e)
{
    run r = new_run();
    tn_run_state state = { 0 };
    if (!tn_checkpoint_load(folder, r.p, r.o, &state, e))
        step(r);
    end_run(r);
    return e->code;
}

static int use_files(const char *folder, tn_error *e)
{
    tn_state state;
    tn_error none = { 0 };
    char *at = path_in(folder, AT);
    if (!tn_state_load(at, &state, &none))
        tn_state_save(at, &state, &none);
    free(at);
    return use_state(folder, e);
}

/* clang-format off */
const format format_state = { .name = "state", .json = true, .file = AT "/" TN_STATE_FILE, .named = "checkpoint-1",
                              .furnish = furnish, .use = use_state, .pack = state_pack,
                              .unpack = state_unpack, .rows = state_rows };
/* clang-format on */
const format format_checkpoint_weights = { .name = "checkpoint_weights",
                                           .json = true,
                                           .file = AT "/" TN_STATE_WEIGHTS,
                                           .furnish = furnish,
                                           .use = use_files,
                                           .pack = safetensors_pack,
                                           .unpack = safetensors_unpack,
                                           .rows = weight_rows };
const format format_checkpoint_moments = { .name = "checkpoint_moments",
                                           .json = true,
                                           .file = AT "/" TN_STATE_MOMENTS,
                                           .furnish = furnish,
                                           .use = use_files,
                                           .pack = safetensors_pack,
                                           .unpack = safetensors_unpack,
                                           .rows = moment_rows };
