/* fixtures.c - files that tests read and write. */
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *assets(const char *name)
{
    const char *folder = getenv("TENON_ASSETS");
    char *path = folder ? tn_path_join(folder, name) : NULL;
    if (!folder)
        printf("skipped: %s (TENON_ASSETS is not set)\n", name);
    else
        ck_assert_msg(path && !access(path, R_OK), "$TENON_ASSETS/%s is not there", name);
    return path;
}

char *temporary(void)
{
    const char *base = getenv("TMPDIR");
    char *path = tn_path_join(base ? base : "/tmp", "tenon-test-XXXXXX");
    ck_assert_ptr_nonnull(path);
    ck_assert_ptr_nonnull(mkdtemp(path));
    return path;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    (void)s;
    (void)kind;
    (void)f;
    return remove(path);
}

void remove_all(const char *folder)
{
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void discard(char *folder)
{
    remove_all(folder);
    free(folder);
}

static void put_bytes(const char *folder, const char *name, const char *bytes, size_t n)
{
    char *path = tn_path_join(folder, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    free(path);
}

void put_file(const char *folder, const char *name, const char *text)
{
    put_bytes(folder, name, text, strlen(text));
}

void copy_file(const char *from, const char *to, const char *name)
{
    tn_error e = { 0 };
    size_t n;
    char *path = tn_path_join(from, name), *bytes = tn_file_read(path, (size_t)1 << 30, &n, &e);
    must(&e);
    put_bytes(to, name, bytes, n);
    free(bytes);
    free(path);
}

void must(const tn_error *e)
{
    ck_assert_msg(!e->code, "unexpected error %d: %s", e->code, e->text);
}

void must_fail(tn_error *e, int code, const char *part)
{
    ck_assert_msg(e->code, "no error; expected one with \"%s\"", part);
    ck_assert_msg(strstr(e->text, part), "error \"%s\"; expected one with \"%s\"", e->text, part);
    ck_assert_msg(e->code == code, "error %d: %s; expected code %d", e->code, e->text, code);
    *e = (tn_error){ 0 };
}

double difference(const tn_real *a, const double *b, int64_t n)
{
    double most = 0, scale = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);
        most = d > most || isnan(d) ? d : most;
        scale = fmax(scale, fabs(b[i]));
    }
    return most / scale;
}

double *read_doubles(const tn_safetensors *s, const char *name, int64_t *n)
{
    const tn_entry *entry = tn_safetensors_find(s, name);
    ck_assert_msg(entry && (entry->type == TN_FILE_F64 || entry->type == TN_FILE_F32),
                  "%s is not there", name);
    *n = tn_entry_count(entry);
    double *x = calloc((size_t)*n, sizeof *x);
    for (int64_t i = 0; i < *n; i++) {
        float f;
        if (entry->type == TN_FILE_F64) {
            memcpy(&x[i], (const char *)entry->bytes + 8 * i, 8);
            continue;
        }
        memcpy(&f, (const char *)entry->bytes + 4 * i, 4);
        x[i] = (double)f;
    }
    return x;
}

double *read_numbers(const tn_json *object, const char *key, int64_t *n)
{
    const tn_json *a = tn_json_find(object, key);
    ck_assert_msg(a && a->kind == TN_ARRAY, "%s is not there", key);
    *n = a->count;
    double *x = calloc((size_t)*n, sizeof *x);
    const tn_json *v = a->child;
    for (int64_t i = 0; i < *n; i++, v = v->next)
        ck_assert(tn_json_real(v, &x[i]));
    return x;
}
