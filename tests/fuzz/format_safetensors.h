/* format_safetensors.h - a safetensors file as text, for formats that contain one. */
#ifndef TN_FORMAT_SAFETENSORS_H
#define TN_FORMAT_SAFETENSORS_H

#include "tests/fuzz/formats.h"

bytes safetensors_pack(bytes text);
bytes safetensors_unpack(bytes file);

#endif
