/* samples.c - generates the answers of --sample (samples.h). */
#include "apps/ask/samples.h"
#include "apps/ask/answer.h"

#include <stdlib.h>
#include <string.h>

/* Chooses the template that the training has. */
static int choose(samples *s, tn_error *e)
{
    options with = *s->o;
    const tn_chat_template *t = tn_dataset_facts(s->s->data[PART_TRAIN]).chat;
    with.chat_template = t ? tn_chat_name(t) : NULL;
    with.ignore_chat_template = !t;
    return e->code ? e->code : ask_begin(&s->how, s->s, &with, e);
}

int samples_open(samples *s, const setup *with, const options *o, tn_error *e)
{
    *s = (samples){ .s = with, .o = o, .prompts = { .flag = "--sample" } };
    if (e->code || (!o->sample[0] && !o->sample_file))
        return e->code;
    for (int i = 0; o->sample[i]; i++) {
        tn_text text = { 0 };
        tn_text_add(&text, "%s", o->sample[i]);
        prompts_add(&s->prompts, &text, e);
    }
    if (o->sample_file)
        prompts_read(&s->prompts, o->sample_file, e);
    return choose(s, e) ? e->code : prompts_encode(&s->prompts, &s->how, with, o, e);
}

static int take(samples *s, const prompt_entry *p, int32_t *out, samples_each *each, void *arg,
                tn_error *e)
{
    const int64_t most = s->o->sample_tokens;
    const tn_sampling how = { .max_tokens = most,
                              .ends = s->how.ends,
                              .end_count = s->how.end_count };
    answer a = { .tokenizer = s->s->tokenizer };
    tn_text ignored = { 0 };
    const int32_t *ids = p->ids;
    int64_t made = 0;
    tn_generate(s->s->model, 1, &ids, &p->n, &how, &out, &made, NULL, NULL, e);
    if (!s->how.chat) /* the answer goes on with the prompt: a space between them counts */
        tn_decode_next(s->s->tokenizer, ids, p->n, &a.held, &ignored);
    for (int64_t i = 0; i < made && !e->code; i++)
        answer_add(&a, out[i], e);
    if (!e->code)
        answer_close(&a, e);
    const tn_span text = { a.text.s ? a.text.s : "", a.text.n };
    const int stop = e->code ? 0 : each(arg, (tn_span){ p->text.s, p->text.n }, text, made);
    tn_text_free(&ignored);
    answer_free(&a);
    return e->code ? e->code : stop;
}

int samples_take(samples *s, samples_each *each, void *arg, tn_error *e)
{
    int stop = e->code;
    int32_t *out = calloc((size_t)s->o->sample_tokens, sizeof *out);
    if (!out && !stop)
        stop = tn_fail(e, TN_ENOMEM, "samples: out of memory");
    for (int64_t i = 0; i < s->prompts.count && !stop; i++)
        stop = take(s, &s->prompts.all[i], out, each, arg, e);
    free(out);
    return e->code;
}

void samples_close(samples *s)
{
    prompts_free(&s->prompts);
    ask_end(&s->how);
    *s = (samples){ 0 };
}
