/* resume.c - compares a run with its config.used and its newest checkpoint. */
#include "apps/run/resume.h"
#include "apps/run/config_used.h"

#include <stdlib.h>
#include <string.h>

enum { CONFIG_MOST = 1 << 20 };

typedef struct config { /* a config.used */
    const char *path, *text;
    bool old; /* written by a version that did not name the tokenizer: its hash has other facts */
} config;

/* The facts that a run shares with one that resumes it; all are in the hash. In an old config.used
   steps and warm-up may differ. */
static const char *const facts_now[] = { "# starting weights", "# tokenizer", "# validation data",
                                         NULL };
static const char *const facts_old[] = { "# starting weights", "# training data", NULL };
static const char *const hashed_old[] = { "# steps", "# warm-up", "# starting weights",
                                          "# training data", NULL };

/* ---- lines "name = value" ---- */

static bool has_name(const char *line, const char *name)
{
    const size_t n = strlen(name);
    return !strncmp(line, name, n) && !strncmp(line + n, " = ", 3);
}

static const char *next_line(const char *line, size_t *length)
{
    const char *end = strchr(line, '\n');
    *length = end ? (size_t)(end - line) + 1 : strlen(line);
    return line + *length;
}

/* Joins all lines of one name in a text. */
static void find_lines(const char *text, const char *name, tn_text *out)
{
    size_t n;
    for (const char *line = text, *next; *line; line = next) {
        next = next_line(line, &n);
        if (has_name(line, name))
            tn_text_bytes(out, line, n);
    }
}

static bool is_listed(const char *line, const char *const *names)
{
    bool listed = false;
    for (; *names && !listed; names++)
        listed = has_name(line, *names);
    return listed;
}

/* Is it the line of an option that changes numbers? */
static bool is_number(const char *line, bool full)
{
    char name[64];
    bool is = false;
    for (int i = 0; i < OPTIONS && !is; i++)
        is = config_has(i, 't', full, NUMBERS) &&
             has_name(line, option_dashed(options_table[i].name, name));
    return is;
}

/* config_hash of the run that wrote this config.used. */
static uint64_t hash_of(const config *c, bool full, tn_error *e)
{
    size_t n;
    tn_text text = { 0 };
    for (const char *line = c->text, *next; *line; line = next) {
        next = next_line(line, &n);
        if (is_number(line, full) || is_listed(line, c->old ? hashed_old : facts_now))
            tn_text_bytes(&text, line, n);
    }
    const char *lines = tn_text_done(&text, c->path, e);
    const uint64_t hash = lines ? tn_hash64(lines, text.n, 0) : 0;
    tn_text_free(&text);
    return hash;
}

/* ---- what differs ---- */

/* Adds a name to the list of differences if its lines differ in the two texts. An option that an
   older version did not have differs if it is given. */
static void compare_lines(const config *theirs, const char *ours, const char *name, bool given,
                          tn_text *differ)
{
    tn_text a = { 0 }, b = { 0 };
    find_lines(theirs->text, name, &a);
    find_lines(ours, name, &b);
    differ->failed = differ->failed || a.failed || b.failed;
    const bool differs = a.n ? a.n != b.n || memcmp(a.s, b.s, a.n) : b.n && given;
    if (differs)
        tn_text_add(differ, "%s%s%s", differ->n ? ", " : "", *name == '#' ? "" : "--",
                    name + 2 * (*name == '#'));
    tn_text_free(&a);
    tn_text_free(&b);
}

/* The hash of older versions: of a text without the tokens after the last window. */
static uint64_t old_hash(const tn_dataset *d)
{
    const int64_t records = tn_dataset_facts(d).records;
    uint64_t hash = tn_hash64(&records, sizeof records, 0);
    for (int64_t i = 0; i < records; i++) {
        int64_t prompt = 0;
        const int64_t length = tn_dataset_record(d, i, &prompt);
        const int64_t size[2] = { length, prompt };
        hash = tn_hash64(size, sizeof size, hash);
        for (int64_t at = 0; at < length; at++) {
            int32_t id;
            tn_dataset_ids(d, i, at, 1, &id);
            hash = tn_hash64(&id, sizeof id, hash);
        }
    }
    return hash;
}

/* Adds the facts in the form of an old config.used. */
static void add_old_facts(const run *r, tn_text *out)
{
    tn_text_add(out, "# starting weights = %016llx\n# training data = %016llx\n",
                (unsigned long long)tn_params_hash(r->s->model->params, false),
                (unsigned long long)old_hash(r->s->data[PART_TRAIN]));
}

/* In older versions the records of a step depended on how it was cut into batches. */
static int check_old(const run *r, const config *theirs, tn_error *e)
{
    if (theirs->old && r->o->grad_accumulation_steps > 1 &&
        !tn_dataset_facts(r->s->data[PART_TRAIN]).text)
        tn_fail(e, TN_ESTATE,
                "%s: of an older tenon, which chose the records of accumulated batches "
                "otherwise; expected a new run (--overwrite)",
                theirs->path);
    return e->code;
}

static int check_config(const run *r, const tn_text *facts, const config *theirs, tn_error *e)
{
    char name[64];
    tn_text ours = { 0 }, differ = { 0 };
    if (theirs->old) {
        config_options(r->o, "train", r->s->full, &ours);
        add_old_facts(r, &ours);
    } else {
        config_text(r, facts, &ours);
    }
    const char *text = tn_text_done(&ours, theirs->path, e);
    for (int i = 0; text && i < OPTIONS; i++)
        if (config_has(i, 't', r->s->full, NUMBERS) &&
            (config_applies(r->o, i) || i == OPT_packing)) /* it had a value, and has none now */
            compare_lines(theirs, text, option_dashed(options_table[i].name, name), r->o->given[i],
                          &differ);
    for (const char *const *f = theirs->old ? facts_old : facts_now; text && *f; f++)
        compare_lines(theirs, text, *f, true, &differ);
    if (text && !theirs->old && !r->s->task) /* a task's data may have grown */
        compare_lines(theirs, text, "# training data", true, &differ);
    const char *list = tn_text_done(&differ, theirs->path, e);
    if (list && *list)
        tn_fail(e, APP_USAGE, "--resume: these differ from %s: %s; expected the same", theirs->path,
                list);
    tn_text_free(&ours);
    tn_text_free(&differ);
    return e->code;
}

/* ---- the checkpoint's state ---- */

static int64_t planned_of(const config *c)
{
    int64_t planned = 0;
    tn_text line = { 0 };
    find_lines(c->text, "# steps", &line);
    if (line.n)
        planned = strtoll(line.s + strlen("# steps = "), NULL, 10);
    tn_text_free(&line);
    return planned;
}

static int check_steps(run *r, const tn_run_state *before, const config *theirs, tn_error *e)
{
    const int64_t batches = r->o->grad_accumulation_steps;
    const bool falls = tn_schedule_falls(&r->schedule);
    r->was_planned = before->planned ? before->planned : planned_of(theirs);
    if (before->batches % batches || before->batches / batches != before->step)
        return tn_fail(e, TN_EFORMAT,
                       "%s/checkpoint-%lld: %lld batches in %lld steps; expected "
                       "%lld per step",
                       r->o->output_dir, (long long)before->step, (long long)before->batches,
                       (long long)before->step, (long long)batches);
    if (before->planned && before->planned < before->step)
        return tn_fail(e, TN_EFORMAT,
                       "%s/checkpoint-%lld: %lld steps planned; expected at least the %lld that it "
                       "has",
                       r->o->output_dir, (long long)before->step, (long long)before->planned,
                       (long long)before->step);
    if (before->step > r->steps)
        return tn_fail(e, APP_USAGE,
                       "--resume: %lld steps asked for; expected at least the %lld "
                       "that the checkpoint has",
                       (long long)r->steps, (long long)before->step);
    if (falls && r->steps < r->was_planned)
        return tn_fail(e, APP_USAGE,
                       "--resume: these differ from %s: steps (%lld, were %lld); "
                       "expected as many or more",
                       theirs->path, (long long)r->steps, (long long)r->was_planned);
    return TN_OK;
}

/* Are the data the same? A task may have more records now. The data of an old checkpoint were
   compared by its config.used. */
static int check_data(run *r, const tn_run_state *before, const config *theirs, tn_error *e)
{
    const int64_t were = before->records, are = r->state.records;
    const bool grown = r->s->task && were && are > were;
    const uint64_t hash =
        grown ? tn_dataset_hash(r->s->data[PART_TRAIN], were) : r->state.data_hash;
    if (were && ((!grown && are != were) || hash != before->data_hash))
        return tn_fail(e, APP_USAGE,
                       "--resume: these differ from %s: training data (%lld records, "
                       "were %lld); expected the same%s",
                       theirs->path, (long long)are, (long long)were,
                       r->s->task ? ", or more of them" : "");
    r->was_records = were ? were : are;
    return TN_OK;
}

/* Does the state belong to the run of config.used? A run that was resumed and then killed may have
   left its own checkpoint beside the older config.used. */
static int check_hash(const run *r, const tn_run_state *before, const config *theirs, tn_error *e)
{
    if (!e->code && before->options_hash != r->state.options_hash &&
        before->options_hash != hash_of(theirs, r->s->full, e))
        tn_fail(e, TN_ESTATE,
                "%s/checkpoint-%lld: made with other options than those in %s; expected the same",
                r->o->output_dir, (long long)before->step, theirs->path);
    return e->code;
}

/* Adds to the error of a damaged checkpoint what the user can do. */
static void add_way_out(const options *o, tn_error *e)
{
    tn_error other = { 0 };
    if (e->code == TN_EFORMAT || e->code == TN_EIO)
        tn_error_add(e,
                     "; remove checkpoint-%lld to resume an older one, or start anew with "
                     "--overwrite",
                     (long long)tn_checkpoint_newest(o->output_dir, 0, &other));
}

/* The lines about earlier plans of the run, and one about the last, if the plan is another now. */
static void add_plans(const run *r, const config *theirs, tn_text *out)
{
    find_lines(theirs->text, "# planned steps before the resume", out);
    if (r->was_planned && r->was_planned != r->steps)
        tn_text_add(out, "# planned steps before the resume = %lld, until step %lld\n",
                    (long long)r->was_planned, (long long)r->state.step);
}

static int load(run *r, const tn_text *facts, const config *theirs, tn_text *plans, tn_error *e)
{
    tn_run_state before = { .run = r->state.run, .before = r->state.before };
    if (check_old(r, theirs, e) || check_config(r, facts, theirs, e))
        return e->code;
    tn_checkpoint_load(r->o->output_dir, r->s->model->params, r->optim, &before, e);
    if (!check_hash(r, &before, theirs, e) && !check_steps(r, &before, theirs, e))
        check_data(r, &before, theirs, e);
    add_way_out(r->o, e);
    before.options_hash = r->state.options_hash;
    before.planned = r->state.planned;
    before.records = r->state.records;
    before.data_hash = r->state.data_hash;
    if (!e->code)
        r->state = before;
    add_plans(r, theirs, plans);
    return e->code;
}

int resume_load(run *r, const tn_text *facts, tn_text *plans, tn_error *e)
{
    size_t size;
    char *path = tn_path_join(r->o->output_dir, "config.used");
    if (!path)
        return tn_fail(e, TN_ENOMEM, "%s: out of memory", r->o->output_dir);
    char *text = tn_text_read(path, CONFIG_MOST, &size, e);
    if (text)
        load(r, facts, &(config){ path, text, !strstr(text, "\n# tokenizer = ") }, plans, e);
    free(text);
    free(path);
    return e->code;
}
