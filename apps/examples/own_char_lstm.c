/* own_char_lstm.c - an LSTM learns to write a text, character by character.

   What goes wrong: the state that an LSTM returns is h|c, and only h goes into the next layer.

       make && build/examples/own_char_lstm LICENSE

       step 200  loss 0.291
       step 400  loss 0.154
       MPLIED, INCLUDING BUT NOT LE FOR ANY CLAIM, DAMAGES OR OTHER                            */
#include "nn/nn.h"
#include "optim/optim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
enum { H = 64, T = 32, B = 16, STEPS = 400, WRITE = 60 };
typedef struct net {
    tn_tensor *tokens; /* (V,H) */
    tn_recurrent_layer lstm;
    tn_linear_layer last; /* (V,H) */
} net;

/* ids (rows,T) -> states h|c (rows,T,2H); start (rows,2H) or NULL. */
static tn_tensor *states(const net *m, tn_tape *t, tn_tensor *ids, tn_tensor *start)
{
    return tn_recurrent_layer_run(&m->lstm, t, tn_embed(t, m->tokens, ids), start);
}

/* h|c (...,2H) -> a score for each token (...,V) */
static tn_tensor *scores(const net *m, tn_tape *t, tn_tensor *state)
{
    return tn_linear_layer_run(&m->last, t, tn_slice(t, state, -1, 0, H));
}

static tn_tensor *ids_of(tn_tape *t, const int32_t *ids, int64_t rows, int64_t width)
{
    tn_tensor *a = tn_tape_input(t, TN_I32, TN_SHAPE(rows, width));
    return a ? memcpy(a->i, ids, tn_tensor_bytes(a)), a : NULL;
}

/* Continues ids[0] to WRITE tokens, each drawn from the distribution after the last. */
static void write_text(const net *m, tn_tape *t, int32_t *ids)
{
    tn_tensor *s = NULL;
    tn_tape_eval(t);
    for (int n = 1; n < WRITE; n++) {
        s = tn_reshape(t, states(m, t, ids_of(t, ids + n - 1, 1, 1), s), TN_SHAPE(1, 2 * H));
        tn_tensor *p = tn_softmax(t, scores(m, t, s)); /* (1,V) */
        double u = tn_random_uniform(1, tn_stream("write"), 0, (uint64_t)n);
        while (p && ids[n] < p->dim[1] - 1 && (u -= (double)p->x[ids[n]]) > 0)
            ids[n]++;
    }
    tn_tape_reset(t);
}

int main(int argc, char **argv)
{
    tn_context *c = tn_context_new(&(tn_options){ .seed = 1 });
    if (!c)
        return 1; /* out of memory, or this CPU does not have what $TN_ISA names */
    tn_error e = { 0 };
    size_t size = 0;
    const char *path = argc > 1 ? argv[1] : "README.md";
    char *text = tn_text_read(path, 1 << 28, &size, &e);
    tn_tokenizer *tok = tn_tokenizer_chars(text, size, &e);
    tn_dataset *data = tn_dataset_text(path, tok, 0, 1, &(tn_data_options){ .max_length = T }, &e);
    tn_loader *in = tn_loader_new(data, &(tn_loader_options){ .batch = B, .seed = 1 }, &e);
    tn_params *p = tn_params_new(c);
    tn_tape *t = tn_tape_new(c);
    const int64_t vocab = tok ? tn_tokenizer_size(tok) : 1; /* V */
    net m = { tn_embedding_new(p, "tokens", vocab, H, 1), tn_lstm_layer_new(p, "lstm", H, H, true),
              tn_linear_layer_new(p, "last", H, vocab, TN_OUT_IN, true, -1) };
    tn_optim *o = tn_optim_new(p, tn_optim_find("adamw"),
                               &(tn_optim_options){ .lr = 1e-2, .max_grad_norm = 1 }, &e);
    for (int step = 1; !e.code && step <= STEPS; step++) {
        const tn_batch *b = tn_loader_next(in);
        tn_tensor *y = states(&m, t, ids_of(t, b->ids, b->rows, b->width), NULL);
        tn_tensor *labels = ids_of(t, b->labels, b->rows, b->width);
        tn_tensor *loss = tn_cross_entropy(t, scores(&m, t, y), labels, 0);
        if (tn_backward(t, loss))
            tn_fail(&e, tn_tape_code(t), "%s", tn_tape_error(t));
        else if (tn_optim_step(o))
            e = *tn_optim_error(o);
        else if (step % 200 == 0)
            printf("step %d  loss %.3f\n", step, (double)loss->x[0]);
        tn_tape_reset(t);
    }
    int32_t ids[WRITE] = { 0 };
    tn_text out = { 0 };
    tn_dataset_ids(data, 0, 0, 1, ids);
    write_text(&m, t, ids);
    tn_decode(tok, ids, WRITE, &out);
    if (!e.code && tn_text_done(&out, "the text", &e))
        puts(out.s);
    tn_text_free(&out), tn_optim_free(o), tn_tape_free(t), tn_params_free(p), tn_context_free(c);
    tn_loader_free(in), tn_dataset_free(data), tn_tokenizer_free(tok), free(text);
    return e.code ? fprintf(stderr, "own_char_lstm: %s\n", e.text), 1 : 0;
}
