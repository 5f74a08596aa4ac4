/* config_used.c - the options and facts of a run, as the text of config.used and as a hash. */
#include "apps/run/config_used.h"

#include <string.h>

/* Adds the lines of option i; none if it is not set. */
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

bool config_has(int i, char letter, bool full, option_class most)
{
    const option *row = &options_table[i];
    return strchr(row->commands, letter) && row->class <= most && !(full && option_of_lora(i));
}

/* --valid-split is for files that it divides; records have another default. A --packing that is
   not set has no value: the data decide, in a resume too. An adapter that is trained on has its
   own rank and so on, and our defaults do not apply. */
bool config_applies(const options *o, int i)
{
    if (o->adapter_path && (option_of_new_adapters(i) || i == OPT_lora_dropout))
        return o->given[i];
    if (i == OPT_packing)
        return o->given[i];
    return i != OPT_valid_split || data_is_text(o) || (data_is_divided(o) && o->given[i]);
}

char *config_path(const char *path, tn_error *e)
{
    static const char name[] = "config.used", above[] = "../config.used";
    for (int i = 0; i < 2 && !e->code; i++)
        if (tn_path_is(path, NULL, e) == TN_FOLDER && (i == 0 || strstr(path, "checkpoint-")) &&
            tn_path_is(path, i ? above : name, e) == TN_FILE)
            return tn_path_join(path, i ? above : name);
    return NULL;
}

void config_weights(uint64_t frozen, uint64_t trained, tn_text *out)
{
    const uint64_t weights[] = { frozen, trained };
    tn_text_add(out, "# starting weights = %016llx\n",
                (unsigned long long)tn_hash_bulk(weights, sizeof weights, 0));
}

void config_facts(run *r, tn_text *out)
{
    const tn_dataset *train = r->s->data[PART_TRAIN], *valid = r->s->data[PART_VALID];
    const tn_params *p = r->s->model->params;
    config_weights(tn_params_digest(p, false), tn_params_digest(p, true), out);
    tn_text_add(out, "# tokenizer = %016llx\n",
                (unsigned long long)tn_tokenizer_hash(r->s->tokenizer));
    if (valid)
        tn_text_add(out, "# validation data = %016llx\n",
                    (unsigned long long)tn_dataset_hash(valid, 0));
    if (r->lr_is_default) /* another version may have another default */
        tn_text_add(out, "# learning rate = %.9g\n", r->lr);
    r->state.planned = r->steps;
    r->state.records = tn_dataset_facts(train).records;
    r->state.data_hash = tn_dataset_hash(train, 0);
}

void config_options(const options *o, const char *name, bool full, tn_text *out)
{
    tn_text_add(out, "# what made this folder; a config file of tenon %s\n", name);
    for (int i = 0; i < OPTIONS; i++)
        if (config_has(i, command_find(name)->letter, full, FILES) && config_applies(o, i))
            add_option(o, i, out);
}

void config_text(const run *r, const tn_text *facts, tn_text *out)
{
    config_options(r->o, "train", r->s->full, out);
    tn_text_join(out, facts);
    tn_text_add(out, "# training data = %016llx\n# steps = %lld\n",
                (unsigned long long)r->state.data_hash, (long long)r->steps);
    const tn_chat_template *chat = tn_dataset_facts(r->s->data[PART_TRAIN]).chat;
    tn_text_add(out, CONFIG_CHAT "%s\n", chat ? tn_chat_name(chat) : CONFIG_NO_CHAT);
}

uint64_t config_hash(const run *r, const tn_text *facts, tn_error *e)
{
    tn_text text = { 0 };
    for (int i = 0; i < OPTIONS; i++)
        if (config_has(i, 't', r->s->full, NUMBERS) && config_applies(r->o, i))
            add_option(r->o, i, &text);
    tn_text_join(&text, facts);
    const char *lines = tn_text_done(&text, "the options", e);
    const uint64_t hash = lines ? tn_hash64(lines, text.n, 0) : 0;
    tn_text_free(&text);
    return hash;
}
