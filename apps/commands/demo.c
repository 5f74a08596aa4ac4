/* demo.c - tenon demo: the bundled model learns a task under several optimizers.
   All start from the same LoRA factors and see the same batches. Each result is scored on records
   that it never saw. Then it shows the invariance: other factors (10 A, B / 10) are the same
   function at the start. LoRA-RITE trains them as if nothing had changed; Adam does not. */
#include "apps/chart/curves.h"
#include "apps/folder/output.h"
#include "apps/report/columns.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"
#include "apps/run/signals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 200, RESCALED_STEPS = 40, SHOWN_PROMPTS = 2, FACTOR = 10 };

#define GRID "data/bundled/compare/table.csv"
#define FOLDER "build/demo"

/* One run. */
typedef struct leg {
    const char *optimizer;
    const char *const *set; /* its settings, ended by NULL */
    double lr;
    bool rescaled; /* starts from (10 A, B / 10), and stops after RESCALED_STEPS */
    double x[STEPS + 1], loss[STEPS + 1]; /* training loss after each step */
    double vx[STEPS], valid[STEPS];       /* validation loss */
    int64_t n, nv;
    double seconds;     /* per step */
    tn_eval last, test; /* of the trained model: on validation and on test records */
    size_t state;
    uint64_t start, batches; /* hashes of the weights and of the batches */
    char answer[SHOWN_PROMPTS][TN_TASK_TEXT];
} leg;

static const struct contender {
    const char *optimizer, *set[2];
} contenders[] = {
    { "sgd", { "momentum=0.9" } }, { "adam", { 0 } },      { "adamw", { 0 } },
    { "scaled-adam", { 0 } },      { "lora-rite", { 0 } },
};
enum { CONTENDERS = sizeof contenders / sizeof *contenders };

/* The rate that the committed grid chose for this optimizer on validation data. */
static double chosen_rate(const char *optimizer, const char *grid)
{
    size_t n = strlen(optimizer);
    double lr = NAN;
    for (const char *line = grid; line; line = (line = strchr(line, '\n')) ? line + 1 : NULL) {
        double rate;
        int chosen;
        if (!strncmp(line, optimizer, n) && sscanf(line + n, ",%lf,%*d,%d", &rate, &chosen) == 2 &&
            chosen)
            lr = rate;
    }
    return lr;
}

static int choose_rates(leg *legs, tn_error *e)
{
    size_t size;
    if (tn_path_is(GRID, NULL, e) == TN_ABSENT)
        return tn_fail(e, TN_EIO,
                       GRID ": cannot open; expected to run in the folder of tenon's source");
    char *grid = tn_file_read(GRID, 1 << 20, &size, e);
    for (int i = 0; i < CONTENDERS && grid; i++) {
        legs[i] = (leg){ .optimizer = contenders[i].optimizer, .set = contenders[i].set };
        legs[i].lr = chosen_rate(legs[i].optimizer, grid);
        if (isnan(legs[i].lr))
            tn_fail(e, TN_EFORMAT, GRID ": no chosen rate of %s", legs[i].optimizer);
    }
    free(grid);
    return e->code;
}

/* The options of `tenon train` for these runs: a run can be repeated from the command line. */
static int demo_options(options *o, const options *asked, tn_error *e)
{
    /* clang-format off */
    static const char *const line[] = {
        "tenon", "train", "--model=data/bundled/base", "--data=task:restaurant",
        "--output-dir=" FOLDER, "--target-modules=all-linear", "--lora-rank=8", "--lora-alpha=16",
        "--batch-size=8", "--lr-scheduler=linear", "--warmup-steps=10", "--steps-per-eval=25",
        "--val-batches=16", "--seed=3", NULL
    };
    /* clang-format on */
    int n = 0;
    while (line[n])
        n++;
    int code = options_parse(o, command_find("train"), n, (char **)(uintptr_t)line, e);
    o->iters = STEPS;
    o->threads = asked->threads;
    return code;
}

/* Writes the same function with other factors: A becomes 10 A and B becomes B / 10. */
static void rescale(tn_params *p)
{
    for (int64_t i = 0; i < tn_params_count(p); i++) {
        tn_param *q = tn_params_at(p, i);
        bool a = q->lora_scale != 0 && strstr(q->name, ".lora_A.") != NULL;
        tn_real c = (tn_real)(a ? FACTOR : 1.0 / FACTOR);
        for (int64_t k = 0; q->lora_scale != 0 && k < tn_tensor_count(q->w); k++)
            q->w->x[k] *= c;
    }
}

/* Did a signal ask to stop, or is standard output closed? */
static bool stopped(void)
{
    return signals_stop() || ferror(stdout);
}

static int note(void *arg, run *r, const run_event *event)
{
    leg *l = arg;
    (void)r;
    if (event->evaluated) {
        l->vx[l->nv] = (double)event->step;
        l->valid[l->nv++] = event->valid.loss;
    } else {
        l->x[l->n] = (double)event->step;
        l->loss[l->n++] = event->loss;
    }
    return stopped() || (l->rescaled && l->n >= RESCALED_STEPS);
}

/* The model's answers to the first prompts of the test split. */
static int answer_prompts(const setup *s, char answer[SHOWN_PROMPTS][TN_TASK_TEXT], tn_error *e)
{
    for (uint64_t i = 0; i < SHOWN_PROMPTS && !e->code; i++) {
        tn_record r;
        int32_t *ids = NULL, made[TN_TASK_TEXT];
        int64_t n = 0, room = 0, count = 0;
        tn_task_record(s->task, s->seed, "test", i, &r);
        tn_encode(s->tokenizer, r.prompt, strlen(r.prompt), &ids, &n, &room, NULL, e);
        const int32_t end = tn_tokenizer_end(s->tokenizer);
        tn_sampling greedy = { .max_tokens = s->model->positions - n, .end = &end };
        if (!e->code)
            tn_generate(s->model, 1, (const int32_t *const[]){ ids }, &n, &greedy,
                        (int32_t *const[]){ made }, &count, NULL, NULL, e);
        tn_text out = { 0 };
        tn_decode(s->tokenizer, made, count, &out);
        const char *text = tn_text_done(&out, "an answer", e);
        snprintf(answer[i], TN_TASK_TEXT, "%s", text ? text : "");
        tn_text_free(&out);
        free(ids);
    }
    return e->code;
}

/* Trains and scores; optimizer NULL: only scores the base. Returns other than 0 after an error, or
   if a signal asked to stop. */
static int run_leg(leg *l, const options *o, tn_error *e)
{
    setup s = { 0 };
    run r = { 0 };
    setup_model(&s, o, (uint64_t)o->seed, e);
    setup_both(&s, o, e);
    setup_data(&s, o, PART_TEST, e);
    if (l->optimizer) {
        setup_train(&s, o, e);
        if (!e->code && l->rescaled)
            rescale(s.model->params);
        run_open(&r, &s, o, &(recipe){ .optimizer = l->optimizer, .lr = l->lr, .set = l->set }, e);
    }
    if (!e->code && l->optimizer) {
        l->start = tn_params_hash(s.model->params, false);
        l->batches = tn_loader_hash(r.loader, r.steps);
        l->state = tn_optim_state_bytes(r.optim);
        run_go(&r, note, l, e);
        l->seconds = r.seconds / (double)l->n;
    }
    if (!e->code && !stopped() && !l->rescaled) {
        evaluate_part(&s, o, PART_VALID, valid_rows(o), &l->last, e);
        evaluate_part(&s, o, PART_TEST, 0, &l->test, e);
        answer_prompts(&s, l->answer, e);
    }
    run_close(&r);
    setup_close(&s);
    return e->code || stopped();
}

/* Columns of the table of the runs. */
enum { NAME = 12, LOSS = 11, EXACT = 8, RATE = 8, SECONDS = 9, STATE = 10, HASH = 18 };

static lines heads(void)
{
    lines l = lines_begin();
    l.indent = NAME;
    lines_cell(&l, NAME, "optimizer");
    lines_cell(&l, LOSS, " %10s", "valid loss");
    lines_cell(&l, LOSS, " %10s", "test loss");
    lines_cell(&l, EXACT, " %7s", "exact");
    lines_cell(&l, RATE, " %7s", "rate");
    lines_cell(&l, SECONDS, " %8s", "s/step");
    lines_cell(&l, STATE, " %9s", "state");
    lines_cell(&l, HASH, "  start");
    lines_cell(&l, HASH, " batches");
    lines_add(&l, "\n");
    return l;
}

static void print_row(lines *t, const leg *l)
{
    char state[SHOWN];
    lines_cell(t, NAME, "%s", l->optimizer ? l->optimizer : "(base)");
    lines_cell(t, LOSS, " %10.4f", l->last.loss);
    lines_cell(t, LOSS, " %10.4f", l->test.loss);
    lines_cell(t, EXACT, " %5.1f %%", 100.0 * (double)l->test.exact / (double)l->test.rows);
    if (l->optimizer) {
        lines_cell(t, RATE, " %7g", l->lr);
        lines_cell(t, SECONDS, " %8.3f", l->seconds);
        lines_cell(t, STATE, " %9s", show_bytes((double)l->state, state));
        lines_cell(t, HASH, "  %016llx", (unsigned long long)l->start);
        lines_cell(t, HASH, " %016llx", (unsigned long long)l->batches);
    }
    lines_add(t, "\n");
}

/* The largest difference between the training losses of the two runs. */
static double largest_difference(const leg *a, const leg *b)
{
    double most = 0;
    for (int64_t i = 0; i < a->n && i < b->n; i++)
        most = fmax(most, fabs(a->loss[i] - b->loss[i]));
    return most;
}

static int draw(leg *const legs[], const leg *adam, const leg *rite, output *to, tn_error *e)
{
    curve learning[CONTENDERS], other[4];
    for (int i = 0; i < CONTENDERS; i++)
        learning[i] = (curve){ legs[i]->optimizer, legs[i]->vx, legs[i]->valid, legs[i]->nv };
    const leg *plain[2] = { legs[1], legs[4] }, *scaled[2] = { adam, rite };
    const char *names[] = { "adam", "adam, x 10", "lora-rite", "lora-rite, x 10" };
    for (int i = 0; i < 4; i++) {
        const leg *l = i % 2 ? scaled[i / 2] : plain[i / 2];
        other[i] = (curve){ names[i], l->x, l->loss, RESCALED_STEPS };
    }
    chart charts[] = { { .title = "validation loss",
                         .x = "step",
                         .y = "nats per token",
                         .curves = learning,
                         .count = CONTENDERS,
                         .log_y = true },
                       { .title = "training loss; x 10: from 10 A, B/10",
                         .x = "step",
                         .y = "nats per token",
                         .curves = other,
                         .count = 4,
                         .log_y = true,
                         .twins = true } };
    tn_text text = { 0 }, svg = { 0 };
    for (int i = 0; i < 2; i++) {
        charts[i].columns = (int)columns_to_fit();
        curves_text(&charts[i], curves_style_asked(STDOUT_FILENO, to->o->color), &text);
    }
    curves_svg(charts, 2, &svg);
    tn_text_add(&text, "\n");
    show("\n");
    show_text(&text, "the curves", e);
    output_begin(to, 1, (double)svg.n, e);
    if (e->code)
        tn_text_free(&svg);
    else
        tn_text_save(&svg, to->work, "report.svg", e);
    if (!output_place(to, e))
        lines_show("curves: " FOLDER "/report.svg\n");
    return e->code;
}

static void print_answers(const leg *base, const leg *best, const options *o)
{
    for (uint64_t i = 0; i < SHOWN_PROMPTS; i++) {
        tn_record r;
        tn_task_record(tn_task_find("restaurant"), (uint64_t)o->seed, "test", i, &r);
        lines_show("\n  prompt       %s\n  wanted      %s\n  base        %s\n  %-12s%s\n", r.prompt,
                   r.completion, base->answer[i], best->optimizer, best->answer[i]);
    }
}

/* Makes all runs in order. legs has CONTENDERS + 3 elements: base, contenders, the two rescaled. */
static int run_all(leg *legs, const options *o, output *to, tn_error *e)
{
    lines_show(
        "rates: chosen by `tenon compare` on validation data, " GRID "\n"
        "       (data/bundled/README.md has the command)\n"
        "start, batches: hashes of the first weights and of what they learn from; the same in "
        "every row\n\n");
    lines t = heads();
    leg *best = &legs[1];
    for (leg *l = legs; l <= legs + CONTENDERS; l++) {
        if (run_leg(l, o, e))
            return e->code;
        print_row(&t, l);
        if (l->optimizer && l->last.loss < best->last.loss)
            best = l; /* by validation loss: test records must not choose */
    }
    leg *adam = &legs[1 + CONTENDERS], *rite = adam + 1;
    *adam = (leg){ .optimizer = "adam", .lr = legs[2].lr, .rescaled = true };
    *rite = (leg){ .optimizer = "lora-rite", .lr = legs[5].lr, .rescaled = true };
    print_answers(&legs[0], best, o);
    if (run_leg(adam, o, e) || run_leg(rite, o, e))
        return e->code;
    draw((leg *const[]){ &legs[1], &legs[2], &legs[3], &legs[4], &legs[5] }, adam, rite, to, e);
    double apart_adam = largest_difference(&legs[2], adam);
    double apart_rite = largest_difference(&legs[5], rite);
    lines_show("the same start written as 10 A, B/10: largest difference of the training loss\n"
               "  adam %.3g, lora-rite %.3g (%.0f times smaller)\n",
               apart_adam, apart_rite, apart_adam / apart_rite);
    return e->code;
}

int command_demo(const options *asked, tn_error *e)
{
    options o;
    output to;
    leg *legs = calloc(CONTENDERS + 3, sizeof *legs);
    signals_catch();
    output_open(&to, &output_demo, FOLDER, asked, false, e);
    if (!legs)
        tn_fail(e, TN_ENOMEM, "the demo: out of memory");
    else if (!e->code && !demo_options(&o, asked, e) && !choose_rates(legs + 1, e))
        run_all(legs, &o, &to, e);
    output_close(&to);
    free(legs);
    return signals_stop() ? 130 : 0;
}
