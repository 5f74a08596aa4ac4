/* own_gpt.c - a GPT of your own, in plain structs and functions: written, trained and sampled.
   It uses nothing of nn/families/gpt.c. Copy this file to start a new kind of model.

       make && build/examples/own_gpt LICENSE

       step 100  loss 2.167
       step 200  loss 1.622
       step 300  loss 0.978
       step 400  loss 0.612
       step 500  loss 0.454
       step 600  loss 0.373
       MIMPUDEMPLING ONT OT E WITHAROTHE OF MERCOOiAve IEVES ITHOFTWARR

   What goes wrong:
     - without tn_tape_reset after a step, memory grows;
     - without tn_tape_train before a step, dropout repeats itself;
     - after tn_tape_eval no gradient is kept, until the next tn_tape_train;
     - without a check of tn_tape_error nobody sees a mistake: later ops do nothing and return NULL.

   Shapes: B rows, T positions, C channels, V tokens. */
#include "core/core.h"
#include "data/data.h"
#include "nn/nn.h"
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 2, HEADS = 4, C = 64, T = 64, B = 8, STEPS = 600 };

typedef struct block {
    tn_norm_layer norm1, norm2;
    tn_linear_layer qkv, out, up, down;
} block;

typedef struct gpt {
    tn_tensor *tokens, *positions; /* (V,C), (T,C) */
    block blocks[LAYERS];
    tn_norm_layer norm;
} gpt;

static block block_new(tn_params *p, int i)
{
    char name[6][32];
    const char *part[] = { "norm1", "norm2", "qkv", "out", "up", "down" };
    for (int k = 0; k < 6; k++)
        snprintf(name[k], sizeof name[k], "block%d.%s", i, part[k]);
    double std = 0.02, residual = 0.02 / sqrt(2.0 * LAYERS);
    return (block){ tn_norm_layer_new(p, name[0], C, 1e-5),
                    tn_norm_layer_new(p, name[1], C, 1e-5),
                    tn_linear_layer_new(p, name[2], C, 3 * C, TN_OUT_IN, true, std),
                    tn_linear_layer_new(p, name[3], C, C, TN_OUT_IN, true, residual),
                    tn_linear_layer_new(p, name[4], C, 4 * C, TN_OUT_IN, true, std),
                    tn_linear_layer_new(p, name[5], 4 * C, C, TN_OUT_IN, true, residual) };
}

static gpt gpt_new(tn_params *p, int64_t vocab)
{
    gpt m = { .tokens = tn_embedding_new(p, "tokens", vocab, C, 0.02),
              .positions = tn_embedding_new(p, "positions", T, C, 0.02),
              .norm = tn_norm_layer_new(p, "norm", C, 1e-5) };
    for (int i = 0; i < LAYERS; i++)
        m.blocks[i] = block_new(p, i);
    return m;
}

/* ids (rows,width) -> hidden states (rows,width,C) */
static tn_tensor *gpt_hidden(const gpt *m, tn_tape *t, const int32_t *ids, int64_t rows,
                             int64_t width)
{
    tn_tensor *id = tn_tape_input(t, TN_I32, TN_SHAPE(rows, width));
    tn_tensor *at = tn_tape_input(t, TN_I32, TN_SHAPE(rows, width));
    for (int64_t i = 0; id && at && i < rows * width; i++) {
        id->i[i] = ids[i];
        at->i[i] = (int32_t)(i % width);
    }
    tn_tensor *x = tn_add(t, tn_embed(t, m->tokens, id), tn_embed(t, m->positions, at));
    for (const block *b = m->blocks; b < m->blocks + LAYERS; b++) {
        tn_tensor *qkv = tn_linear_layer_run(&b->qkv, t, tn_norm_layer_run(&b->norm1, t, x));
        tn_tensor *seen = tn_attention(t, qkv, qkv, qkv, (tn_attention_form){ .heads = HEADS });
        x = tn_add(t, x, tn_linear_layer_run(&b->out, t, seen));
        tn_tensor *up = tn_linear_layer_run(&b->up, t, tn_norm_layer_run(&b->norm2, t, x));
        x = tn_add(t, x, tn_linear_layer_run(&b->down, t, tn_gelu(t, up)));
    }
    return tn_norm_layer_run(&m->norm, t, x);
}

static tn_tensor *gpt_loss(const gpt *m, tn_tape *t, const tn_batch *b)
{
    tn_tensor *labels = tn_tape_input(t, TN_I32, TN_SHAPE(b->rows, b->width));
    if (labels)
        memcpy(labels->i, b->labels, (size_t)(b->rows * b->width) * sizeof(int32_t));
    return tn_linear_xent(t, gpt_hidden(m, t, b->ids, b->rows, b->width), m->tokens, labels, 0, 0);
}

/* Continues ids[0..n) to T tokens, each drawn from the model's distribution. */
static void gpt_sample(const gpt *m, tn_tape *t, int32_t *ids, int64_t n)
{
    tn_tape_eval(t);
    for (; n < T; n++) {
        tn_tensor *h = gpt_hidden(m, t, ids, 1, n);
        tn_tensor *p = tn_softmax(t, tn_linear(t, h, m->tokens, NULL, TN_OUT_IN)); /* (1,n,V) */
        if (!p)
            return;
        const tn_real *row = p->x + (n - 1) * p->dim[2];
        double u = tn_random_uniform(1, tn_stream("sample"), 0, (uint64_t)n);
        int32_t id = 0;
        while (id < p->dim[2] - 1 && (u -= (double)row[id]) > 0)
            id++;
        ids[n] = id;
        tn_tape_reset(t);
    }
}

int main(int argc, char **argv)
{
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_error e = { 0 };
    const char *path = argc > 1 ? argv[1] : "README.md";
    size_t size = 0;
    char *text = tn_text_read(path, 1 << 28, &size, &e);
    tn_tokenizer *tok = tn_tokenizer_chars(text, size, &e);
    tn_dataset *data = tn_dataset_text(path, tok, 0, 1, &(tn_data_options){ .max_length = T }, &e);
    tn_loader *in = tn_loader_new(data, &(tn_loader_options){ .batch = B, .seed = 1 }, &e);
    tn_params *p = tn_params_new(c);
    tn_tape *t = tn_tape_new(c);
    gpt m = gpt_new(p, tok ? tn_tokenizer_size(tok) : 1);
    tn_optim *o =
        tn_optim_new(p, tn_optim_find("adamw"),
                     &(tn_optim_options){
                         .lr = 3e-3,
                         .max_grad_norm = 1,
                         .weight_decay = 0.1,
                         .schedule = { .kind = TN_COSINE, .steps = STEPS, .warmup = 20 } },
                     &e);
    for (int step = 1; !e.code && step <= STEPS; step++) {
        tn_tape_train(t, (uint64_t)step); /* dropout, if you add some, draws anew each step */
        tn_tensor *loss = gpt_loss(&m, t, tn_loader_next(in));
        if (tn_backward(t, loss) || tn_optim_step(o))
            tn_fail(&e, TN_ESTATE, "%s",
                    tn_tape_error(t) ? tn_tape_error(t) : tn_optim_error(o)->text);
        else if (step % 100 == 0)
            printf("step %d  loss %.3f\n", step, (double)loss->x[0]);
        tn_tape_reset(t);
    }
    if (!e.code) {
        int32_t ids[T] = { 0 };
        tn_text out = { 0 };
        tn_dataset_ids(data, 0, 0, 1, ids);
        gpt_sample(&m, t, ids, 1);
        tn_decode(tok, ids, T, &out);
        printf("%s\n", tn_text_done(&out, "the sample", &e) ? out.s : "");
        tn_text_free(&out);
    }
    if (e.code)
        fprintf(stderr, "gpt: %s\n", e.text);
    tn_optim_free(o), tn_tape_free(t), tn_params_free(p), tn_context_free(c);
    tn_loader_free(in), tn_dataset_free(data), tn_tokenizer_free(tok), free(text);
    return e.code != 0;
}
