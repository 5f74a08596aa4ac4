/* train.c - tenon train. */
#include "apps/run/config_used.h"
#include "apps/run/output.h"
#include "apps/run/progress.h"
#include "apps/run/resume.h"
#include "apps/run/show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEEP = 3, PROBES = 2 }; /* checkpoints kept; steps of a dry run */

typedef struct job {
    setup s;
    run r;
    progress p;
    const options *o;
    int folder;    /* the output folder, taken; -1: not */
    int64_t saved; /* step of the newest checkpoint; -1: none */
    tn_text facts; /* of the data and weights, for config.used */
    tn_error *e;
} job;

static int check_options(const options *o, tn_error *e)
{
    if (!o->model)
        return tn_fail(e, APP_USAGE, "--model is missing; expected a model folder");
    if (!o->data)
        return tn_fail(e, APP_USAGE,
                       "--data is missing; expected a .txt, a .jsonl, a folder or task:NAME");
    if (!o->output_dir && !o->dry_run)
        return tn_fail(e, APP_USAGE, "--output-dir is missing; expected a folder for the result");
    if (o->auto_resume && o->overwrite)
        return tn_fail(e, APP_USAGE, "--auto-resume and --overwrite: use only one");
    if (!o->dry_run)
        output_check(o, e);
    return e->code;
}

/* What the run was told, for its folder. */
static int write_used(job *j)
{
    tn_text told = { 0 };
    config_text(&j->r, &j->facts, &told);
    return tn_text_save(&told, j->o->output_dir, "config.used", j->e);
}

/* A resume, which may have been told to take more steps, says so once it left something of its own:
   before, config.used belongs to the checkpoint that is there. */
static int save_checkpoint(job *j)
{
    const int64_t step = j->r.state.step;
    if (j->saved == step || j->e->code ||
        tn_checkpoint_save(j->o->output_dir, j->s.model->params, j->r.optim, &j->r.state, KEEP,
                           j->e))
        return j->e->code;
    j->saved = step;
    return j->o->resume ? write_used(j) : 0;
}

/* After each step and evaluation: report, save when it is time, stop when asked to. */
static int on_event(void *arg, run *r, const run_event *event)
{
    job *j = arg;
    progress_event(&j->p, r, event, j->e);
    if (!event->evaluated && r->state.step % r->o->save_every == 0)
        save_checkpoint(j);
    return j->e->code || signals_stop();
}

/* Makes the folder, or continues what is there. */
static int begin(job *j)
{
    config_facts(&j->r, &j->facts);
    j->r.state.options_hash = config_hash(&j->r, &j->facts, j->e);
    j->folder = output_take(j->o, j->e);
    if (!j->o->resume && !j->e->code)
        write_used(j);
    else if (!j->e->code && !resume_load(&j->r, &j->facts, j->e))
        j->saved = j->r.state.step;
    return j->e->code;
}

static int train(job *j)
{
    char path[4096];
    tn_error *e = j->e;
    if (snprintf(path, sizeof path, "%s/log.jsonl", j->o->output_dir) >= (int)sizeof path)
        return tn_fail(e, APP_USAGE, "--output-dir: a path too long");
    begin(j);
    const progress_mode mode = progress_mode_of(j->o);
    const bool talks = mode == PROGRESS_LINES || mode == PROGRESS_BAR;
    if (!e->code && talks)
        progress_block(&j->r);
    signals_catch();
    progress_open(&j->p, &j->r, path, j->o->resume, e);
    const int stopped = e->code ? 0 : run_go(&j->r, on_event, j, e);
    progress_close(&j->p);
    save_checkpoint(j);
    if (e->code) {
        const size_t n = strlen(e->text);
        if (j->saved >= 0)
            snprintf(e->text + n, sizeof e->text - n, "; the newest checkpoint is after step %lld",
                     (long long)j->saved);
        return 1;
    }
    if (stopped && j->r.state.step < j->r.steps) {
        if (talks)
            printf("stopped and saved after step %lld\n", (long long)j->r.state.step);
        if (talks)
            print_resume(j->o, e);
        return 130;
    }
    if (!output_save(&j->s, j->o, e) && talks)
        printf("saved %s\n", j->o->output_dir);
    return 0;
}

/* Two steps whose result is thrown away, for memory and time. */
static int probe(job *j)
{
    char a[SHOWN], b[SHOWN], c[SHOWN];
    run_event event;
    int64_t tokens = 0, steps = 0;
    progress_block(&j->r);
    const double start = now_seconds();
    for (; steps < PROBES && steps < j->r.steps && !run_step(&j->r, &event, j->e); steps++)
        tokens += event.tokens;
    const double seconds = (now_seconds() - start) / (double)(steps ? steps : 1);
    if (j->e->code)
        return 1;
    printf("measured   activations and gradients %s, process %s, %s tokens a step\n",
           show_bytes((double)tn_tape_memory(j->s.tape), a), show_bytes(memory_peak(), b),
           show_count(tokens / steps, c));
    printf("time       %s a step, %s in all, evaluations aside; nothing was written\n",
           show_time(seconds, a), show_time(seconds * (double)j->r.steps, b));
    return 0;
}

/* The same options, --auto-resume as --resume where there is a checkpoint. */
static options with_resume(const options *o, tn_error *e)
{
    options out = *o;
    if (o->auto_resume && o->output_dir && tn_checkpoint_newest(o->output_dir, 0, e) >= 0)
        out.resume = true;
    return out;
}

int command_train(const options *told, tn_error *e)
{
    const options asked = with_resume(told, e), *o = &asked;
    job j = { .o = o, .e = e, .folder = -1, .saved = -1 };
    int status = 1;
    if (check_options(o, e))
        return status;
    setup_model(&j.s, o, (uint64_t)o->seed, e);
    setup_data(&j.s, o, PART_TRAIN, e);
    setup_data(&j.s, o, PART_VALID, e);
    setup_train(&j.s, o, e);
    run_open(&j.r, &j.s, o,
             &(recipe){ .optimizer = o->optimizer, .lr = o->learning_rate, .set = o->opt }, e);
    if (!e->code)
        status = o->dry_run ? probe(&j) : train(&j);
    tn_text_free(&j.facts);
    run_close(&j.r);
    setup_close(&j.s);
    if (j.folder >= 0)
        close(j.folder);
    return status;
}
