/* gguf_types.c - the types of tensors in GGUF files.
   All that llama.cpp writes, so that any file can be described; most of them are not read. */
#include "data/formats/gguf_file.h"

static const tn_gguf_layout rows[] = {
    { "F32", 0, 1, 4, TN_FILE_F32 },
    { "F16", 1, 1, 2, TN_FILE_F16 },
    { "Q4_0", 2, 32, 18, TN_FILE_Q4_0 },
    { "Q4_1", 3, 32, 20, TN_FILE_Q4_1 },
    { "Q5_0", 6, 32, 22, TN_FILE_Q5_0 },
    { "Q5_1", 7, 32, 24, TN_FILE_Q5_1 },
    { "Q8_0", 8, 32, 34, TN_FILE_Q8_0 },
    { "Q2_K", 10, 256, 84, TN_FILE_OTHER },
    { "Q3_K", 11, 256, 110, TN_FILE_OTHER },
    { "Q4_K", 12, 256, 144, TN_FILE_Q4_K },
    { "Q5_K", 13, 256, 176, TN_FILE_Q5_K },
    { "Q6_K", 14, 256, 210, TN_FILE_Q6_K },
    { "IQ2_XXS", 16, 256, 66, TN_FILE_OTHER },
    { "IQ2_XS", 17, 256, 74, TN_FILE_OTHER },
    { "IQ3_XXS", 18, 256, 98, TN_FILE_OTHER },
    { "IQ1_S", 19, 256, 50, TN_FILE_OTHER },
    { "IQ4_NL", 20, 32, 18, TN_FILE_OTHER },
    { "IQ3_S", 21, 256, 110, TN_FILE_OTHER },
    { "IQ2_S", 22, 256, 82, TN_FILE_OTHER },
    { "IQ4_XS", 23, 256, 136, TN_FILE_OTHER },
    { "I8", 24, 1, 1, TN_FILE_I8 },
    { "I16", 25, 1, 2, TN_FILE_I16 },
    { "I32", 26, 1, 4, TN_FILE_I32 },
    { "I64", 27, 1, 8, TN_FILE_I64 },
    { "F64", 28, 1, 8, TN_FILE_F64 },
    { "IQ1_M", 29, 256, 56, TN_FILE_OTHER },
    { "BF16", 30, 1, 2, TN_FILE_BF16 },
    { "TQ1_0", 34, 256, 54, TN_FILE_OTHER },
    { "TQ2_0", 35, 256, 66, TN_FILE_OTHER },
    { "MXFP4", 39, 32, 17, TN_FILE_OTHER },
    { "NVFP4", 40, 64, 36, TN_FILE_OTHER },
    { "Q1_0", 41, 128, 18, TN_FILE_OTHER },
};

enum { ROWS = sizeof rows / sizeof *rows };

const tn_gguf_layout *tn_gguf_layout_number(uint32_t number)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

const tn_gguf_layout *tn_gguf_layout_type(tn_file_type type)
{
    for (int i = 0; i < ROWS; i++)
        if (rows[i].type == type && type != TN_FILE_OTHER)
            return &rows[i];
    return NULL;
}
