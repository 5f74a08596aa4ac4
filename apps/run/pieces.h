/* pieces.h - what --data names, taken apart: the texts, files of records and tasks of a part.

       pieces p;
       pieces_find(o, PART_TRAIN, &p, &e);
       for (int i = 0; i < p.n; i++) use(p.piece[i]);
       pieces_free(&p); */
#ifndef TN_APP_PIECES_H
#define TN_APP_PIECES_H

#include "apps/run/source.h"

typedef struct piece {
    data_kind kind;
    char *path;          /* of a file; NULL for a task */
    tn_side side;        /* of records: TN_SIDE_ALL if the file belongs to one part */
    double from, to;     /* of a text or its ids: the fractions that are read */
    const tn_task *task; /* of a task, */
    int64_t count;       /* and how many records were asked for; -1: none */
} piece;

typedef struct pieces {
    piece *piece;
    int n, room;
} pieces;

/* What --data or --task has for this part. Every file that a part must have exists. */
int pieces_find(const options *o, part which, pieces *out, tn_error *e);
void pieces_free(pieces *p);
/* The task of "task:NAME[:COUNT]", or of a name alone. NULL: there is an error. */
const tn_task *pieces_task(const char *text, bool name_alone, int64_t *count, tn_error *e);
extern const char *const part_names[PARTS];

#endif
