/* format_gguf_tokenizer.c - the tokenizer in a GGUF file, of both kinds, as gguf_text.h writes it. */
#include "tests/fuzz/gguf_text.h"

#include <stdlib.h>
#include <string.h>

#define KEY "tokenizer.ggml."

/* ---- byte-level ---- */

static const char bpe_text[] =
    "head 3 * *\n"
    "key general.architecture string llama\n"
    "key tokenizer.ggml.model string gpt2\n"
    "key tokenizer.ggml.pre string llama-bpe\n"
    "key tokenizer.ggml.tokens array string 10 a b \xC4\xA0 \xC3\x83 \xC2\xA9 ab \xC4\xA0"
    "a <|end|> <think> [PAD]\n"
    "key tokenizer.ggml.token_type array i32 10 1 1 1 1 1 1 1 3 4 5\n"
    "key tokenizer.ggml.merges array string 2 a%20b \xC4\xA0%20a\n"
    "key tokenizer.ggml.bos_token_id u32 7\n"
    "key tokenizer.ggml.eos_token_id u32 7\n"
    "key tokenizer.ggml.add_bos_token bool 1\n"
    "key tokenizer.chat_template string <|end|>{{x}}\n"
    "data 32 ";

static const row bpe_rows[] = {
    { "string gpt2", "string bert", KEY "model is \"bert\"; expected gpt2 or llama", false },
    { "string gpt2", "u32 7", KEY "model is an integer; expected a string", false },
    { "ggml.model", "ggml.nodel", "no " KEY "model; expected gpt2 or llama", false },
    { "llama-bpe", "tekken", KEY "pre is \"tekken\"; expected gpt-2", false },
    { "ggml.pre", "ggml.qre", "no " KEY "pre; expected gpt-2", false },
    { "ggml.tokens", "ggml.uokens", "no " KEY "tokens; expected those", false },
    { "tokens array string 10 a b", "tokens array string 9 a",
      KEY "token_type has 10 elements; expected 9", false },
    { "tokens array string 10", "tokens array u8 10", KEY "tokens is no array of strings", false },
    { "10 a b", "10 a a", "the token \"a\" is there twice", false },
    { "<think> [PAD]\nkey tokenizer.ggml.token_type",
      "\xE4\xB8\xAD \xE4\xB8\xAD\nkey token_type", "is there twice", false },
    { "10 a b", "10 %ff b", KEY "tokens[0] is not text in UTF-8", false },
    { "10 a b", "10 a%00 b", KEY "tokens[0] is not text in UTF-8", false },
    { "10 a b", "10 @0: b", KEY "tokens[0] is empty", false },
    { "array i32 10", "array string 10", KEY "token_type is no array of numbers", false },
    { "array i32 10 1 1", "array i32 10 0 1",
      KEY "token_type[0] is no type of a token; expected 1 to 6", false },
    { "array i32 10 1 1", "array i32 10 7 1",
      KEY "token_type[0] is no type of a token; expected 1 to 6", false },
    { "array i32 10 1 1", "array i32 10 1 6",
      KEY "token_type[1] is 6, a byte; expected another one", false },
    { "token_type array i32 10", "token_type array f32 10",
      KEY "token_type[0] is no type of a token", false },
    { "ggml.merges", "ggml.nerges", "no " KEY "merges; expected those of a gpt2 model", false },
    { "merges array string 2 a%20b", "merges array string 2 ab", KEY "merges[0] is not two parts",
      false },
    { "merges array string 2 a%20b", "merges array string 2 a%20b%20a",
      KEY "merges[0] is not two parts", false },
    { "merges array string 2 a%20b", "merges array string 2 a%20a",
      "merge 0 needs the token \"aa\"", false },
    { "merges array string 2 a%20b",
      "merges array string 2 \xE4\xB8\xAD%20"
      "b",
      "merge 0 is not in GPT-2's letters", false },
    { "merges array string 2", "merges array u32 2", KEY "merges is no array of strings", false },
    { "merges array string 2 a%20b \xC4\xA0%20"
      "a",
      "merges array string 0", "no merges; expected some", false },
    { "bos_token_id u32 7", "bos_token_id string 7",
      KEY "bos_token_id is a string; expected an integer", false },
    { "eos_token_id u32 7", "eos_token_id f32 7",
      KEY "eos_token_id is a number; expected an integer", false },
    { "add_bos_token bool 1", "add_bos_token u32 1",
      KEY "add_bos_token is an integer; expected a boolean", false },
    { "add_bos_token bool 1", "add_bos_token array bool 2 1 1", KEY "add_bos_token is an array",
      false },
    { "chat_template string", "chat_template u8", "tokenizer.chat_template is an integer", false },
    { "chat_template string <", "chat_template string %ff",
      "tokenizer.chat_template is a string; expected a string of UTF-8", false },
    /* valid */
    { "bos_token_id u32 7", "bos_token_id u32 4294967295", NULL, false },
    { "eos_token_id u32 7", "eos_token_id u32 9", NULL, false },
    { "eos_token_id u32 7", "eos_token_id u32 4", NULL, false }, /* a byte that is no text */
    { "eos_token_id u32 7", "eos_token_id u32 6", NULL, false },
    { "string llama-bpe", "string qwen2", NULL, false },
    { "string llama-bpe", "string gpt-2", NULL, false },
    { "string llama-bpe", "string smollm", NULL, false },
    { "array i32 10 1 1 1 1 1 1 1 3 4 5", "array i32 10 1 1 1 5 1 1 1 3 4 5", NULL, false },
    { "array i32 10", "array u8 10", NULL, false },
    { "token_type", "token_tipe", NULL, false },
    { "<think>", "<t\xE4\xB8\xADk>", NULL, false },
    { "[PAD]\nkey tokenizer.ggml.token_type", "\xE4\xB8\xAD\nkey token_type", NULL, false },
    { "add_bos_token bool 1", "add_eos_token bool 1", NULL, false },
    END,
};

/* ---- SentencePiece ---- */

#define MARK "\xE2\x96\x81"

static const char pieces_text[] =
    "head 3 * *\n"
    "key tokenizer.ggml.model string llama\n"
    "key tokenizer.ggml.tokens array string 11 <unk> <s> </s> <0xC3> <0xA9> " MARK " a b ab " MARK
    "a <u>\n"
    "key tokenizer.ggml.scores array f32 11 0 0 0 0 0 -4 -3 -5 -1 -2 0\n"
    "key tokenizer.ggml.token_type array i32 11 2 3 3 6 6 1 1 1 1 1 4\n"
    "key tokenizer.ggml.unknown_token_id u32 0\n"
    "key tokenizer.ggml.padding_token_id u32 4294967295\n"
    "key tokenizer.ggml.add_space_prefix bool 1\n"
    "data 32 ";

static const row pieces_rows[] = {
    { "string llama", "string t5", KEY "model is \"t5\"; expected gpt2 or llama", false },
    { "array f32 11 0 0 0 0 0 -4 -3 -5 -1 -2 0", "array f32 10 0 0 0 0 0 -4 -3 -5 -1 -2",
      KEY "scores has 10 numbers; expected one for each of 11", false },
    { "ggml.scores", "ggml.tcores", KEY "scores has 0 numbers; expected one for each of 11",
      false },
    { "array f32 11 0", "array f32 11 nan", KEY "scores[0] is not finite", false },
    { "array f32 11 0", "array f32 11 inf", KEY "scores[0] is not finite", false },
    { "scores array f32", "scores array string", KEY "scores is no array of numbers", false },
    { "array i32 11 2 3 3 6", "array i32 11 2 3 6 6",
      KEY "token_type[2] is 6, a byte; expected another one, or", false },
    { " a b ab", " a a ab", "the token \"a\" is there twice", false },
    { "a b ab " MARK "a <u>", "a b cc dd <u>", "no merges; expected some", false },
    { "add_space_prefix bool", "add_space_prefix string", KEY "add_space_prefix is a string",
      false },
    { "unknown_token_id u32", "unknown_token_id bool", KEY "unknown_token_id is a boolean", false },
    /* valid */
    { "add_space_prefix bool 1", "add_space_prefix bool 0", NULL, false },
    { "add_space_prefix bool 1", "add_bos_token bool 0", NULL, false },
    { "unknown_token_id u32 0", "unknown_token_id u32 6", NULL, false },
    { "array i32 11 2 3", "array i32 11 1 3", NULL, false },
    { "3 6 6 1", "3 1 1 1", NULL, false },
    { "1 1 4\n", "1 1 5\n", NULL, false },
    { "1 1 1 1 4\n", "1 5 1 1 4\n", NULL, false },
    { "array f32 11", "array f64 11", NULL, false },
    { "-4 -3 -5 -1 -2 0", "-1 -1 -1 -1 -1 0", NULL, false },
    END,
};

/* ---- what is done with them ---- */

static void furnish(const char *folder, const char *text, size_t n)
{
    char copy[2048];
    memcpy(copy, text, n);
    const bytes file = gguf_pack((bytes){ copy, n });
    file_write(folder, "x.gguf", file);
    free(file.s);
}

static void furnish_bpe(const char *folder)
{
    furnish(folder, bpe_text, strlen(bpe_text));
}

static void furnish_pieces(const char *folder)
{
    furnish(folder, pieces_text, strlen(pieces_text));
}

/* clang-format off */
/* A file that does not begin with GGUF is no tokenizer: then the folder has none. */
const format format_gguf_bpe = { .name = "gguf_bpe", .file = "x.gguf", .named = "", .furnish = furnish_bpe, .use = tokenizer_use,
                                 .pack = gguf_pack, .unpack = gguf_unpack, .rows = bpe_rows };
const format format_gguf_pieces = { .name = "gguf_pieces", .file = "x.gguf", .named = "", .furnish = furnish_pieces, .use = tokenizer_use,
                                    .pack = gguf_pack, .unpack = gguf_unpack, .rows = pieces_rows };
/* clang-format on */
