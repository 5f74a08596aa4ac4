/* compare_files.c - the folder of a study: writes its files, and reads them to go on.

       runs.jsonl    a line for each run that is finished
       curves.jsonl  losses on the way
       table.csv     a line for each run, written when the study is complete or was stopped
       config.used   its options as a config file, and hashes of its model and data; until the study
                     is complete, one more line says that it is not

   Runs are done one after another, and the curve of a run is on the disk before its line in
   runs.jsonl. After a kill, bytes after the last complete line of runs.jsonl, and bytes of
   curves.jsonl after the curve of that run, therefore belong to a run that did not finish: --resume
   cuts them off and begins this run again. */
#include "apps/compare/compare.h"
#include "apps/run/config_used.h"
#include "apps/report/show.h"
#include "data/formats/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS, CURVES, TABLE, USED, FILES_OF_A_STUDY, MOST_BYTES = 1 << 30 };

static const char unfinished[] =
    "# incomplete: not all runs of this study are done; --resume goes on with it\n";

static int cannot_write(const char *path, tn_error *e)
{
    return tn_fail(e, TN_EIO, "%s: cannot write: %s", path, strerror(errno));
}

/* ---- writing ---- */

/* Writes a line and frees it. Refuses if it could not be written. */
static void write_line(FILE *f, const char *path, tn_text *line, tn_error *e)
{
    const char *text = e->code ? NULL : tn_text_done(line, path, e);
    if (text && !write_whole(f, text, line->n))
        cannot_write(path, e);
    tn_text_free(line);
}

/* Waits until everything of a file is on the disk. */
static void flush_file(FILE *f, const char *path, tn_error *e)
{
    if (!e->code && tn_at_flush(fileno(f)))
        cannot_write(path, e);
}

void study_flush(study *y, tn_error *e)
{
    flush_file(y->curves, y->paths[CURVES], e);
    flush_file(y->runs, y->paths[RUNS], e);
}

void study_record(study *y, const cell *c, tn_error *e)
{
    tn_text line = { 0 };
    cell_write(y, c, &line);
    flush_file(y->curves, y->paths[CURVES], e);
    write_line(y->runs, y->paths[RUNS], &line, e);
    flush_file(y->runs, y->paths[RUNS], e);
}

void study_point(study *y, const cell *c, const run_event *event, tn_error *e)
{
    tn_text line = { 0 };
    cell_name(y, c, &line);
    tn_text_add(&line, ",\"split\":\"%s\",\"step\":%lld", event->evaluated ? "valid" : "train",
                (long long)event->step);
    json_real(&line, "loss", event->evaluated ? event->valid.loss : event->loss, 9);
    if (!event->evaluated)
        json_real(&line, "grad_norm", event->grad_norm, 6);
    tn_text_add(&line, "}\n");
    write_line(y->curves, y->paths[CURVES], &line, e);
}

/* Writes config.used, with a line about an incomplete study until it is complete. */
static int write_used(const study *y, tn_error *e)
{
    tn_text text = { 0 };
    tn_text_join(&text, &y->used);
    if (!y->complete)
        tn_text_add(&text, "%s", unfinished);
    return tn_text_save(&text, y->out.work, "config.used", e);
}

int study_finish(study *y, tn_error *e)
{
    if (!e->code && !y->out.waits)
        output_stage(&y->out, e);
    if (!e->code && !study_csv(y, e) && y->complete)
        write_used(y, e);
    y->out.kept = y->out.before && !y->complete; /* the files stay where they wait, for --resume */
    return y->out.kept ? e->code : output_place(&y->out, e);
}

/* ---- reading back ---- */

int study_load(study *y, tn_error *e)
{
    size_t size = 0;
    int64_t lines = 0;
    const bool absent = tn_path_is(y->paths[RUNS], NULL, e) == TN_ABSENT;
    char *text = absent ? NULL : tn_file_read(y->paths[RUNS], MOST_BYTES, &size, e);
    for (size_t i = 0; text && i < size; i++)
        lines += text[i] == '\n';
    y->old = calloc((size_t)lines + 1, sizeof *y->old);
    if (text && !y->old)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", y->paths[RUNS]);
    for (char *line = text, *end;
         size && !e->code && (end = memchr(line, '\n', size - (size_t)(line - text)));
         line = end + 1) {
        if (!cell_read(y, line, (size_t)(end - line), y->olds + 1, &y->old[y->olds], e))
            y->olds++;
        y->kept = end + 1 - text;
    }
    free(text);
    return e->code;
}

/* How many bytes of curves.jsonl are about y->old. Both files have the runs in the same order. */
static long curves_kept(const study *y, tn_error *e)
{
    size_t size = 0;
    long kept = 0;
    int64_t k = -1; /* the run of the last line */
    tn_text name = { 0 };
    char *text = y->olds ? tn_file_read(y->paths[CURVES], MOST_BYTES, &size, e) : NULL;
    for (char *line = text, *end;
         size && !e->code && (end = memchr(line, '\n', size - (size_t)(line - text)));
         line = end + 1) {
        const char *begins = k < 0 ? NULL : tn_text_done(&name, y->paths[CURVES], e);
        while (!e->code && k < y->olds && (!begins || strncmp(line, begins, name.n))) {
            tn_text_free(&name);
            if (++k < y->olds)
                cell_name(y, &y->old[k], &name);
            begins = tn_text_done(&name, y->paths[CURVES], e);
        }
        if (k == y->olds)
            break;
        kept = end + 1 - text;
    }
    tn_text_free(&name);
    free(text);
    return kept;
}

/* The first option or fact of one text that the other does not have with this value; NULL: there is
   none. Paths of model and data may differ, because the facts have hashes of their contents. */
static const char *differing(const char *one, const char *other)
{
    for (const char *line = one, *end; (end = strchr(line, '\n')); line = end + 1) {
        const size_t n = (size_t)(end - line) + 1;
        const char *found = other;
        while (found && strncmp(found, line, n))
            found = (found = strchr(found, '\n')) ? found + 1 : NULL;
        if (!found && memchr(line, '=', n) && strncmp(line, "model ", 6) &&
            strncmp(line, "data ", 5))
            return line;
    }
    return NULL;
}

/* Refuses to resume a study with other options or facts. */
static int check_used(const study *y, tn_error *e)
{
    size_t size;
    char *theirs = tn_file_read(y->paths[USED], MOST_BYTES, &size, e);
    const char *ours = tn_text_done(&y->used, y->paths[USED], e);
    const char *line = theirs && ours ? differing(ours, theirs) : NULL;
    if (theirs && ours && !line)
        line = differing(theirs, ours);
    if (line) {
        const bool fact = line[0] == '#';
        tn_fail(e, TN_ESTATE, "--resume: %s%.*s: other than in %s; expected the same",
                fact ? "" : "--", (int)strcspn(line, "=") - (fact ? 3 : 1), line + (fact ? 2 : 0),
                y->paths[USED]);
    }
    free(theirs);
    return e->code;
}

/* ---- the folder ---- */

static void add_hash(const char *what, uint64_t hash, tn_text *out)
{
    tn_text_add(out, "# %s = %016llx\n", what, (unsigned long long)hash);
}

/* The options, and hashes of the model, the first seed's weights and the data. */
static int describe_study(study *y, const setup *s, tn_error *e)
{
    static const char *const parts[] = { "training data", "validation data", "test data" };
    const tn_base base = tn_params_base(s->model->params);
    config_options(y->o, "compare", s->full, &y->used);
    add_hash("model", base.config, &y->used);
    add_hash("frozen weights", base.frozen, &y->used);
    add_hash("starting weights", tn_params_digest(s->model->params, true), &y->used);
    for (int k = 0; k < PARTS; k++)
        if (s->data[k])
            add_hash(parts[k], tn_dataset_hash(s->data[k], 0), &y->used);
    tn_text_done(&y->used, y->paths[USED], e);
    return e->code;
}

int study_open(study *y, const setup *s, tn_error *e)
{
    enum { BYTES = 1 << 20 }; /* of a small study */
    long kept = 0;
    if (describe_study(y, s, e))
        return e->code;
    if (y->resume && !check_used(y, e))
        kept = curves_kept(y, e);
    output_begin(&y->out, tn_hash64(y->used.s, y->used.n, 0), BYTES, e);
    if (!e->code)
        write_used(y, e);
    y->runs = output_lines(&y->out, "runs.jsonl", y->kept, e);
    y->curves = output_lines(&y->out, "curves.jsonl", kept, e);
    /* If nothing is replaced, the files are visible at once. */
    return y->out.before ? e->code : output_place(&y->out, e);
}

int study_check(study *y, tn_error *e)
{
    static const char *const names[] = { "runs.jsonl", "curves.jsonl", "table.csv", "config.used" };
    const options *o = y->o;
    y->resume = o->resume || (o->auto_resume && tn_path_is(o->out, names[USED], e) != TN_ABSENT);
    if (output_open(&y->out, &output_compare, o->out, o, y->resume, e))
        return e->code;
    for (int i = 0; i < FILES_OF_A_STUDY; i++)
        if (!(y->paths[i] = tn_path_join(y->out.work, names[i])))
            return tn_fail(e, TN_ENOMEM, "%s: out of memory", o->out);
    if (y->resume && tn_path_is(y->paths[USED], NULL, e) == TN_ABSENT)
        return tn_fail(e, TN_ESTATE, "%s: does not exist; expected a study to resume",
                       y->paths[USED]);
    return e->code;
}

void study_close(study *y)
{
    if (y->runs)
        fclose(y->runs);
    if (y->curves)
        fclose(y->curves);
    for (int i = 0; i < FILES_OF_A_STUDY; i++)
        free(y->paths[i]);
    output_close(&y->out);
    tn_text_free(&y->used);
    free(y->cells);
    free(y->old);
    *y = (study){ 0 };
}
