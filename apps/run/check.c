/* check.c - refuses options that are wrong whatever the folders and the data hold (check.h). */
#include "apps/run/check.h"
#include "apps/report/report.h"
#include "apps/run/pieces.h"
#include "apps/run/spread.h"

#include <string.h>

static bool has(const command *c, int i)
{
    return strchr(options_table[i].commands, c->letter) != NULL;
}

/* Do all the data come from tasks? */
static bool is_tasks(const options *o)
{
    bool tasks = o->task || o->data[0];
    for (int i = 0; o->data[i]; i++)
        tasks = tasks && !strncmp(o->data[i], "task:", 5);
    return tasks;
}

static int check_data(const options *o, const command *c, tn_error *e)
{
    int64_t count;
    if (o->task)
        pieces_task(o->task, true, &count, e);
    for (int i = 0; o->data[i] && !e->code; i++)
        if (!strncmp(o->data[i], "task:", 5))
            pieces_task(o->data[i], false, &count, e);
    if (data_standard(o) > 1 && !e->code)
        tn_fail(e, APP_USAGE, "--data -: given twice; standard input can be read once");
    if (is_tasks(o) && o->given[OPT_valid_split] && !e->code)
        data_refuse_split(o, e);
    if (is_tasks(o) && o->data_format && !e->code)
        data_refuse_format(o, e);
    if (has(c, OPT_task) && o->given[OPT_count] && !data_task(o, &count, e) && !e->code)
        tn_fail(e, APP_USAGE, "--count: only for a task; a file is evaluated as a whole");
    data_template(o, e);
    return e->code;
}

/* Without validation data nothing can be the best. */
static int check_best(const options *o, tn_error *e)
{
    const char *flag = o->patience > 0 ? "patience" : o->load_best ? "load-best" : NULL;
    if (flag && o->given[OPT_valid_split] && o->valid_split <= 0 && !e->code)
        tn_fail(e, APP_USAGE, "--%s and --valid-split 0: use only one", flag);
    return e->code;
}

static int check_stops(const options *o, tn_error *e)
{
    for (int i = 0; o->stop[i] && !e->code; i++)
        if (!*o->stop[i])
            tn_fail(e, APP_USAGE, "--stop: empty; expected a text");
    return e->code;
}

/* Options that say how data are read, or which records of a task, without data or a task. The
   commands that need neither are known by their options: inspect and task. */
static int check_subject(const options *o, const command *c, tn_error *e)
{
    static const int about[] = {
        OPT_data_format, OPT_truncate,       OPT_chat_template, OPT_split,     OPT_count,
        OPT_mask_prompt, OPT_max_seq_length, OPT_valid_split,   OPT_tokenizer, OPT_chat
    };
    const bool inspects = has(c, OPT_data) && c->most, lists = has(c, OPT_chat);
    char name[64];
    for (size_t i = 0; i < sizeof about / sizeof *about && !e->code; i++)
        if (o->given[about[i]] && ((inspects && !o->data[0]) || (lists && !o->arguments)))
            tn_fail(e, APP_USAGE, "--%s: only for %s, which is not given",
                    option_dashed(options_table[about[i]].name, name),
                    lists ? "the NAME of a task" : "--data");
    return e->code;
}

int check_values(const options *o, const command *c, tn_error *e)
{
    if (spread_check(o, c, e))
        return e->code;
    if (has(c, OPT_optimizer))
        recipe_check(o, &(recipe){ o->optimizer, o->learning_rate, o->opt }, e);
    if (has(c, OPT_report_to))
        report_check(o, e);
    if (has(c, OPT_lr_scheduler))
        run_check_schedule(o, o->iters > 0 ? o->iters : 0, e);
    if (has(c, OPT_fine_tune_type))
        setup_check_adapters(o, e);
    check_data(o, c, e);
    check_best(o, e);
    check_subject(o, c, e);
    return check_stops(o, e);
}
