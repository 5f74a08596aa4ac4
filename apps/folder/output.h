/* output.h - the folder OUT that a command writes into: --output-dir, --out, or the demo's own.

       output out = { 0 };
       output_open(&out, &output_train, o->output_dir, o, o->resume, e);  refuses what is in the way
       output_begin(&out, hash, bytes, e);                     makes OUT, and a folder for new files
       FILE *log = output_lines(&out, "log.jsonl", -1, e);     a file there, which is out.work
       output_place(&out, e);                                  the files are in OUT now, all or none
       output_stage(&out, e);                                   the result likewise
       tn_model_save(model, out.work, type, e);
       output_place(&out, e);
       output_close(&out);

   OUT holds the result, of a training run also checkpoint-N folders, and a marker. The rules:

   1. Only what the marker (marker.h) lists is replaced or removed, if it is unchanged, and
      checkpoints with its run's number. Other files under a name that the command writes are
      refused before work begins.
   2. Nothing is written or removed through a link: OUT is opened once, without following links, and
      everything is done relative to that descriptor.
   3. What the command reads is not in OUT under a name that it writes (guard.h).
   4. An older run in OUT is replaced late: its checkpoints when the first new one is written, its
      result when the new one is. In between, its config.used and log.jsonl are called
      older-config.used and older-log.jsonl. Until they are placed, new files wait:

          OUT/.tenon-RUN.tmp  --renamed-->  OUT/.tenon-new  --file by file-->  OUT
          killed here, it is               from here on it counts; killed here,
          removed by the next run          the next run goes on moving

   One process at a time holds OUT. A run that fails leaves only the files that it had placed. */
#ifndef TN_APP_OUTPUT_H
#define TN_APP_OUTPUT_H

#include "apps/folder/marker.h"
#include "apps/run/run.h"

#include <stdio.h>

/* output_kinds.c */
extern const output_kind output_train, output_compare, output_demo, output_fuse, output_export;

typedef struct output {
    const output_kind *kind;
    const options *o;
    char *folder;    /* OUT without slashes at its end */
    char *work;      /* the folder of new files; before output_begin: where a resume finds files */
    int at, work_at; /* their descriptors; -1: not open */
    bool waits;      /* the files of this run are in OUT/.tenon-RUN.tmp */
    bool kept;       /* output_close leaves them there */
    bool resume, adopted; /* adopted: a resume took over a folder that has no marker */
    int made;             /* folders of OUT's path that this run made, OUT is the last */
    uint64_t run, before; /* numbers of this run and of the one that it replaces (0: none) */
    uint64_t waiting;     /* number of the waiting run that a resume continues; 0: none */
    marker m;             /* what is in OUT */
    unsigned changed;     /* files that a run wrote and somebody else changed: bits as in m.own */
} output;

int output_open(output *out, const output_kind *kind, const char *folder, const options *o,
                bool resume, tn_error *e);
/* Gives the run its number: `hash`, the hash of its options, or another number if it replaces a run
   with that one. A resume keeps its number. Refuses (TN_EIO) if less than `bytes` are free. */
int output_begin(output *out, uint64_t hash, double bytes, tn_error *e);
/* Opens a file for adding lines: a new one, or for a resume one that begins with the first `kept`
   bytes of the existing one. -1: with its complete lines (a kill may have cut the last one). */
FILE *output_lines(const output *out, const char *name, int64_t kept, tn_error *e);
/* How many of the n bytes of an existing file a resume after `step` steps keeps. */
typedef size_t (*output_rule)(const char *bytes, size_t n, int64_t step);
/* As output_lines, but a resume keeps what the rule says. */
FILE *output_records(const output *out, const char *name, output_rule rule, int64_t step,
                     tn_error *e);
int output_place(output *out, tn_error *e);
int output_stage(output *out, tn_error *e);
void output_close(output *out);
/* Is OUT still the folder that was opened? Ask before a file is written by its path. */
int output_here(const output *out, tn_error *e);

/* Checks the path of a single file that is written at the end (--svg). Refuses it if something
   exists there, if its folder does not exist, or if its name has another ending than this; NULL: any.
   makes: output_file_room will make the folder. */
int output_check_file(const char *flag, const char *path, const char *ending, bool makes,
                      tn_error *e);
/* Makes the folder of the file. Refuses (TN_EIO) if less than `bytes` are free there. */
int output_file_room(const char *path, double bytes, tn_error *e);

#endif
