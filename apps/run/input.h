/* input.h - text from standard input. */
#ifndef TN_APP_INPUT_H
#define TN_APP_INPUT_H

#include "data/data.h"

/* Appends all of standard input, without the line end at its end. */
void input_read(tn_text *out, tn_error *e);

#endif
