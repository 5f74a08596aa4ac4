/* letters.c - which characters texts have, for a tokenizer of characters (letters.h). */
#include "apps/run/letters.h"
#include "core/utf8.h"
#include "data/formats/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CODES = 0x110000, AT_ONCE = 1 << 20, LONGEST = 4 };

letters letters_begin(tn_error *e)
{
    letters l = { e->code ? NULL : calloc(CODES, 1) };
    if (!l.seen)
        tn_fail(e, TN_ENOMEM, "the texts for a tokenizer: out of memory");
    return l;
}

void letters_end(letters *l)
{
    free(l->seen);
    *l = (letters){ 0 };
}

size_t letters_add(letters *l, const char *path, const char *s, size_t n, size_t at, tn_error *e)
{
    size_t done = 0;
    for (size_t bytes; done < n && !e->code; done += bytes) {
        uint32_t code = 0;
        bytes = tn_utf8_read(s + done, n - done, &code);
        if (bytes == 0 && n - done < LONGEST)
            break;
        if (bytes == 0 || code == 0)
            tn_fail(e, TN_EFORMAT, "%s: byte %zu: %s; expected UTF-8 text", path, at + done,
                    bytes ? "a zero byte" : "malformed UTF-8");
        l->seen[code] = 1;
    }
    return done;
}

/* Adds the characters of an open file. A text that ends inside of a character is refused. */
static void add_bytes(letters *l, int fd, const char *path, char *room, tn_error *e)
{
    size_t held = 0, at = 0;
    for (ssize_t n = 1; n != 0 && !e->code;) {
        n = read(fd, room + held, AT_ONCE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            tn_fail(e, TN_EIO, "%s: cannot read: %s", path, strerror(errno));
        if (n <= 0)
            break;
        const size_t has = held + (size_t)n;
        const size_t mark = at ? 0 : tn_text_mark(path, room, has, e);
        const size_t done = mark + letters_add(l, path, room + mark, has - mark, at, e);
        held = has - done;
        at += done - mark;
        memmove(room, room + done, held);
    }
    if (held && !e->code)
        tn_fail(e, TN_EFORMAT, "%s: byte %zu: malformed UTF-8; expected UTF-8 text", path, at);
}

int letters_add_file(letters *l, const char *path, tn_error *e)
{
    size_t size;
    const int fd = e->code ? -1 : tn_file_open(path, &size, e);
    char *room = malloc(AT_ONCE + LONGEST);
    if (!room)
        tn_fail(e, TN_ENOMEM, "%s: out of memory", path);
    else if (fd >= 0)
        add_bytes(l, fd, path, room, e);
    free(room);
    if (fd >= 0)
        close(fd);
    return e->code;
}

tn_tokenizer *letters_tokenizer(const letters *l, tn_error *e)
{
    tn_text text = { 0 };
    for (uint32_t code = 1; code < CODES && !e->code; code++) {
        char s[LONGEST];
        if (l->seen[code])
            tn_text_bytes(&text, s, tn_utf8_write(code, s));
    }
    const char *all = tn_text_done(&text, "the texts for a tokenizer", e);
    tn_tokenizer *k = all ? tn_tokenizer_chars(all, text.n, e) : NULL;
    tn_text_free(&text);
    return k;
}
