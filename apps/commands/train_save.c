/* train_save.c - writes the checkpoints of a training run, its config.used and its result. */
#include "apps/commands/train.h"
#include "apps/run/best.h"
#include "apps/run/config_used.h"
#include "apps/report/lines.h"
#include "apps/report/history.h"
#include "apps/report/show.h"
#include "optim/run/folders.h"

#include <string.h>

/* Writes config.used. */
int train_write_used(train_job *j)
{
    tn_text used = { 0 };
    config_text(&j->r, &j->facts, &used);
    tn_text_join(&used, &j->plans);
    j->written = !tn_text_save(&used, j->out.work, "config.used", j->e);
    return j->e->code;
}

/* Writes OUT/best if it names another checkpoint. A kill before output_place leaves the older line
   and the checkpoint that it names. */
static int name_best(train_job *j)
{
    const int64_t best = j->r.state.best_step;
    if (j->e->code || !j->o->save_best || best < 1 || best == j->named ||
        !best_is_there(&j->out, best))
        return j->e->code;
    if (!j->out.waits)
        output_stage(&j->out, j->e);
    if (!j->e->code && !best_name(&j->out, best, j->e))
        j->named = best;
    return j->e->code;
}

/* A run that replaces another takes its place with the first checkpoint. A resume may have more
   steps, so it also writes its config.used then. Before, that belongs to the old checkpoint. */
int train_save_checkpoint(train_job *j)
{
    const int64_t step = j->r.state.step;
    if (output_here(&j->out, j->e))
        return j->e->code;
    if (j->saved != step) {
        if (tn_checkpoint_save(j->out.folder, j->s.model->params, j->r.optim, &j->r.state,
                               (int)j->o->keep, j->e))
            return j->e->code;
        j->saved = step;
        if (!j->written && !output_stage(&j->out, j->e))
            train_write_used(j);
    }
    name_best(j);
    if (!output_place(&j->out, j->e) && j->named == step) /* the best before may go now */
        tn_checkpoint_prune(j->out.at, &j->r.state, (int)j->o->keep);
    return j->e->code;
}

static tn_file_type save_type(const options *o)
{
    return !strcmp(o->save_dtype, "bf16")  ? TN_FILE_BF16
           : !strcmp(o->save_dtype, "f16") ? TN_FILE_F16
                                           : TN_FILE_F32;
}

/* The bytes of the result and one checkpoint are at most so many. Adapters of column blocks
   (c_attn.q) take up to three times their numbers. */
double train_disk_bytes(const train_job *j)
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

/* Writes the table of --profile, if it was asked for and a step was made. */
static bool has_profile(train_job *j, tn_text *table)
{
    if (j->r.profile.steps)
        profile_text(&j->r.profile, tn_context_threads(j->s.context), table);
    return j->r.profile.steps > 0;
}

void train_show_profile(train_job *j)
{
    tn_text table = { 0 };
    if (has_profile(j, &table))
        show_text(&table, "the profile", j->e);
    else if (j->o->profile)
        lines_show("profile    none: no step was left to take\n");
}

static void save_profile(train_job *j)
{
    tn_text table = { 0 };
    if (has_profile(j, &table))
        tn_text_save(&table, j->out.work, "profile.txt", j->e);
}

int train_save_picture(train_job *j)
{
    tn_text svg = { 0 };
    history h = { 0 };
    if (output_here(&j->out, j->e))
        return j->e->code;
    if (!history_read(&h, j->out.folder, j->e)) {
        history_svg(&h, 1, (history_look){ .smooth = NOT_SET }, &svg);
        if (!j->out.waits)
            output_stage(&j->out, j->e);
        if (!j->e->code)
            tn_text_save(&svg, j->out.work, "loss.svg", j->e);
    }
    tn_text_free(&svg);
    history_free(&h);
    return output_place(&j->out, j->e);
}

int train_save_result(train_job *j)
{
    const setup *s = &j->s;
    tn_error *e = j->e;
    if (output_stage(&j->out, e))
        return e->code;
    if (!j->written) /* no step was left, but other options may shape the result */
        train_write_used(j);
    if (j->o->load_best && j->r.state.best_step > 0)
        best_load(&j->r, j->out.folder, e);
    if (e->code)
        return e->code;
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
