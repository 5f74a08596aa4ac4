/* pipeline.c - which of the known tokenizers a tokenizer.json describes (readers.h).

   Source: the files of the models, and the components of the tokenizers library.

     family           normalizer                 pre_tokenizer                      decoder
     GPT-2            -                          ByteLevel                          ByteLevel
     SmolLM           -                          Digits, ByteLevel                  ByteLevel
     Llama 3          -                          Split, ByteLevel(no regex)         ByteLevel
     Qwen 2           NFC                        Split, ByteLevel(no regex)         ByteLevel
     Llama 2, Mistral Prepend, Replace           -                       Replace, ByteFallback, Fuse, Strip
     (newer export)   -                          Metaspace(no split)                as before
     Gemma            Replace                    Split(" ")              Replace, ByteFallback, Fuse
   Before Prepend there may be the two patterns that leave out spaces. */
#include "data/tokenizers/readers.h"

#include <string.h>

enum { STEPS = 8 };

#define MARK "\xE2\x96\x81"
static const char trim_ends[] = "(?<![\\s\\S]) +| +(?![\\s\\S])", trim_runs[] = " {2,}";

/* A part of the pipeline: its steps, of a Sequence or a single one. */
typedef struct steps {
    const char *where; /* "/normalizer" */
    const tn_json *step[STEPS];
    const char *type[STEPS];
    int n;
} steps;

int tn_reader_refuse(tn_reader r, const char *where, const char *found, const char *expected)
{
    tn_text quoted = { 0 };
    size_t n = strlen(found);
    for (n = n < 200 ? n : 200; n > 0 && ((unsigned char)found[n] & 0xC0) == 0x80; n--) {}
    tn_text_quote(&quoted, found, n);
    tn_fail(r.e, quoted.failed ? TN_ENOMEM : TN_EFORMAT, "%s: %s is %s; expected %s", r.path, where,
            quoted.failed ? "?" : quoted.s, expected);
    tn_text_free(&quoted);
    return r.e->code;
}

static const char *type_of(tn_reader r, const tn_json *v)
{
    const char *type = NULL;
    if (v->kind != TN_OBJECT) {
        tn_json_refuse(v, "an object or null", r.e);
        return NULL;
    }
    tn_json_get_string(v, "type", &type, r.e);
    if (type == NULL)
        tn_json_refuse(v, "an object with a \"type\"", r.e);
    return r.e->code ? NULL : type;
}

const char *tn_part_type(tn_reader r, const tn_json *root, const char *part)
{
    const tn_json *v = tn_json_find(root, part);
    return tn_json_is_null(v) ? "" : type_of(r, v);
}

static int add_step(tn_reader r, const tn_json *v, const char *type, steps *out)
{
    if (out->n == STEPS)
        return tn_json_refuse(v, "at most 8 steps", r.e);
    out->type[out->n] = type;
    out->step[out->n++] = v;
    return TN_OK;
}

/* list: how a Sequence names its steps. */
static int read_steps(tn_reader r, const tn_json *root, const char *where, const char *list,
                      steps *out)
{
    const tn_json *v = tn_json_find(root, where + 1);
    *out = (steps){ .where = where };
    const char *type = tn_json_is_null(v) ? NULL : type_of(r, v);
    if (type == NULL)
        return r.e->code;
    if (strcmp(type, "Sequence") != 0)
        return add_step(r, v, type, out);
    const tn_json *all = tn_json_find(v, list);
    if (all == NULL || all->kind != TN_ARRAY)
        return tn_json_refuse(all ? all : v, "an array of steps", r.e);
    for (const tn_json *step = all->child; step != NULL && !r.e->code; step = step->next) {
        type = type_of(r, step);
        if (type != NULL)
            add_step(r, step, type, out);
    }
    return r.e->code;
}

static bool is(const steps *s, int i, const char *type)
{
    return i < s->n && !strcmp(s->type[i], type);
}

/* Is the member a string of this text? */
static bool says(const tn_json *object, const char *key, const char *text)
{
    const tn_json *v = tn_json_find(object, key);
    return v != NULL && v->kind == TN_STRING && v->length == strlen(text) && !strcmp(v->text, text);
}

static bool flag(tn_reader r, const tn_json *object, const char *key, bool normally)
{
    tn_json_get_bool(object, key, &normally, r.e);
    return normally;
}

static int refuse_step(tn_reader r, const steps *s, int i, const char *expected)
{
    return tn_reader_refuse(r, s->where, i < s->n ? s->type[i] : "", expected);
}

/* Replace { pattern: { kind: pattern }, content } */
static bool replaces(const steps *s, int i, const char *kind, const char *pattern,
                     const char *content)
{
    return is(s, i, "Replace") && says(tn_json_find(s->step[i], "pattern"), kind, pattern) &&
           says(s->step[i], "content", content);
}

/* ---- byte-level ---- */

static tn_split read_split(tn_reader r, const steps *s)
{
    static const char known[] = "a pattern of Llama 3 or Qwen 2";
    const tn_json *step = s->step[0], *pattern = tn_json_find(step, "pattern");
    const char *regex = NULL;
    tn_json_get_string(pattern, "Regex", &regex, r.e);
    const tn_split split = regex ? tn_split_of(regex) : TN_SPLIT_NONE;
    if (r.e->code)
        return split;
    if (regex == NULL)
        tn_json_refuse(pattern ? pattern : step, "an object \"Regex\"", r.e);
    else if (split == TN_SPLIT_NONE)
        tn_reader_refuse(r, "a pattern of /pre_tokenizer", regex, known);
    else if (!says(step, "behavior", "Isolated") || flag(r, step, "invert", false))
        tn_json_refuse(step, "the behavior Isolated, not inverted", r.e);
    return split;
}

static int read_byte_level(tn_reader r, const steps *normal, const steps *pre, const steps *decoder,
                           tn_rules *out)
{
    const int last = pre->n - 1;
    out->byte_level = true;
    out->nfc = is(normal, 0, "NFC");
    if (normal->n > out->nfc)
        return refuse_step(r, normal, out->nfc, "null or NFC");
    if (!is(pre, last, "ByteLevel") || last > 1)
        return refuse_step(r, pre, last, "ByteLevel, after Digits or a Split or alone");
    if (flag(r, pre->step[last], "add_prefix_space", true))
        return tn_reader_refuse(r, "/pre_tokenizer/add_prefix_space", "true", "false");
    const bool regex = flag(r, pre->step[last], "use_regex", true);
    if (last == 0)
        out->split = regex ? TN_SPLIT_GPT2 : TN_SPLIT_NONE;
    else if (is(pre, 0, "Digits") && regex && flag(r, pre->step[0], "individual_digits", false))
        out->split = TN_SPLIT_SMOLLM;
    else if (is(pre, 0, "Split") && !regex)
        out->split = read_split(r, pre);
    else
        return refuse_step(r, pre, 0, "Digits (individual) with use_regex, or Split without it");
    if (!r.e->code && (decoder->n != 1 || !is(decoder, 0, "ByteLevel")))
        return refuse_step(r, decoder, 0, "ByteLevel");
    return r.e->code;
}

/* ---- SentencePiece ---- */

static int read_metaspace(tn_reader r, const steps *pre, tn_rules *out)
{
    const tn_json *step = pre->step[0];
    const char *scheme = flag(r, step, "add_prefix_space", true) ? "always" : "never";
    tn_json_get_string(step, "prepend_scheme", &scheme, r.e);
    if (r.e->code)
        return r.e->code;
    if (!says(step, "replacement", MARK) || flag(r, step, "split", true))
        return tn_json_refuse(step, "the replacement U+2581 and no split", r.e);
    out->prefix = !strcmp(scheme, "first")    ? TN_PREFIX_FIRST
                  : !strcmp(scheme, "always") ? TN_PREFIX_UNLESS
                                              : TN_PREFIX_NONE;
    if (out->prefix == TN_PREFIX_NONE && strcmp(scheme, "never") != 0)
        return tn_reader_refuse(r, "/pre_tokenizer/prepend_scheme", scheme,
                                "first, always or never");
    return r.e->code;
}

static int read_spaces(tn_reader r, const steps *normal, const steps *pre, tn_rules *out)
{
    int i = 0;
    if (is(pre, 0, "Metaspace") && pre->n == 1 && normal->n == 0)
        return read_metaspace(r, pre, out);
    if (replaces(normal, i, "Regex", trim_ends, "") &&
        replaces(normal, i + 1, "Regex", trim_runs, " ")) {
        out->trim = true;
        i += 2;
    }
    if (is(normal, i, "Prepend")) {
        if (!says(normal->step[i], "prepend", MARK))
            return tn_json_refuse(normal->step[i], "the prepend U+2581", r.e);
        out->prefix = TN_PREFIX_ALWAYS;
        i++;
    }
    if (!replaces(normal, i, "String", " ", MARK) || i + 1 != normal->n)
        return refuse_step(r, normal, i,
                           "Replace of spaces by U+2581, or NFC or null with ByteLevel");
    const tn_json *pattern = pre->n ? tn_json_find(pre->step[0], "pattern") : NULL;
    if (pre->n && (pre->n != 1 || !is(pre, 0, "Split") || !says(pattern, "String", " ")))
        return refuse_step(r, pre, 0, "null, ByteLevel, Metaspace or Split at spaces");
    return TN_OK;
}

static int read_decoder(tn_reader r, const steps *decoder, tn_rules *out)
{
    bool spaces = false, bytes = false;
    for (int i = 0; i < decoder->n && !r.e->code; i++) {
        int64_t start = 0, stop = 0;
        if (replaces(decoder, i, "String", MARK, " ")) {
            spaces = true;
        } else if (is(decoder, i, "Metaspace")) {
            spaces = true;
            out->strip = out->prefix != TN_PREFIX_NONE;
        } else if (is(decoder, i, "Strip")) {
            tn_json_get_int(decoder->step[i], "start", &start, r.e);
            tn_json_get_int(decoder->step[i], "stop", &stop, r.e);
            out->strip = true;
            if (!says(decoder->step[i], "content", " ") || start != 1 || stop != 0)
                return tn_json_refuse(decoder->step[i], "one space at the beginning", r.e);
        } else if (is(decoder, i, "ByteFallback")) {
            bytes = true;
        } else if (!is(decoder, i, "Fuse")) {
            return refuse_step(r, decoder, i, "Replace, ByteFallback, Fuse, Strip or Metaspace");
        }
    }
    if (!r.e->code && (!spaces || (out->byte_fallback && !bytes)))
        return refuse_step(r, decoder, 0, spaces ? "ByteFallback" : "Replace of U+2581 by a space");
    return r.e->code;
}

/* ---- all ---- */

static int read_model(tn_reader r, const tn_json *model, tn_rules *out)
{
    static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
    for (int i = 0; i < 2; i++) {
        const tn_json *v = tn_json_find(model, affixes[i]);
        if (!tn_json_is_null(v) && !(v->kind == TN_STRING && v->length == 0))
            return tn_json_refuse(v, "null", r.e);
    }
    if (!tn_json_is_null(tn_json_find(model, "dropout")))
        return tn_json_refuse(tn_json_find(model, "dropout"), "null", r.e);
    out->byte_fallback = flag(r, model, "byte_fallback", false);
    out->fuse_unknown = flag(r, model, "fuse_unk", false);
    out->ignore_merges = flag(r, model, "ignore_merges", false);
    return r.e->code;
}

int tn_pipeline_read(tn_reader r, const tn_json *root, tn_rules *out)
{
    steps normal, pre, decoder;
    const tn_json *model = tn_json_find(root, "model");
    *out = (tn_rules){ .unknown = -1, .begin = -1, .after = -1 };
    if (read_model(r, model, out) || read_steps(r, root, "/normalizer", "normalizers", &normal) ||
        read_steps(r, root, "/pre_tokenizer", "pretokenizers", &pre) ||
        read_steps(r, root, "/decoder", "decoders", &decoder))
        return r.e->code;
    bool level = false;
    for (int i = 0; i < pre.n; i++)
        level = level || is(&pre, i, "ByteLevel");
    if (level && out->byte_fallback)
        return tn_reader_refuse(r, "/model/byte_fallback", "true", "false with ByteLevel");
    if (level)
        return read_byte_level(r, &normal, &pre, &decoder, out);
    if (out->ignore_merges)
        return tn_reader_refuse(r, "/model/ignore_merges", "true", "false without ByteLevel");
    if (read_spaces(r, &normal, &pre, out))
        return r.e->code;
    return read_decoder(r, &decoder, out);
}

/* The id of a special token of a template. */
static int read_special(tn_reader r, const tn_json *post, const tn_json *token, int32_t *out)
{
    const char *name = NULL;
    int64_t id = -1;
    tn_json_get_string(token, "id", &name, r.e);
    const tn_json *special = tn_json_find(tn_json_find(post, "special_tokens"), name);
    const tn_json *ids = tn_json_find(special, "ids");
    if (r.e->code)
        return r.e->code;
    if (ids == NULL || ids->kind != TN_ARRAY || ids->count != 1 || !tn_json_int(ids->child, &id) ||
        id < 0 || id > INT32_MAX || *out >= 0)
        return tn_json_refuse(token, "one special token with one id on each side of the text", r.e);
    *out = (int32_t)id;
    return TN_OK;
}

static int read_template(tn_reader r, const tn_json *post, tn_rules *out)
{
    const tn_json *single = tn_json_find(post, "single");
    bool text = false;
    if (single == NULL || single->kind != TN_ARRAY)
        return tn_json_refuse(single ? single : post, "an array \"single\"", r.e);
    for (const tn_json *v = single->child; v != NULL && !r.e->code; v = v->next) {
        const tn_json *token = tn_json_find(v, "SpecialToken");
        if (token != NULL)
            read_special(r, post, token, text ? &out->after : &out->begin);
        else if (tn_json_find(v, "Sequence") == NULL || text)
            tn_json_refuse(v, "one Sequence, or a SpecialToken", r.e);
        text = text || token == NULL;
    }
    return r.e->code;
}

int tn_pipeline_post(tn_reader r, const tn_json *root, tn_rules *out)
{
    steps post;
    read_steps(r, root, "/post_processor", "processors", &post);
    for (int i = 0; i < post.n && !r.e->code; i++) {
        if (is(&post, i, "TemplateProcessing"))
            read_template(r, post.step[i], out);
        else if (!is(&post, i, "ByteLevel"))
            refuse_step(r, &post, i, "null, ByteLevel or TemplateProcessing");
    }
    return r.e->code;
}
