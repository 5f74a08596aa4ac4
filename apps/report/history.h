/* history.h - the losses of a run, read from its log.jsonl, and the charts of them.

       history h;
       if (!history_read(&h, "out", &e)) history_svg(&h, 1, how, &svg);
       history_free(&h);

   A log to which a resume added has steps twice: of these the later ones count. Errors: a log that
   cannot be read, or has a line that is not a record. */
#ifndef TN_APP_HISTORY_H
#define TN_APP_HISTORY_H

#include "apps/chart/curves.h"
#include "apps/options/options.h"

enum { HISTORY_MOST = 8 }; /* runs of a chart */

typedef struct history_line { /* the losses of one part of the data */
    double *step, *loss;
    int64_t n, room;
} history_line;

typedef struct history {
    const char *name; /* the caller's path */
    history_line train, valid;
    double seconds; /* of the last record that has them */
    bool pairs;     /* its loss is that of preferences */
    char *config;   /* the options in the first record, as JSON; NULL: none */
} history;

typedef struct history_look {
    bool log_y;
    int columns;   /* of the terminal; 0: 72 */
    double smooth; /* of the chart; 0: none; NOT_SET: by the number of points, at most 0.9 */
} history_look;

/* path: the folder of a run, or its log.jsonl. */
int history_read(history *h, const char *path, tn_error *e);
void history_free(history *h);
/* The step and loss of the lowest validation loss; false: there is none. */
bool history_best(const history *h, double *step, double *loss);
/* One run: its training losses, their average and its validation losses. Several: a chart of the
   training losses, and one of the validation losses if a run has some. n: at most HISTORY_MOST. */
void history_svg(const history *h, int n, history_look look, tn_text *out);
void history_text(const history *h, int n, history_look look, curves_style style, tn_text *out);

#endif
