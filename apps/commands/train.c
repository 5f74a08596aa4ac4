/* train.c - tenon train: one run with its folder, its checkpoints and its result. */
#include "apps/run/config_used.h"
#include "apps/run/drawing.h"
#include "apps/run/output.h"
#include "apps/run/progress.h"
#include "apps/run/resume.h"
#include "apps/run/show.h"
#include "apps/run/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEEP = 3, PROBES = 2 }; /* checkpoints kept; steps of a dry run */

typedef struct job {
    setup s;
    run r;
    progress p;
    drawing d;
    const options *o;
    output out;
    int64_t saved; /* step of the newest checkpoint; -1: none */
    bool written;  /* config.used was written by this process */
    tn_text facts; /* of the data and weights, for config.used */
    tn_text plans; /* lines about other numbers of steps before a resume, likewise */
    tn_error *e;
} job;

/* Writes config.used. */
static int write_used(job *j)
{
    tn_text used = { 0 };
    config_text(&j->r, &j->facts, &used);
    tn_text_join(&used, &j->plans);
    j->written = !tn_text_save(&used, j->out.work, "config.used", j->e);
    return j->e->code;
}

/* A run that replaces another takes its place with the first checkpoint. A resume may have more
   steps, so it also writes its config.used then. Before, that belongs to the old checkpoint. */
static int save_checkpoint(job *j)
{
    const int64_t step = j->r.state.step;
    if (j->saved == step || output_here(&j->out, j->e) ||
        tn_checkpoint_save(j->out.folder, j->s.model->params, j->r.optim, &j->r.state, KEEP, j->e))
        return j->e->code;
    j->saved = step;
    if (!j->written && !output_stage(&j->out, j->e))
        write_used(j);
    return output_place(&j->out, j->e);
}

/* Answers a signal between two steps: saves a checkpoint, or prints the state of the run. */
static void serve_signals(job *j)
{
    for (signals_request asked; (asked = signals_next()) != SIGNALS_NONE;)
        if (asked == SIGNALS_SAVE)
            save_checkpoint(j);
        else
            progress_status(&j->p, &j->r, j->saved);
}

/* After each step and evaluation: reports, saves when it is time, stops when a signal asks. */
static int on_event(void *arg, run *r, const run_event *event)
{
    job *j = arg;
    progress_event(&j->p, r, event, j->e);
    if (!event->evaluated)
        drawing_write(&j->d, j->e);
    if (!event->evaluated && r->state.step % r->o->save_every == 0)
        save_checkpoint(j);
    if (!event->evaluated)
        serve_signals(j);
    return j->e->code || signals_stop();
}

static tn_file_type save_type(const options *o)
{
    return !strcmp(o->save_dtype, "bf16")  ? TN_FILE_BF16
           : !strcmp(o->save_dtype, "f16") ? TN_FILE_F16
                                           : TN_FILE_F32;
}

/* The bytes of the result and one checkpoint are at most so many. Adapters of column blocks
   (c_attn.q) take up to three times their numbers. */
static double disk_bytes(const job *j)
{
    enum { SMALL = 1 << 16, FUSED = 3 }; /* configs, headers, the log's first lines */
    const tn_params *p = j->s.model->params;
    const double trained = (double)tn_params_trained(p);
    const double size = save_type(j->o) == TN_FILE_F32 ? 4 : 2;
    double result = j->s.full ? 0 : FUSED * trained;
    for (int64_t i = 0; i < tn_params_count(p) && j->s.full; i++)
        result += (double)tn_tensor_count(tn_params_at(p, i)->w);
    return size * result + trained * sizeof(tn_real) + (double)tn_optim_state_bytes(j->r.optim) +
           SMALL;
}

/* Makes the folder, or continues the run in it. If nothing is replaced, the log is
   visible at once. */
static int begin(job *j, FILE **log)
{
    tn_error *e = j->e;
    config_facts(&j->r, &j->facts);
    j->r.state.options_hash = config_hash(&j->r, &j->facts, e);
    output_begin(&j->out, j->r.state.options_hash, disk_bytes(j), e);
    j->r.state.run = j->out.run;
    j->r.state.before = j->out.before;
    if (!j->o->resume && !e->code)
        write_used(j);
    else if (!e->code && !resume_load(&j->r, &j->facts, &j->plans, e))
        j->saved = j->r.state.step;
    j->r.state.tokenizer = j->s.lends_tokenizer ? j->s.tokenizer : NULL;
    *log = output_lines(&j->out, "log.jsonl", -1, e);
    return j->out.before ? e->code : output_place(&j->out, e);
}

/* Writes the table of --profile, if it was asked for and a step was made. */
static bool has_profile(job *j, tn_text *table)
{
    if (j->r.profile.steps)
        profile_text(&j->r.profile, tn_context_threads(j->s.context), table);
    return j->r.profile.steps > 0;
}

static void show_profile(job *j)
{
    tn_text table = { 0 };
    if (has_profile(j, &table))
        show_text(&table, "the profile", j->e);
    else if (j->o->profile)
        show("profile    none: no step was left to take\n");
}

static void save_profile(job *j)
{
    tn_text table = { 0 };
    if (has_profile(j, &table))
        tn_text_save(&table, j->out.work, "profile.txt", j->e);
}

/* Saves the trained adapter, or the model with its tokenizer: all of it, or nothing. */
static int save_result(job *j)
{
    const setup *s = &j->s;
    tn_error *e = j->e;
    if (output_stage(&j->out, e))
        return e->code;
    if (!j->written) /* no step was left, but other options may shape the result */
        write_used(j);
    if (s->full || s->lends_tokenizer)
        tn_tokenizer_save(s->tokenizer, j->out.work, e);
    if (!e->code && s->full)
        tn_model_save(s->model, j->out.work, save_type(j->o), e);
    if (!e->code && !s->full)
        tn_adapter_save(s->model, j->out.work, save_type(j->o), e);
    if (!e->code)
        save_profile(j);
    return output_place(&j->out, e);
}

static int train(job *j)
{
    tn_error *e = j->e;
    FILE *log = NULL;
    char *path = tn_path_join(j->out.folder, "log.jsonl");
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", j->out.folder);
    begin(j, &log);
    const progress_mode mode = progress_mode_of(j->o);
    const bool talks = mode == PROGRESS_LINES || mode == PROGRESS_BAR;
    if (!e->code && talks)
        progress_block(&j->r);
    signals_catch();
    progress_open(&j->p, &j->r, log, path, e);
    const int stopped = e->code ? 0 : run_go(&j->r, on_event, j, e);
    progress_close(&j->p);
    free(path);
    save_checkpoint(j);
    if (e->code) {
        if (j->saved >= 0)
            tn_error_add(e, "; the newest checkpoint is after step %lld", (long long)j->saved);
        return 1;
    }
    if (talks)
        show_profile(j);
    if (stopped && j->r.state.step < j->r.steps) {
        if (talks)
            show("stopped and saved after step %lld\n", (long long)j->r.state.step);
        if (talks)
            print_resume(j->o, e);
        return 130;
    }
    if (!save_result(j) && talks)
        show("saved %s\n", j->o->output_dir);
    return 0;
}

/* Measures memory and time of two steps, whose result is not kept. */
static int probe(job *j)
{
    char a[SHOWN], b[SHOWN], c[SHOWN];
    run_event event;
    int64_t tokens = 0, steps = 0;
    progress_block(&j->r);
    const double start = now_seconds();
    for (; steps < PROBES && steps < j->r.steps && !run_step(&j->r, &event, j->e); steps++)
        tokens += event.tokens;
    drawing_write(&j->d, j->e);
    const double seconds = (now_seconds() - start) / (double)(steps ? steps : 1);
    if (j->e->code)
        return 1;
    show("measured   activations and gradients %s, process %s, %s tokens per step\n",
         show_bytes((double)tn_tape_memory(j->s.tape), a), show_bytes(memory_peak(), b),
         show_count(tokens / steps, c));
    show("time       %s per step, %s in all without evaluations; %s\n", show_time(seconds, a),
         show_time(seconds * (double)j->r.steps, b),
         j->o->dump_graph ? "only the picture was written" : "nothing was written");
    show_profile(j);
    return 0;
}

/* The same options, with --auto-resume replaced by --resume if there is a checkpoint. */
static options with_resume(const options *o, tn_error *e)
{
    options out = *o;
    if (o->auto_resume && o->output_dir && tn_checkpoint_newest(o->output_dir, 0, e) >= 0)
        out.resume = true;
    return out;
}

int command_train(const options *given, tn_error *e)
{
    const options asked = with_resume(given, e), *o = &asked;
    job j = { .o = o, .e = e, .out = { .at = -1, .work_at = -1 }, .saved = -1 };
    int status = 1;
    if (!o->dry_run)
        output_open(&j.out, &output_train, o->output_dir, o, o->resume, e);
    setup_model(&j.s, o, (uint64_t)o->seed, e);
    setup_data(&j.s, o, PART_TRAIN, e);
    setup_data(&j.s, o, PART_VALID, e);
    setup_train(&j.s, o, e);
    run_open(&j.r, &j.s, o,
             &(recipe){ .optimizer = o->optimizer, .lr = o->learning_rate, .set = o->opt }, e);
    if (o->dump_graph && given->resume)
        tn_fail(e, APP_USAGE,
                "--dump-graph and --resume: use only one; a new run draws its first step");
    if (o->dump_graph && !o->resume) /* --auto-resume draws when it begins */
        drawing_open(&j.d, o->dump_graph, j.s.model ? j.s.model->params : NULL, e);
    j.r.graph = j.d.graph;
    if (!e->code)
        status = o->dry_run ? probe(&j) : train(&j);
    tn_text_free(&j.facts);
    tn_text_free(&j.plans);
    drawing_close(&j.d);
    run_close(&j.r);
    setup_close(&j.s);
    output_close(&j.out);
    return status;
}
