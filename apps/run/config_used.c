/* config_used.c - config.used. */
#include "apps/run/config_used.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_MOST = 1 << 20 };

/* The lines of row i; nothing for what is not set. */
static void add_option(const options *o, int i, tn_text *out)
{
    char name[64];
    tn_text value = { 0 };
    const option *row = &options_table[i];
    option_dashed(row->name, name);
    options_value(o, i, &value);
    if (value.failed)
        tn_text_join(out, &value);
    else if (value.n)
        options_line(name, value.s, out);
    if (row->kind == OPTION_LIST) {
        const char *const *list = (const char *const *)((const char *)o + row->offset);
        for (int k = 0; list[k]; k++)
            options_line(name, list[k], out);
    }
    tn_text_free(&value);
}

/* Does row i say something about what a command did? Those of LoRA do not where all weights are
   trained. */
static bool speaks(int i, char letter, bool full, option_class most)
{
    const option *row = &options_table[i];
    return strchr(row->commands, letter) && row->class <= most && !(full && option_of_lora(i));
}

/* --valid-split is for one text only; the hash of options has it always, as it had before. */
static bool applies(const options *o, int i)
{
    return i != OPT_valid_split || data_is_text(o);
}

void config_facts(const run *r, tn_text *out)
{
    const tn_schedule_kind kind = r->schedule.kind;
    if (kind == TN_LINEAR || kind == TN_COSINE || kind == TN_WSD)
        tn_text_add(out, "# steps = %lld\n", (long long)r->steps);
    tn_text_add(out, "# warm-up = %lld\n", (long long)r->schedule.warmup);
    tn_text_add(out, "# starting weights = %016llx\n",
                (unsigned long long)tn_params_hash(r->s->model->params, false));
    tn_text_add(out, "# training data = %016llx\n",
                (unsigned long long)data_hash(r->s->data[PART_TRAIN]));
    /* Once the records of a step depended on how it was cut into batches: a checkpoint of then, which
       does not have this line, is not continued with others. */
    if (r->o->grad_accumulation_steps > 1 && !tn_dataset_facts(r->s->data[PART_TRAIN]).stream)
        tn_text_add(out, "# records a step = %lld\n",
                    (long long)(r->o->batch_size * r->o->grad_accumulation_steps));
}

void config_told(const options *o, const char *name, bool full, tn_text *out)
{
    tn_text_add(out, "# what made this folder; a config file of tenon %s\n", name);
    for (int i = 0; i < OPTIONS; i++)
        if (speaks(i, command_find(name)->letter, full, FILES) && applies(o, i))
            add_option(o, i, out);
}

void config_text(const run *r, const tn_text *facts, tn_text *out)
{
    config_told(r->o, "train", r->s->full, out);
    tn_text_join(out, facts);
}

uint64_t config_hash(const run *r, const tn_text *facts, tn_error *e)
{
    tn_text text = { 0 };
    for (int i = 0; i < OPTIONS; i++)
        if (speaks(i, 't', r->s->full, NUMBERS))
            add_option(r->o, i, &text);
    tn_text_join(&text, facts);
    const char *told = tn_text_done(&text, "the options", e);
    const uint64_t hash = told ? tn_hash64(told, text.n, 0) : 0;
    tn_text_free(&text);
    return hash;
}

/* The lines of one name in a text, joined. */
static void find_lines(const char *text, const char *name, tn_text *out)
{
    const size_t n = strlen(name);
    for (const char *line = text; line && *line;) {
        const char *end = strchr(line, '\n');
        if (!strncmp(line, name, n) && !strncmp(line + n, " = ", 3))
            tn_text_bytes(out, line, end ? (size_t)(end - line) + 1 : strlen(line));
        line = end ? end + 1 : NULL;
    }
}

/* Adds the name to the list of what differs if its lines in both texts do. */
static void compare_lines(const char *theirs, const char *ours, const char *name, tn_text *differ)
{
    tn_text a = { 0 }, b = { 0 };
    find_lines(theirs, name, &a);
    find_lines(ours, name, &b);
    differ->failed = differ->failed || a.failed || b.failed;
    if (a.n != b.n || (a.n && memcmp(a.s, b.s, a.n)))
        tn_text_add(differ, "%s%s%s", differ->n ? ", " : "", *name == '#' ? "" : "--",
                    name + 2 * (*name == '#'));
    tn_text_free(&a);
    tn_text_free(&b);
}

int config_check(const run *r, const tn_text *facts, const char *path, tn_error *e)
{
    static const char *const fact_names[] = { "# steps", "# warm-up", "# starting weights",
                                              "# training data", "# records a step" };
    size_t size;
    char *theirs = tn_text_read(path, CONFIG_MOST, &size, e);
    tn_text ours = { 0 }, differ = { 0 };
    if (theirs)
        config_text(r, facts, &ours);
    const char *text = tn_text_done(&ours, path, e);
    for (int i = 0; theirs && text && i < OPTIONS; i++) {
        char name[64];
        option_dashed(options_table[i].name, name);
        if (speaks(i, 't', r->s->full, NUMBERS) && applies(r->o, i))
            compare_lines(theirs, text, name, &differ);
    }
    for (size_t i = 0; theirs && text && i < sizeof fact_names / sizeof *fact_names; i++)
        compare_lines(theirs, text, fact_names[i], &differ);
    if (tn_text_done(&differ, path, e) && differ.n)
        tn_fail(e, APP_USAGE, "--resume: these differ from %s: %s; expected the same", path,
                differ.s);
    tn_text_free(&ours);
    tn_text_free(&differ);
    free(theirs);
    return e->code;
}
