/* events.h - the event file of TensorBoard: records of a step, a tag and a number.

       tn_text bytes = { 0 };
       events_version(1764400000, &bytes);                    the first record of a file
       events_start(1764400000, 12, &bytes);                  a resume: what follows begins at step 12
       events_number(1764400000, 12, "train/loss", 1.5, &bytes);

   The bytes are those of TFRecord: length, its checksum, an Event in the encoding of protocol
   buffers, its checksum. Times are seconds since 1970. */
#ifndef TN_APP_EVENTS_H
#define TN_APP_EVENTS_H

#include "data/data.h"

#define EVENTS_FILE "events.out.tfevents.tenon"
#define EVENTS_HEAD "\x18\0\0\0\0\0\0\0\xa3\x7f\x4b\x22" /* how such a file begins: 12 bytes */

void events_version(double time, tn_text *out);
void events_start(double time, int64_t step, tn_text *out);
void events_number(double time, int64_t step, const char *tag, double value, tn_text *out);
/* How many of the n bytes are complete records with right checksums. */
size_t events_whole(const char *bytes, size_t n);

#endif
