/* format_bpe.c - tokenizers with merges: tokenizer.json of both kinds, merges.txt, tokenizer.model. */
#include "tests/fuzz/formats.h"

#include "data/data.h"

#include <stdlib.h>
#include <string.h>

/* ---- tokenizer.json, byte-level ---- */

#define REST "| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define QWEN "(?i:`s|`t|`re|`ve|`m|`ll|`d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}" REST

#define BPE                                                                                        \
    "{'added_tokens':[{'id':9,'content':'<|end|>','single_word':false,'lstrip':false,"             \
    "'rstrip':false,'normalized':false,'special':true}],\n"                                        \
    "'normalizer':{'type':'NFC'},'pre_tokenizer':{'type':'Sequence','pretokenizers':["             \
    "{'type':'Split','pattern':{'Regex':'" QWEN "'},'behavior':'Isolated','invert':false},"        \
    "{'type':'ByteLevel','add_prefix_space':false,'use_regex':false}]},\n"                         \
    "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'<|end|>',"     \
    "'type_id':0}},{'Sequence':{'id':'A','type_id':0}}],'special_tokens':{'<|end|>':{"             \
    "'id':'<|end|>','ids':[9],'tokens':['<|end|>']}}},'decoder':{'type':'ByteLevel'},\n"           \
    "'model':{'type':'BPE','dropout':null,'unk_token':null,'end_of_word_suffix':'',"               \
    "'byte_fallback':false,'ignore_merges':false,\n"                                               \
    "'vocab':{'a':0,'b':1,'\\u0120':2,'\\u010a':3,'\\u00c3':4,'\\u00a9':5,'ab':6,"                 \
    "'\\u0120a':7,'\\u00c3\\u00a9':8},'merges':['a b',['\\u0120','a'],'\\u00c3 \\u00a9']}}\n"

static const row bpe_rows[] = {
    { "'type':'BPE'", "'type':'Unigram'", "/model/type is 'Unigram'", false },
    { "'dropout':null", "'dropout':0.1", "/model/dropout is a number", false },
    { "'end_of_word_suffix':''", "'end_of_word_suffix':'</w>'", "/model/end_of_word_suffix",
      false },
    { "'byte_fallback':false", "'byte_fallback':true", "/model/byte_fallback is 'true'", false },
    { "'ignore_merges':false", "'ignore_merges':1", "/model/ignore_merges is a number", false },
    { "'unk_token':null", "'unk_token':'?'", "/model/unk_token is '?'", false },
    { "'NFC'", "'NFKC'", "/normalizer is 'NFKC'; expected null or NFC", false },
    { "'normalizer':{'type':'NFC'}", "'normalizer':{'type':'Sequence'}", "/normalizer is an",
      false },
    { "'normalizer':{'type':'NFC'}", "'normalizer':[]", "/normalizer is an array", false },
    { "\\\\p{N}|", "\\\\p{Nd}|", "a pattern of /pre_tokenizer is '(?i:", false },
    { "'Isolated'", "'Removed'", "/pre_tokenizer/pretokenizers/0 is an object", false },
    { "'invert':false", "'invert':true", "/pre_tokenizer/pretokenizers/0 is an object", false },
    { "'pattern':{'Regex'", "'pattern':{'String'", "/pattern is an object", false },
    { "'add_prefix_space':false", "'add_prefix_space':true", "add_prefix_space is 'true'", false },
    { "'use_regex':false", "'use_regex':true", "/pre_tokenizer is 'Split'", false },
    { "'type':'Split'", "'type':'Whitespace'", "/pre_tokenizer is 'Whitespace'", false },
    { "'type':'Split'", "'type':7", "/type is a number", false },
    { "'decoder':{'type':'ByteLevel'}", "'decoder':{'type':'WordPiece'}", "/decoder is 'WordP",
      false },
    { "'decoder':{'type':'ByteLevel'},", "", "/decoder is ''", false },
    { "'TemplateProcessing'", "'BertProcessing'", "/post_processor is 'BertProcessing'", false },
    { "'single':[", "'single':[7,", "/post_processor/single/0 is a number", false },
    { "'ids':[9]", "'ids':[9,9]", "expected one special token with one id", false },
    { "'ids':[9]", "'ids':[10]", "/post_processor has the ids 10 and -1", false },
    { "'ids':[9]", "'ids':[-9]", "expected one special token with one id", false },
    { "'id':9", "'id':8", "/added_tokens/0/id is a number", false },
    { "'id':9", "'id':10", "/added_tokens/0 is an object", false },
    { "'id':9", "'id':-1", "/added_tokens/0 is an object", false },
    { "'content':'<|end|>'", "'content':''", "/added_tokens/0 is an object", false },
    { "'single_word':false", "'single_word':true", "/added_tokens/0/single_word is a", false },
    { "'added_tokens':[",
      "'added_tokens':[{'id':10,'content':'<|end|>','special':true,"
      "'normalized':false},",
      "has the name of another", false },
    { "'added_tokens':[", "'added_tokens':[{'id':10,'content':'ab','special':true},",
      "has id 10; expected 6", false },
    { "'added_tokens':[", "'added_tokens':7,'x':[", "/added_tokens is a number", false },
    { "'a':0", "'a':1", "/model/vocab/b is a number", false },
    { "'a':0", "'a':11", "/model/vocab/a is a number", false },
    { "'a':0", "'a':'0'", "/model/vocab/a is the string '0'", false },
    { "'a':0,", "", "/added_tokens/0 is an object", false },
    { "'ab':6", "'ac':6", "merge 0 needs the token 'ab'", false },
    { "'a b'", "'a c'", "merge 0 needs the token 'c'", false },
    { "'a b'", "'ab'", "/model/merges/0 is the string 'ab'", false },
    { "'a b'", "'a  b'", "/model/merges/0 is the string", false },
    { "'a b'", "' b'", "/model/merges/0 is the string ' b'", false },
    { "'a b'", "7", "/model/merges/0 is a number", false },
    { "'a b'", "['a','b','a']", "/model/merges/0 is an array", false },
    { "'a b'", "['a',7]", "/model/merges/0 is an array", false },
    { "'a b'", "'\\u4e2d b'", "merge 0 is not in GPT-2`s letters", false },
    { "'vocab':{", "'vocab':7,'v':{", "no vocabulary", false },
    { "'merges':['a b'", "'merges':['a b'}", ":5: found `}`", false },
    /* valid */
    { "'normalizer':{'type':'NFC'}", "'normalizer':null", NULL, false },
    { "'ignore_merges':false", "'ignore_merges':true", NULL, false },
    { "'lstrip':false", "'lstrip':true", NULL, false },
    { "'normalized':false", "'normalized':true", NULL, false },
    { "'special':true", "'special':false", NULL, false },
    { "'a b',", "'a b','a b',", NULL, false },
    { "\\\\p{N}|", "\\\\p{N}{1,3}|", NULL, false },
    { "'unk_token':null", "'unk_token':'a'", NULL, false },
    { "'vocab':{", "'new':[[1]],'vocab':{", NULL, false },
    END,
};

/* ---- tokenizer.json, SentencePiece ---- */

#define MARK "\\u2581"
#define PIECES                                                                                     \
    "{'added_tokens':[{'id':0,'content':'<unk>','special':true},{'id':1,'content':'<s>',"          \
    "'special':true}],\n"                                                                          \
    "'normalizer':{'type':'Sequence','normalizers':[{'type':'Prepend','prepend':'" MARK "'},"      \
    "{'type':'Replace','pattern':{'String':' '},'content':'" MARK "'}]},"                          \
    "'pre_tokenizer':null,'post_processor':null,\n"                                                \
    "'decoder':{'type':'Sequence','decoders':[{'type':'Replace','pattern':{'String':'" MARK        \
    "'},'content':' '},{'type':'ByteFallback'},{'type':'Fuse'},{'type':'Strip','content':' ',"     \
    "'start':1,'stop':0}]},\n"                                                                     \
    "'model':{'unk_token':'<unk>','fuse_unk':true,'byte_fallback':true,\n"                         \
    "'vocab':{'<unk>':0,'<s>':1,'<0xC3>':2,'<0xA9>':3,'" MARK "':4,'a':5,'b':6,'ab':7,'" MARK      \
    "a':8},'merges':['a b','" MARK " a']}}\n"

static const row pieces_rows[] = {
    { "'prepend':'" MARK "'", "'prepend':'_'", "/normalizer/normalizers/0 is an object", false },
    { "'Prepend'", "'Lowercase'", "/normalizer is 'Lowercase'", false },
    { "{'String':' '}", "{'String':'x'}", "/normalizer is 'Replace'", false },
    { "{'String':' '}", "{'Regex':' '}", "/normalizer is 'Replace'", false },
    { "'pre_tokenizer':null", "'pre_tokenizer':{'type':'Whitespace'}", "/pre_tokenizer is 'W",
      false },
    { "'pre_tokenizer':null", "'pre_tokenizer':{'type':'Split','pattern':{'String':'x'}}",
      "/pre_tokenizer is 'Split'", false },
    { "{'type':'ByteFallback'},", "", "/decoder is 'Replace'; expected ByteFallback", false },
    { "'ByteFallback'", "'Bytes'", "/decoder is 'Bytes'", false },
    { "'start':1", "'start':2", "/decoder/decoders/3 is an object", false },
    { "'decoder':{'type':'Sequence'", "'decoder':{'type':'Fuse'", "/decoder is 'Fuse'", false },
    { "'unk_token':'<unk>'", "'unk_token':'?'", "/model/unk_token is '?'", false },
    { "'fuse_unk':true", "'fuse_unk':true,'ignore_merges':true", "/model/ignore_merges", false },
    { "'id':1,", "'id':2,", "/added_tokens/1/id is a number", false },
    { "'ab':7", "'ab':70", "/model/vocab/ab is a number", false },
    { "'a b'", "'a " MARK "'", "merge 0 needs the token 'a\xE2\x96\x81'", false },
    /* valid */
    { "'byte_fallback':true", "'byte_fallback':false", NULL, false },
    { "{'type':'Prepend','prepend':'" MARK "'},", "", NULL, false },
    { "'pre_tokenizer':null", "'pre_tokenizer':{'type':'Split','pattern':{'String':' '}}", NULL,
      false },
    { "'a b'", "'a b','<0xC3> a'", "merge 1 needs the token '<0xC3>a'", false },
    END,
};

/* ---- merges.txt ---- */

#define MERGES "#version: 0.2\na b\n\xC4\xA0 a\n"
#define VOCAB "{'a':0,'b':1,'\\u0120':2,'ab':3,'\\u0120a':4,'<|endoftext|>':5}"

static const row merges_rows[] = {
    { "a b", "a", ":2: a line without two parts", false },
    { "a b", "a b c", ":2: a line without two parts", false },
    { "a b", " b", ":2: a line without two parts", false },
    { "a b", "a x", "merge 0 needs the token \"x\"", false },
    { "a b", "b a", "merge 0 needs the token \"ba\"", false },
    { "a b", "\xFF b", "merge 0 is not in GPT-2's letters", false },
    { NULL, "#version: 0.2\n\n#version: 0.2\n", "merge 0 needs the token", false },
    { NULL, "", "no merges", false },
    /* valid */
    { "\na b", "\r\na b\r", NULL, false },
    { "#version: 0.2\n", "", NULL, false },
    { "a b\n", "\n\na b\n", NULL, false },
    END,
};

/* ---- tokenizer.model ---- */

#define PIECE(length, text_length, text, score, type)                                              \
    "\x0A" length "\x0A" text_length text "\x15" score "\x18" type
#define MODEL                                                                                      \
    PIECE("\x0E", "\x05", "<unk>", "\x01\x01\x80\xBF", "\x02")                                     \
    PIECE("\x0C", "\x03", "<s>", "\x01\x01\x80\xBF", "\x03")                                       \
    PIECE("\x0D", "\x04", "</s>", "\x01\x01\x80\xBF", "\x03")                                      \
    PIECE("\x0F", "\x06", "<0xC3>", "\x01\x01\x80\xBF", "\x06")                                    \
    PIECE("\x0B", "\x02", "ab", "\x01\x01\x80\xBF", "\x01")                                        \
    PIECE("\x0D", "\x04",                                                                          \
          "\xE2\x96\x81"                                                                           \
          "a",                                                                                     \
          "\x01\x01\xC0\xBF", "\x01")                                                              \
    PIECE("\x0C", "\x03", "\xE2\x96\x81", "\x01\x01\x01\xC0", "\x01")                              \
    PIECE("\x0A", "\x01", "a", "\x01\x01\x02\xC0", "\x01")                                         \
    PIECE("\x0A", "\x01", "b", "\x01\x01\x03\xC0", "\x01")                                         \
    PIECE("\x0C", "\x03", "<u>", "\x01\x01\x80\xBF", "\x01")                                       \
    "\x12\x05\x18\x02\x98\x02\x01"                                                                 \
    "\x1A\x06\x18\x01\x20\x01\x28\x01"

static const row model_rows[] = {
    { NULL, "", "no pieces", false },
    { NULL, "\x12\x02\x18\x02", "no pieces", false },
    { "<0xC3>", NULL, "a field that goes beyond the end", false },
    { "<0xC3>", "<0xg3>", "a byte piece that is not like", false },
    { "\x02"
      "ab",
      "\x02\xE2\x96", "a piece that is not text", false },
    { "\x02"
      "ab",
      "\x7F"
      "ab",
      "a field that goes beyond the end", false },
    { "\xBF\x18\x02", "\xBF\x18\x05", "an unused piece", false },
    { "\xBF\x18\x02", "\xBF\x18\x07", "a piece of unknown type", false },
    { "\xBF\x18\x02", "\xBF\x18\x04", "user-defined pieces with add_dummy_prefix", false },
    { "\x01\x01\x02\xC0", "\x01\x01\xC0\x7F", "a score that is not a number", false },
    { "\x18\x02\x98", "\x18\x01\x98", "model_type is 1; expected 2", false },
    { "\x1A\x06\x18\x01\x20\x01", "\x1A\x06\x18\x01\x12\x01x\x20\x01",
      "a field that goes beyond the end", false },
    { "\x1A\x06\x18\x01\x20\x01", "\x1A\x09\x18\x01\x12\x01x\x20\x01", "a precompiled map", false },
    { "\x1A\x06", "\x1B\x06", "a field of an unknown wire type", false },
    { "\x1A\x06", "\x1C\x06", "a field of an unknown wire type", false },
    { "\x1A\x06", "\x18\x06", "a field of the wrong wire type", false },
    { "\x01"
      "b",
      "\x01"
      "a",
      "the token \"a\" is there twice", false },
    { "", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "a number of more than 64 bits", false },
    { "", "\x80", "the end inside of a number", false },
    { "",
      "\x25"
      "abc",
      "a field that goes beyond the end", false },
    /* valid */
    { "", "\x20\x01", NULL, false },
    { "",
      "\x22\x03xyz\x2D"
      "abcd\x31"
      "abcdefgh",
      NULL, false },
    { "\x20\x01\x28", "\x28\x01\x28", NULL, false },
    { "\x98\x02\x01", "\xA0\x02\x01", NULL, false },
    END,
};

/* ---- what is done with them ---- */

static void furnish_bpe(const char *folder)
{
    file_json(folder, "tokenizer.json", BPE);
}

static void furnish_pieces(const char *folder)
{
    file_json(folder, "tokenizer.json", PIECES);
}

static void furnish_merges(const char *folder)
{
    file_json(folder, "vocab.json", VOCAB);
    file_text(folder, "merges.txt", MERGES);
}

static void furnish_model(const char *folder)
{
    file_text(folder, "tokenizer.model", MODEL);
}

/* Ids are in the vocabulary, and what they are decoded to is UTF-8 text. */
static void encode(const tn_tokenizer *k, const char *text, bool template, tn_error *e)
{
    int32_t *ids = NULL;
    int64_t n = 0, room = 0, skipped = 0;
    tn_text back = { 0 };
    tn_held held = { 0 };
    const size_t length = strlen(text);
    if (template ? tn_encode_template(k, text, length, &ids, &n, &room, &skipped, e)
                 : tn_encode(k, text, length, &ids, &n, &room, &skipped, e))
        abort();
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= tn_tokenizer_size(k))
            abort();
    tn_decode_next(k, ids, n, &held, &back);
    tn_decode_end(&held, &back);
    tn_decode(k, ids, n, &back);
    tn_text_free(&back);
    free(ids);
}

int tokenizer_use(const char *folder, tn_error *e)
{
    static const char *const texts[] = { "", " ab  b\n\n", "caf\xc3\xa9 <|end|> <s>a <u>",
                                         "a\xCC\x81\xCC\xA7 '\xC5\xBF 12 \xE2\x96\x81 ab \t" };
    tn_tokenizer *k = tn_tokenizer_open(folder, e);
    for (size_t i = 0; k && i < 2 * sizeof texts / sizeof *texts; i++)
        encode(k, texts[i / 2], i % 2, e);
    if (k)
        tokenizer_again(k, folder, e);
    tn_tokenizer_free(k);
    return e->code;
}

/* clang-format off */
const format format_bpe = { .name = "bpe", .json = true, .file = "tokenizer.json",
                            .furnish = furnish_bpe, .use = tokenizer_use, .rows = bpe_rows };
const format format_pieces = { .name = "pieces", .json = true, .file = "tokenizer.json",
                               .furnish = furnish_pieces, .use = tokenizer_use, .rows = pieces_rows };
const format format_merges = { .name = "merges", .file = "merges.txt",
                               .furnish = furnish_merges, .use = tokenizer_use, .rows = merges_rows };
const format format_sentencepiece = { .name = "sentencepiece", .file = "tokenizer.model",
                                      .furnish = furnish_model, .use = tokenizer_use, .rows = model_rows };
/* clang-format on */
