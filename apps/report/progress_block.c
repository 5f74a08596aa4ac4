/* progress_block.c - the facts that a run prints before its first step. */
#include "apps/report/progress.h"
#include "apps/report/lines.h"
#include "apps/run/defaults.h"
#include "apps/run/ending.h"
#include "apps/run/preference.h"
#include "apps/report/show.h"
#include "apps/run/team.h"
#include "apps/report/show_data.h"
#include "nn/family.h"

static void model_line(lines *l, const setup *s, const options *o)
{
    const tn_model *m = s->model;
    const int64_t base = tn_params_size(m->params) - (s->full ? 0 : tn_params_trained(m->params));
    char count[SHOWN];
    lines_add(l, "model      %s  %s  %lld layer%s  %lld wide  %lld head%s  %s parameters%s\n",
              o->model, m->family->type, (long long)m->layers, show_s(m->layers),
              (long long)m->width, (long long)m->heads, show_s(m->heads), show_count(base, count),
              m->tied ? "  (tied embedding)" : "");
    char types[NEED_SHOWN];
    if (s->random)
        lines_add(l, "weights    random\n");
    else if (need_types(m->params, types))
        lines_add(l, "weights    frozen: %s\n", types);
    char first[SHOWN];
    lines_add(l, "tokens     %s, vocabulary %lld, rows of at most %lld%s\n",
              tn_tokenizer_kind(s->tokenizer), (long long)tn_tokenizer_size(s->tokenizer),
              (long long)setup_length(s, o), show_first(s->tokenizer, first));
}

static void trained_line(lines *l, const setup *s, const options *o)
{
    const tn_params *p = s->model->params;
    const tn_lora_options *lora = s->model->lora;
    const double share =
        100.0 * (double)tn_params_trained(p) / (double)tn_params_size(p); /* PEFT's */
    char count[SHOWN];
    show_count(tn_params_trained(p), count);
    if (s->full)
        lines_add(l, "training   all weights, %s numbers", count);
    else
        lines_add(l, "adapter    %s r=%lld alpha=%g on %s, %s trainable (%.3f %%)",
                  lora->dora ? "DoRA" : "LoRA", (long long)lora->rank, lora->alpha, lora->targets,
                  count, share);
    if (lora && lora->last_blocks)
        lines_add(l, ", last %lld blocks", (long long)lora->last_blocks);
    if (lora && lora->rslora)
        lines_add(l, ", rsLoRA");
    if (lora && lora->init)
        lines_add(l, ", %s start", lora->init);
    if (o->adapter_path)
        lines_add(l, ", continues %s", o->adapter_path);
    if (lora && lora->dropout > 0)
        lines_add(l, ", dropout %g before it", lora->dropout);
    lines_add(l, ", dropout %g%s\n", o->dropout,
              o->dropout > 0 ? "" : " in the model (a config's own is ignored)");
}

/* Why a file that could be divided keeps no records for validation. */
static void no_data(lines *l, const setup *s, const options *o, part which, const char *name)
{
    const tn_data_facts f = tn_dataset_facts(s->data[PART_TRAIN]);
    const bool given = o->given[OPT_valid_split];
    const double n = (double)f.records;
    if (which != PART_VALID || !data_is_divided(o) || f.text || (given && o->valid_split == 0))
        return;
    if (!given && n < 40)
        lines_add(l, "%-10s none: fewer than 40 records (--valid-split 0.2 keeps some)\n", name);
    else if (given && o->valid_split * n < 0.5)
        lines_add(
            l,
            "%-10s none: --valid-split %g of %.0f record%s is less than half a record (%.2g keeps "
            "one)\n",
            name, o->valid_split, n, show_s(f.records), 1 / n);
    else
        lines_add(l,
                  "%-10s none: equal %s are kept together, and there are too few different ones\n",
                  name, f.pairs ? "prompts" : "records");
}

static void data_line(lines *l, const setup *s, const options *o, part which, const char *name,
                      tn_error *e)
{
    if (!s->data[which]) {
        no_data(l, s, o, which, name);
        return;
    }
    const tn_data_facts f = tn_dataset_facts(s->data[which]);
    char data[DATA_NAME];
    lines_add(l, "%-10s %s  ", name, data_name(o, data));
    show_data(l, s->data[which], o, setup_length(s, o), which == PART_TRAIN, e);
    if (which == PART_VALID && data_is_divided(o) && !f.text && !o->data[1])
        lines_add(
            l,
            "           kept apart by a hash of their %s, not trained on (--valid-split 0: none)\n",
            f.pairs ? "prompts" : "texts");
}

/* What a model cannot learn of how an answer ends, and what helps. */
static void ending_line(lines *l, const setup *s, tn_data_facts f, tn_error *e)
{
    int64_t other;
    const ending how = f.text || f.chats == f.records ? ENDING_LEARNT : ending_of(s, &other, e);
    if (how == ENDING_NONE)
        lines_add(
            l, "           the tokenizer has no end token: the model does not learn where an "
               "answer ends (end each completion with a text, and give it to generate --stop)\n");
    if (how == ENDING_LIKE_OTHERS)
        lines_add(
            l,
            "           the end token %d has the weights of token %lld in the frozen head: the "
            "model cannot learn where an answer ends (with --target-modules all-linear,lm_head it can)\n",
            tn_tokenizer_end(s->tokenizer), (long long)other);
}

/* What counts in the loss of records. */
static void learnt_lines(lines *l, const setup *s, const options *o, tn_error *e)
{
    const tn_data_facts f = tn_dataset_facts(s->data[PART_TRAIN]);
    const char *masked = o->mask_prompt ? "are masked out of" : "count in";
    tn_error unread = { 0 };
    char chats[SHOWN];
    if (f.chat)
        lines_add(l, "           %s chats as %s (%s), all but the answers %s the loss\n",
                  show_count(f.chats, chats), tn_chat_name(f.chat),
                  o->chat_template        ? "--chat-template"
                  : data_chat(o, &unread) ? "the model's own template"
                                          : "the default of such records",
                  masked);
    if (!f.text && f.chats < f.records)
        lines_add(l, "           prompts %s the loss\n", masked);
    ending_line(l, s, f, e);
}

/* Preferences ask for another loss than other records. */
static void loss_line(lines *l, const setup *s, const options *o)
{
    if (s->reference)
        lines_add(l, "loss       DPO, beta %g; the reference is %s\n", preference_beta(o),
                  preference_reference(s, o));
}

void progress_setup(const setup *s, const options *o, tn_error *e)
{
    lines all = lines_begin(), *l = &all;
    model_line(l, s, o);
    trained_line(l, s, o);
    data_line(l, s, o, PART_TRAIN, "data", e);
    if (s->data[PART_TRAIN])
        learnt_lines(l, s, o, e);
    loss_line(l, s, o);
    data_line(l, s, o, PART_VALID, "valid", e);
    data_line(l, s, o, PART_TEST, "test", e);
}

/* The step after which a run is resumed, and what differs from the run that began. */
static void resumed_lines(lines *l, const run *r)
{
    const int64_t step = r->state.step;
    const tn_schedule before = run_schedule(r->o, r->was_planned), *now = &r->schedule;
    const bool differs = tn_schedule_falls(now) || before.warmup != now->warmup;
    lines_add(l, "resumed    after step %lld\n", (long long)step);
    if (r->was_planned && r->was_planned != r->steps && differs) {
        lines_add(l, "           the schedule is that of %lld steps now, not of %lld",
                  (long long)r->steps, (long long)r->was_planned);
        if (step > 0 && step < r->steps)
            lines_add(l, ": step %lld had the rate %.4g, step %lld has %.4g", (long long)step,
                      tn_schedule_rate(&before, r->lr, step), (long long)step + 1,
                      tn_schedule_rate(now, r->lr, step + 1));
        lines_add(l, "\n");
    }
    if (r->was_records && r->was_records != r->state.records)
        lines_add(
            l,
            "           the task's data grew from %lld to %lld records; the rest come in another "
            "order\n",
            (long long)r->was_records, (long long)r->state.records);
}

/* How often all records are seen. */
static double passes(const run *r)
{
    const double rows = (double)(r->o->batch_size * r->o->grad_accumulation_steps);
    const double records = (double)tn_dataset_facts(r->s->data[PART_TRAIN]).records;
    return r->o->epochs == NOT_SET ? default_epochs(r->s, records, rows) : r->o->epochs;
}

static void plan_line(lines *l, const run *r)
{
    const options *o = r->o;
    const tn_dataset *valid = r->s->data[PART_VALID];
    const int64_t rows = o->batch_size * o->grad_accumulation_steps;
    const bool trial = o->fast_dev_run;
    lines_add(l, "plan       %s%lld step%s x %lld row%s", trial ? "a trial: " : "",
              (long long)r->steps, show_s(r->steps), (long long)rows, show_s(rows));
    if (o->iters <= 0 && !o->find_lr && !trial)
        lines_add(l, " (passes: %.3g%s)", passes(r), o->epochs == NOT_SET ? ", by default" : "");
    if (valid && trial)
        lines_add(l, ", evaluations of one batch before and after it");
    else if (valid)
        lines_add(l, ", evaluation every %lld", (long long)o->steps_per_eval);
    if (valid && !trial && valid_rows(o) > 0 && valid_rows(o) < tn_dataset_facts(valid).records)
        lines_add(l, " on the first %lld row%s", (long long)valid_rows(o), show_s(valid_rows(o)));
    lines_add(l, ", seed %lld, ", (long long)o->seed);
    if (team_size(o->team) > 1)
        lines_add(l, "%d processes of ", team_size(o->team));
    lines_add(l, "%d thread%s, %s\n", tn_context_threads(r->s->context),
              show_s(tn_context_threads(r->s->context)), tn_context_isa(r->s->context));
}

void progress_block(const run *r, tn_error *e)
{
    lines all = lines_begin(), *l = &all;
    const options *o = r->o;
    const need n = run_need(r);
    char a[SHOWN], parts[NEED_SHOWN];
    progress_setup(r->s, o, e);
    const tn_optim_def *def = tn_optim_definition(r->optim);
    const double state = (double)tn_optim_state_bytes(r->optim);
    lines_add(l, "optimizer  %s lr %g", def->name, r->lr);
    if (r->lr_is_default)
        lines_add(l, " (default for %s)", default_rate_reason(def, r->s, a));
    lines_add(l, " %s warm-up %lld  state %s\n", o->lr_scheduler, (long long)r->schedule.warmup,
              show_bytes(state, a));
    double rate;
    const int64_t left_over = tn_optim_left_over(r->optim, &rate);
    if (def->pairs && r->s->full)
        lines_add(l, "           there are no LoRA pairs: every weight goes to adamw\n");
    else if (left_over)
        lines_add(l, "           %s numbers are left to adamw, at lr %g (--opt fallback_lr=)\n",
                  show_count(left_over, a), rate);
    if (!tn_dataset_facts(r->s->data[PART_TRAIN]).text)
        packing_show(&r->packing);
    if (!o->dry_run) /* which prints a table */
        lines_add(l, "memory     %s or more, of %s\n", need_show(&n, parts),
                  show_bytes((double)tn_memory_room(), a));
    plan_line(l, r);
    if (r->state.step)
        resumed_lines(l, r);
}
