/* format_safetensors.h - the text of a safetensors file, for formats that are made of one. */
#ifndef TN_FORMAT_SAFETENSORS_H
#define TN_FORMAT_SAFETENSORS_H

#include "tests/fuzz/formats.h"

bytes safetensors_pack(bytes text);
bytes safetensors_unpack(bytes file);

#endif
