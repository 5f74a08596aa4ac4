/* format_safetensors.c - safetensors: eight bytes with a number N, N bytes of JSON, the data.
   As text it is the JSON, a line feed, the data. */
#include "tests/fuzz/format_safetensors.h"

#include "data/data.h"

#include <stdlib.h>
#include <string.h>

bytes safetensors_pack(bytes text)
{
    const char *end = text.n ? memchr(text.s, '\n', text.n) : NULL;
    const uint64_t n = end ? (uint64_t)(end - text.s) : text.n;
    const size_t skipped = n + (end != NULL);
    bytes out = { malloc(sizeof n + text.n + 1), sizeof n + n + text.n - skipped };
    memcpy(out.s, &n, sizeof n);
    memcpy(out.s + sizeof n, text.s, n);
    memcpy(out.s + sizeof n + n, text.s + skipped, text.n - skipped);
    return out;
}

bytes safetensors_unpack(bytes file)
{
    uint64_t n = 0;
    if (file.n >= sizeof n)
        memcpy(&n, file.s, sizeof n);
    if (file.n < sizeof n || n > file.n - sizeof n) {
        bytes whole = { malloc(file.n + 1), file.n };
        memcpy(whole.s, file.s, file.n);
        return whole;
    }
    bytes out = { malloc(file.n), file.n - sizeof n + 1 };
    memcpy(out.s, file.s + sizeof n, n);
    out.s[n] = '\n';
    memcpy(out.s + n + 1, file.s + sizeof n + n, file.n - sizeof n - n);
    return out;
}

#define A "'a':{'dtype':'F32','shape':[2,2],'data_offsets':[0,16]}"
#define B "'b':{'dtype':'I32','shape':[3],'data_offsets':[16,28]}"
#define C "'c':{'dtype':'BF16','shape':[],'data_offsets':[28,30]}"
#define D "'d':{'dtype':'F16','shape':[0,5],'data_offsets':[30,30]}"
#define META "'__metadata__':{'format':'pt'}"
#define DATA "0123456789abcdefghijklmnopqrst"
#define TEXT "{" META "," A "," B "," C "," D "}\n" DATA

static const row rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "{}", NULL, false },
    { NULL, "[]", "the top value is an array", false },
    { NULL, "7", "the top value is a number", false },
    { NULL, "{}\n1234", "the tensors end at byte 0", false },
    { "{'__", "{ ", ":1: found `m` at column 3", false },
    { "'a':{'dtype'", "'a':['dtype'", ":1: found `:` at column 45", false },
    { "'a':{", "'a':7,'x':{", "/a is a number", false },
    { "'dtype':'F32',", "", "tensor 'a' has no dtype", false },
    { "'shape':[2,2],", "", "tensor 'a' has no shape", false },
    { ",'data_offsets':[0,16]", "", "tensor 'a' has no data_offsets", false },
    { "'F32'", "32", "/a/dtype is a number", false },
    { "'F32'", "null", "/a/dtype is null", false },
    { "'F32'", "'F64'", "tensor 'a' has 16 bytes", false },
    { "'F32'", "'F16'", "tensor 'a' has 16 bytes", false },
    { "'F32'", "'F4'", "tensor 'a' has 16 bytes", false },
    { "'F32'", "'f32'", NULL, false },
    { "[2,2]", "[2,3]", "tensor 'a' has 16 bytes", false },
    { "[2,2]", "4", "/a/shape is a number", false },
    { "[2,2]", "'2,2'", "/a/shape is the string '2,2'", false },
    { "[2,2]", "[2,'2']", "/a/shape/1 is the string '2'", false },
    { "[2,2]", "[-2,-2]", "/a/shape/0 is a number", false },
    { "[2,2]", "[2.0,2]", "/a/shape/0 is a number", false },
    { "[2,2]", "[1e1,2]", "/a/shape/0 is a number", false },
    { "[2,2]", "[4294967296,4294967296]", "tensor 'a': its shape overflows", false },
    { "[2,2]", "[9223372036854775807,2]", "tensor 'a': its shape overflows", false },
    { "[2,2]", "[9223372036854775808,0]", "/a/shape/0 is a number", false },
    { "[2,2]", "[1,1,1,1,1,1,1,2,2]", "/a/shape is an array", false },
    { "[0,16]", "[0,16,16]", "/a/data_offsets is an array", false },
    { "[0,16]", "[16]", "/a/data_offsets is an array", false },
    { "[0,16]", "[16,0]", "tensor 'a': data_offsets [16,0]", false },
    { "[0,16]", "[-1,15]", "/a/data_offsets/0 is a number", false },
    { "[0,16]", "[0,'16']", "/a/data_offsets/1 is the string '16'", false },
    { "[0,16]", "16", "/a/data_offsets is a number", false },
    { "[0,16]", "[0,17]", "tensor 'a' has 17 bytes", false },
    { "[16,28]", "[15,27]", "tensor 'b' begins at byte 15", false },
    { "[16,28]", "[18,30]", "tensor 'b' begins at byte 18", false },
    { "[28,30]", "[28,9999]", "tensor 'c': data_offsets [28,9999]", false },
    { "[28,30]", "[28,18446744073709551615]", "/c/data_offsets/1 is a number", false },
    { "[30,30]", "[29,29]", "tensor 'd' begins at byte 29", false },
    { "'b':", "'a':", ":1: found the key 'a' again at column 93", false },
    { "'b':", "'\\u0061':", ":1: found the key 'a' again at column 98", false },
    { "{'format':'pt'}", "{'format':7}", "/__metadata__/format is a number", false },
    { "{'format':'pt'}", "'pt'", "/__metadata__ is the string 'pt'", false },
    { "{'format':'pt'}", "{'a':1,'a':2}", ":1: found the key 'a' again at column 28", false },
    { "{'format':'pt'}", "[]", "/__metadata__ is an array", false },
    { "", "x", "the tensors end at byte 30", false },
    { "mnopqrst", NULL, "tensor 'b': data_offsets [16,28]", false },
    { ",'d':{'dtype':'F16','shape':[0,5],'data_offsets':[30,30]}", "", NULL, false },
    { ",'c':{'dtype':'BF16','shape':[],'data_offsets':[28,30]}", "", "tensor 'd' begins at byte 30",
      false },
    { "{'__metadata__'", "{'__metadata__':{},'__metadata__'",
      ":1: found the key '__metadata__' again at column 35", false },
    { "'I32','shape':[3]", "'I64','shape':[3]", "tensor 'b' has 12 bytes", false },
    { "{'__", "{'_", "tensor '_metadata__' has no dtype", false },
    { "{'__", NULL, "a header of 255 bytes", true },
    { "F32", NULL, "a header of 255 bytes", true },
    { "{'__", "{'__x", ":1: found the end at column 256", true },
    { "{'__", "x'__", ":1: found `x` at column 1", true },
    { "cdef", NULL, "tensor 'a': data_offsets [0,16]", true },
    { "", "more", "the tensors end at byte 30", true },
    /* valid */
    { "'__metadata__':{'format':'pt'},", "", NULL, false },
    { "{'format':'pt'}", "{}", NULL, false },
    { "{'format':'pt'}", "null", NULL, false },
    { "'dtype':'F32',", "'dtype':'F32','more':[1],", NULL, false },
    { "'F32','shape':[2,2]", "'F64','shape':[2]", NULL, false },
    { "'F32','shape':[2,2]", "'F16','shape':[8]", NULL, false },
    { "'F32','shape':[2,2]", "'U8','shape':[16]", NULL, false },
    { "'F32','shape':[2,2]", "'F8_E4M3','shape':[4,4]", NULL, false },
    { "'F32','shape':[2,2]", "'NEW9','shape':[1]", NULL, false },
    { "'F32','shape':[2,2]", "'F4','shape':[32]", NULL, false },
    { "[2,2]", "[1,1,1,1,1,1,2,2]", NULL, false },
    { "}\n", "}    \n", NULL, false },
    { "{'__", "{ '__", NULL, false },
    { "'a':", "'':", NULL, false },
    { "'a':", "'layer.0.\\u00e9 \\n':", NULL, false },
    { ",'d':{'dtype':'F16','shape':[0,5],'data_offsets':[30,30]}", "", NULL, false },
    { "'a':{'dtype':'F32','shape':[2,2],'data_offsets':[0,16]},'b':{'dtype':'I32','shape':[3],'data_offsets':[16,28]}",
      "'b':{'dtype':'I32','shape':[3],'data_offsets':[16,28]},'a':{'dtype':'F32','shape':[2,2],'data_offsets':[0,16]}",
      NULL, false },
    { "[0,5]", "[5,0,9223372036854775807]", NULL, false },
    END,
};

static void furnish(const char *folder)
{
    char *text = unquoted(TEXT, true);
    bytes file = safetensors_pack((bytes){ text, strlen(text) });
    file_write(folder, "x.safetensors", file);
    free(file.s);
    free(text);
}

/* Reads every tensor as numbers. Then writes all tensors and reads them again. */
static int use(const char *folder, tn_error *e)
{
    char *path = path_in(folder, "x.safetensors"), *again = path_in(folder, "again");
    tn_safetensors *s = tn_safetensors_open(path, e);
    int64_t n = s ? tn_safetensors_count(s) : 0, kept = 0;
    tn_entry *entries = calloc((size_t)n + 1, sizeof *entries);
    for (int64_t i = 0; i < n && !e->code; i++) {
        const tn_entry *t = tn_safetensors_at(s, i);
        void *numbers = malloc(8 * (size_t)t->size + 8);
        if (tn_safetensors_find(s, t->name) != t)
            abort();
        if (t->type == TN_FILE_I32 || t->type == TN_FILE_I64)
            tn_entry_int(s, t, numbers, e);
        else if (t->type != TN_FILE_OTHER && t->type < TN_FILE_I16)
            tn_entry_real(s, t, numbers, e);
        if (t->type != TN_FILE_OTHER)
            entries[kept++] = *t;
        free(numbers);
    }
    if (!e->code && !tn_safetensors_write(again, entries, kept, NULL, e)) {
        tn_safetensors *copy = tn_safetensors_open(again, e);
        for (int64_t i = 0; i < kept; i++) {
            const tn_entry *t = tn_safetensors_find(copy, entries[i].name);
            if (!t || t->size != entries[i].size || memcmp(t->bytes, entries[i].bytes, t->size))
                abort();
        }
        tn_safetensors_close(copy);
    }
    free(entries);
    tn_safetensors_close(s);
    free(again);
    free(path);
    return e->code;
}

/* clang-format off */
const format format_safetensors = { .name = "safetensors", .json = true, .file = "x.safetensors",
                                    .furnish = furnish, .use = use, .pack = safetensors_pack,
                                    .unpack = safetensors_unpack, .rows = rows };
/* clang-format on */
