/* gguf_text.h - a GGUF file as lines of text, from which files with one fault are made.

       head 3 * *                          version, tensors, keys; *: as many as there are lines
       key general.architecture string llama
       key words array string 2 a b%20c    %20: the byte 0x20
       key deep array 9 1                  a kind by its number
       tensor norm 1 * 5                   type, place, dimensions; *: after the tensor before it
       tensor w 0 * 7 2 3 4 5 6 7 8        more than four dimensions: their number comes first
       data 32 00ff                        zeros up to a multiple of 32, then these bytes
       raw 00ff                            these bytes

   A string with a false length: @1000:llama. */
#ifndef TN_GGUF_TEXT_H
#define TN_GGUF_TEXT_H

#include "tests/fuzz/formats.h"

bytes gguf_pack(bytes text);
bytes gguf_unpack(bytes file); /* bytes that are not GGUF become one line "raw" */

#endif
