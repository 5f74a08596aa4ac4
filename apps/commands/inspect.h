/* inspect.h - the part of tenon inspect that prints data.

       inspect_data(o, &e);                    --data, for --model or a --tokenizer */
#ifndef TN_APP_INSPECT_H
#define TN_APP_INSPECT_H

#include "apps/options/options.h"

int inspect_data(const options *o, tn_error *e);

#endif
