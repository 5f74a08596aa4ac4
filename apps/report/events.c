/* events.c - writes records of TensorBoard's event file by hand. */
#include "apps/report/events.h"

#include <string.h>

/* ---- TFRecord: u64 length, u32 checksum of these 8 bytes, data, u32 checksum of the data ---- */

/* CRC-32C (polynomial 0x1EDC6F41, reflected), rotated and shifted as TFRecord asks. */
static uint32_t masked_crc(const char *bytes, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)bytes[i];
        for (int k = 0; k < 8; k++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static void little(uint64_t x, int bytes, char *out)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (char)(x >> 8 * i & 0xff);
}

static void add_record(const tn_text *event, tn_text *out)
{
    char length[8], check[4];
    little(event->n, 8, length);
    tn_text_bytes(out, length, 8);
    little(masked_crc(length, 8), 4, check);
    tn_text_bytes(out, check, 4);
    tn_text_bytes(out, event->s, event->n);
    little(masked_crc(event->s, event->n), 4, check);
    tn_text_bytes(out, check, 4);
    out->failed = out->failed || event->failed;
}

size_t events_whole(const char *bytes, size_t n)
{
    size_t at = 0;
    while (n - at >= 16) {
        uint64_t length = 0;
        char check[4];
        for (int i = 7; i >= 0; i--)
            length = length << 8 | (unsigned char)bytes[at + (size_t)i];
        little(masked_crc(bytes + at, 8), 4, check);
        if (memcmp(bytes + at + 8, check, 4) || length > n - at - 16)
            return at;
        little(masked_crc(bytes + at + 12, (size_t)length), 4, check);
        if (memcmp(bytes + at + 12 + length, check, 4))
            return at;
        at += (size_t)length + 16;
    }
    return at;
}

/* ---- an Event: fields of a key (number << 3 | kind) and a value ---- */

enum { VARINT = 0, EIGHT = 1, BYTES = 2, FOUR = 5 }; /* kinds */

static void add_varint(uint64_t x, tn_text *out)
{
    for (; x > 127; x >>= 7)
        tn_text_bytes(out, (char[]){ (char)(x | 128) }, 1);
    tn_text_bytes(out, (char[]){ (char)x }, 1);
}

static void add_key(int field, int kind, tn_text *out)
{
    add_varint((uint64_t)(field << 3 | kind), out);
}

static void add_double(int field, double x, tn_text *out)
{
    uint64_t bits;
    char bytes[8];
    memcpy(&bits, &x, sizeof bits);
    little(bits, 8, bytes);
    add_key(field, EIGHT, out);
    tn_text_bytes(out, bytes, 8);
}

static void add_float(int field, float x, tn_text *out)
{
    uint32_t bits;
    char bytes[4];
    memcpy(&bits, &x, sizeof bits);
    little(bits, 4, bytes);
    add_key(field, FOUR, out);
    tn_text_bytes(out, bytes, 4);
}

static void add_bytes(int field, const char *bytes, size_t n, tn_text *out)
{
    add_key(field, BYTES, out);
    add_varint(n, out);
    tn_text_bytes(out, bytes, n);
}

/* Fields of an Event: 1 time, 2 step, 3 file version, 5 summary, 7 session. */
static void begin_event(double time, int64_t step, tn_text *event)
{
    add_double(1, time, event);
    if (step) { /* a zero is not written */
        add_key(2, VARINT, event);
        add_varint((uint64_t)step, event);
    }
}

static void end_event(tn_text *event, tn_text *out)
{
    add_record(event, out);
    tn_text_free(event);
}

void events_version(double time, tn_text *out)
{
    tn_text event = { 0 };
    begin_event(time, 0, &event);
    add_bytes(3, "brain.Event:2", 13, &event);
    end_event(&event, out);
}

/* A SessionLog with status START: readers forget what they have from this step on. */
void events_start(double time, int64_t step, tn_text *out)
{
    static const char start[] = { 1 << 3 | VARINT, 1 };
    tn_text event = { 0 };
    begin_event(time, step, &event);
    add_bytes(7, start, sizeof start, &event);
    end_event(&event, out);
}

void events_number(double time, int64_t step, const char *tag, double value, tn_text *out)
{
    tn_text event = { 0 }, summary = { 0 }, item = { 0 };
    add_bytes(1, tag, strlen(tag), &item);
    add_float(2, (float)value, &item);
    add_bytes(1, item.s, item.n, &summary);
    begin_event(time, step, &event);
    add_bytes(5, summary.s, summary.n, &event);
    event.failed = event.failed || summary.failed || item.failed;
    end_event(&event, out);
    tn_text_free(&summary);
    tn_text_free(&item);
}
