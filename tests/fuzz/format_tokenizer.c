/* format_tokenizer.c - tokenizer.json and tokenizer_config.json, and what they encode. */
#include "tests/fuzz/formats.h"

#include "data/data.h"

#include <stdlib.h>
#include <string.h>

#define TEXT                                                                                       \
    "{'version':'1.0','truncation':null,'padding':null,'added_tokens':[{'id':5,"                   \
    "'content':'<|end|>','special':true,'normalized':false}],\n"                                   \
    "'normalizer':null,'pre_tokenizer':null,'post_processor':null,"                                \
    "'decoder':{'type':'Fuse'},\n"                                                                 \
    "'model':{'type':'BPE','dropout':null,'unk_token':null,"                                       \
    "'continuing_subword_prefix':null,'end_of_word_suffix':null,'byte_fallback':false,\n"          \
    "'vocab':{'a':0,'b':1,' ':2,'\\n':3,'\\u00e9':4,'<|end|>':5},'merges':[]}}\n"

#define CONFIG "{'eos_token': '<|end|>', 'tokenizer_class': 'PreTrainedTokenizerFast'}\n"

static const row rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { NULL, "{}", "the top value is an object", false },
    { NULL, "[]", "the top value is an array", false },
    { NULL, "{'model':7}", "/model is a number", false },
    { NULL, "{'model':{}}", "/decoder is ''", false },
    { "'version'", "version", ":1: found `v` at column 2", false },
    { "}}\n", NULL, ":4: found the end at column 70", false },
    { "'type':'BPE'", "'type':'WordPiece'", "/model/type is 'WordPiece'", false },
    { "'type':'BPE'", "'type':7", "/model/type is a number", false },
    { "'dropout':null", "'dropout':0.1", "/model/dropout is a number", false },
    { "'unk_token':null", "'unk_token':'?'", "/model/unk_token is the string '?'", false },
    { "'continuing_subword_prefix':null", "'continuing_subword_prefix':'##'",
      "/model/continuing_subword_prefix is the string '##'", false },
    { "'continuing_subword_prefix':null", "'continuing_subword_prefix':1",
      "/model/continuing_subword_prefix is a number", false },
    { "'end_of_word_suffix':null", "'end_of_word_suffix':'</w>'",
      "/model/end_of_word_suffix is the string '</w>'", false },
    { "'byte_fallback':false", "'byte_fallback':true", "/model/byte_fallback is 'true'", false },
    { "'byte_fallback':false", "'byte_fallback':0", "/model/byte_fallback is a number", false },
    { "'merges':[]", "'merges':['a b']", "/normalizer is ''", false },
    { "'merges':[]", "'merges':null", "/model/merges is null", false },
    { "'merges':[]", "'merges':{}", "/model/merges is an object", false },
    { ",'merges':[]", "", "/model is an object", false },
    { "'normalizer':null", "'normalizer':{'type':'NFC'}", "/normalizer is 'NFC'", false },
    { "'normalizer':null", "'normalizer':7", "/normalizer is a number", false },
    { "'normalizer':null", "'normalizer':{}", "/normalizer is an object", false },
    { "'normalizer':null", "'normalizer':{'type':7}", "/normalizer/type is a number", false },
    { "'pre_tokenizer':null", "'pre_tokenizer':{'type':'Whitespace'}",
      "/pre_tokenizer is 'Whitespace'", false },
    { "'pre_tokenizer':null", "'pre_tokenizer':{'type':'ByteLevel','add_prefix_space':false}",
      "/decoder is 'Fuse'", false },
    { "'pre_tokenizer':null", "'pre_tokenizer':[]", "/pre_tokenizer is an array", false },
    { "'post_processor':null", "'post_processor':{'type':'BertProcessing'}",
      "/post_processor is 'BertProcessing'", false },
    { "'post_processor':null",
      "'post_processor':{'type':'TemplateProcessing','single':[{'SpecialToken':{'id':'<|end|>'}}],'special_tokens':{}}",
      "/post_processor is 'TemplateProcessing'", false },
    { "'post_processor':null", "'post_processor':{'type':'TemplateProcessing'}",
      "/post_processor is 'TemplateProcessing'", false },
    { "'Fuse'", "'ByteLevel'", "/decoder is 'ByteLevel'", false },
    { "'Fuse'", "'WordPiece'", "/decoder is 'WordPiece'", false },
    { "{'type':'Fuse'}", "null", "/decoder is ''", false },
    { "{'type':'Fuse'}", "'Fuse'", "/decoder is the string 'Fuse'", false },
    { "'a':0", "'a':-1", "/model/vocab/a is a number", false },
    { "'a':0", "'a':1", "/model/vocab/b is a number", false },
    { "'a':0", "'a':6", "/model/vocab/a is a number", false },
    { "'a':0", "'a':'0'", "/model/vocab/a is the string '0'", false },
    { "'a':0", "'a':0.0", "/model/vocab/a is a number", false },
    { "'a':0", "'a':9223372036854775808", "/model/vocab/a is a number", false },
    { "'a':0", "'ab':0", "a token of /model/vocab is 'ab'", false },
    { "'a':0", "'':0", "a token of /model/vocab is ''", false },
    { "'a':0", "'b':0", ":4: found the key 'b' again at column 20", false },
    { "'a':0,", "", "the end token has id 5", false },
    { "'a':0", "'\\u0000':0", ":4: found U+0000 in a key at column 10", false },
    { "'vocab':{", "'vocab':[{", ":4: found `:` at column 68", false },
    { "'vocab':{'a':0,'b':1,' ':2,'\\n':3,'\\u00e9':4,'<|end|>':5}", "'vocab':{}",
      "/model/vocab: nothing found", false },
    { "'vocab':{'a':0,'b':1,' ':2,'\\n':3,'\\u00e9':4,'<|end|>':5}", "'vocab':null",
      "/model/vocab: nothing found", false },
    { "'id':5,", "'id':4,", "/model/vocab/\xc3\xa9 is a number", false },
    { "'id':5,", "'id':-1,", "/added_tokens/0 is an object", false },
    { "'id':5,", "'id':1000000,", "the end token has id 1000000", false },
    { "'id':5,", "'id':'5',", "/added_tokens/0/id is the string '5'", false },
    { "'id':5,", "", "/added_tokens/0 is an object", false },
    { "'content':'<|end|>'", "'content':''", "/added_tokens/0 is an object", false },
    { "'content':'<|end|>'", "'content':7", "/added_tokens/0/content is a number", false },
    { "'content':'<|end|>'", "'content':'a'", "/model/vocab/a is a number", false },
    { "'special':true", "'special':false", "/added_tokens/0 is an object", false },
    { "'special':true", "'special':1", "/added_tokens/0/special is a number", false },
    { ",'special':true", "", "/added_tokens/0 is an object", false },
    { "'added_tokens':[", "'added_tokens':[{'id':0,'content':'x','special':true},",
      "/added_tokens is an array", false },
    { "'added_tokens':[{'id':5,'content':'<|end|>','special':true,'normalized':false}]",
      "'added_tokens':{}", "/added_tokens is an object", false },
    { "\\u00e9", "\\ud800", ":4: found half of a surrogate pair at column 36", false },
    { "\\u00e9", "\xff", ":4: found byte 0xFF at column 36", false },
    { "'<|end|>':5}", "'<|end|>':6}", "/model/vocab/<|end|> is a number", false },
    /* valid */
    { "'version':'1.0',", "'version':'9',", NULL, false },
    { ",'<|end|>':5", "", NULL, false },
    { "'end_of_word_suffix':null", "'end_of_word_suffix':''", NULL, false },
    { "'type':'BPE',", "", NULL, false },
    { "'truncation':null,", "", NULL, false },
    { "'normalizer':null,", "", NULL, false },
    { "'byte_fallback':false,", "", NULL, false },
    { "'a':0,'b':1", "'b':1,'a':0", NULL, false },
    { "'a':0", "'\\ud83c\\udde9':0", NULL, false },
    { "'post_processor':null",
      "'post_processor':{'type':'TemplateProcessing','single':[{'Sequence':{'id':'A'}}],'special_tokens':{}}",
      NULL, false },
    { "'model':", "'new':{'x':[1]},'model':", NULL, false },
    END,
};

static const row config_rows[] = {
    { NULL, "", ":1: found the end at column 1", false },
    { "{", "[", ":1: found `:` at column 13", false },
    { "'<|end|>'", "'a'", "/eos_token is 'a'", false },
    { "'<|end|>'", "7", "/eos_token is a number", false },
    { "'<|end|>'", "['<|end|>']", "/eos_token is an array", false },
    { "'<|end|>'", "{'content': 'x'}", "/eos_token is 'x'", false },
    { "'<|end|>'", "{'content': 7}", "/eos_token/content is a number", false },
    { "'<|end|>'", "'<|end|>\\u0000'", "/eos_token is '<|end|>'", false },
    { "'<|end|>'", "''", "/eos_token is ''", false },
    { "'eos_token'", "'eos_token': 1, 'eos_token'",
      ":1: found the key 'eos_token' again at column 31", false },
    /* valid */
    { NULL, "{}", NULL, false },
    { "'<|end|>'", "null", NULL, false },
    { "'<|end|>'", "{'content': '<|end|>', 'lstrip': false}", NULL, false },
    { "'eos_token'", "'other'", NULL, false },
    END,
};

static void furnish(const char *folder)
{
    file_json(folder, "tokenizer.json", TEXT);
    file_json(folder, "tokenizer_config.json", CONFIG);
}

/* A text that is encoded and decoded stays the same, except for characters that the tokenizer
   skips. */
static void encode(const tn_tokenizer *k, const char *text, tn_error *e)
{
    int32_t *ids = NULL;
    int64_t n = 0, room = 0, skipped = 0;
    tn_text back = { 0 };
    if (tn_encode(k, text, strlen(text), &ids, &n, &room, &skipped, e))
        abort();
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= tn_tokenizer_size(k))
            abort();
    tn_decode(k, ids, n, &back);
    const char *decoded = tn_text_done(&back, "decoded", e);
    if (!skipped && (!decoded || strcmp(decoded, text)))
        abort();
    tn_text_free(&back);
    free(ids);
}

static int use(const char *folder, tn_error *e)
{
    static const char *const texts[] = { "", "a b\n", "caf\xc3\xa9 <|end|>",
                                         "\xf0\x9f\x87\xa9 \t" };
    tn_tokenizer *k = tn_tokenizer_open(folder, e);
    tn_text all = { 0 };
    for (size_t i = 0; k && i < sizeof texts / sizeof *texts; i++)
        encode(k, texts[i], e);
    for (int32_t id = -2; k && id < 300; id++)
        tn_decode(k, &id, 1, &all);
    if (k)
        tokenizer_again(k, folder, e);
    tn_text_free(&all);
    tn_tokenizer_free(k);
    return e->code;
}

/* clang-format off */
const format format_tokenizer = { .name = "tokenizer", .json = true, .file = "tokenizer.json",
                                  .furnish = furnish, .use = use, .rows = rows };
/* clang-format on */
const format format_tokenizer_config = { .name = "tokenizer_config",
                                         .json = true,
                                         .file = "tokenizer_config.json",
                                         .furnish = furnish,
                                         .use = use,
                                         .rows = config_rows };
