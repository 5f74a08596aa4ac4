/* format_sets.c - training data: records of a JSONL file, a text, and a file of token ids. */
#include "tests/fuzz/formats.h"

#include "data/data.h"

#include <stdlib.h>

#define RECORDS                                                                                    \
    "{'prompt': '1 + 1 =', 'completion': ' 2'}\n"                                                  \
    "{'prompt': '', 'completion': 'caf\\u00e9', 'id': 7}\n"                                        \
    "{'text': 'all of it'}\n"

#define PROSE                                                                                      \
    "It was a bright cold day in April, and the clocks were striking thirteen. caf\xc3\xa9\n"

static const row record_rows[] = {
    { NULL, "", "0 bytes", false },
    { NULL, "\n\n", ":1: an empty file", false },
    { NULL, "{}", ":1: no member that is known", false },
    { NULL, "{'messages': 7}", ":1: 'messages' is a number; expected a list of messages", false },
    { NULL, "{'messages': [7]}", ":1: message 0: a number; expected an object", false },
    { NULL, "{'messages': [{'role': 'user'}]}", ":1: message 0: 'content' is missing", false },
    { NULL, "{'messages': [{'content': 'a'}]}", ":1: message 0: 'role' is missing", false },
    { NULL, "{'messages': [{'role': 'User', 'content': 'a'}]}", ":1: message 0: unknown role 'User'",
      false },
    { NULL, "{'messages': [{'role': 'user', 'content': [{'type': 'image_url'}]}]}",
      ":1: message 0: a part of type 'image_url'", false },
    { NULL, "{'messages': [{'role': 'user', 'content': [7]}]}", ":1: message 0: ", false },
    { NULL, "{'messages': [{'role': 'assistant', 'content': 'a', 'tool_calls': [{}]}]}",
      ":1: message 0: 'tool_calls' are not supported", false },
    { NULL, "{'conversations': [{'from': 'gpt', 'value': null}]}", ":1: message 0: 'value' is null",
      false },
    { NULL, "{'conversations': [{'from': 'alien', 'value': 'a'}]}",
      ":1: message 0: unknown role 'alien'", false },
    { NULL, "{'instruction': '', 'output': 'a'}", ":1: 'instruction' and 'input' are empty", false },
    { NULL, "{'instruction': 'a'}", ":1: 'output' is missing", false },
    { NULL, "{'instruction': 'a', 'output': 'b', 'history': [['c']]}", ":1: 'history' has a list",
      false },
    { NULL, "{'instruction': 'a', 'output': 'b', 'history': [['c', 7]]}", ":1: a chat; expected",
      false },
    { NULL, "{'instruction': 'a', 'output': 'b', 'history': {}}", ":1: 'history' is an object",
      false },
    { NULL, "{'prompt': [], 'completion': 'b'}", ":1: 'completion' is a string; expected a list",
      false },
    { NULL, "{'messages': [{'role': 'assistant', 'content': 'a'}]}",
      ":1: a chat; expected a chat template", false },
    { NULL, "[]\n", "all records were skipped (0)", false },
    { NULL, "[{'text': 'a'}, 7]\n", ":1: not an object", false },
    { NULL, "[{'text': 'a'},\n{'txt': 'b'}]\n", ":2: no member that is known", false },
    { NULL, "'text'\n", ":1: not an object", false },
    { NULL, "7\n", ":1: not an object", false },
    { NULL, "null\n", ":1: not an object", false },
    { "'completion': ' 2'", "'completion': true", ":1: 'completion' is a boolean", false },
    { "'completion': ' 2'", "'completion': null", ":1: 'completion' is null", false },
    { "'completion': ' 2'", "'completion': [' 2']", ":1: 'completion' is a list", false },
    { ", 'completion': ' 2'", "", ":1: 'completion' is missing", false },
    { "'prompt': '1 + 1 =', ", "'text': 'x', ", ":1: 'prompt' is missing", false },
    { "'prompt': '1 + 1 ='", "'prompt': false", ":1: 'prompt' is a boolean", false },
    { "'prompt': '1 + 1 ='", "'prompt': null", ":1: 'prompt' is null", false },
    { "'prompt': '1 + 1 ='", "'prompt': {}", ":1: 'prompt' is an object", false },
    { "'prompt': '1", "'prompt: '1", ":1: found `1` at column 12", false },
    { "'prompt': '1", "prompt': '1", ":1: found `p` at column 2", false },
    { " 2'}\n", " 2'\n", ":1: found the end at column 41", false },
    { " 2'}\n", " 2'}}\n", ":1: found `}` at column 42", false },
    { " 2'}\n", " 2'},\n", ":1: found `,` at column 42", false },
    { " 2'}\n", " 2'} {}\n", ":1: found `{` at column 43", false },
    { "'1 +", "'1 \n+", ":1: found the end at column 15", false },
    { "'1 +", "'1 \t+", ":1: found byte 0x09 at column 15", false },
    { "caf\\u00e9", "caf\xe9", ":2: found byte 0xE9 at column 34", false },
    { "caf\\u00e9", "caf\xc3", ":2: found byte 0xC3 at column 34", false },
    { "caf\\u00e9", "\\ud800", ":2: found half of a surrogate pair at column 31", false },
    { "caf\\u00e9", "\\x41", ":2: found `x` at column 32", false },
    { "'id': 7", "'id': 07", ":2: found `7` at column 50", false },
    { "'id': 7", "'id': nan", ":2: found `n` at column 49", false },
    { "'id': 7", "'prompt': 'again'", ":2: found the key 'prompt' again at column 53", false },
    { "'text': 'all of it'", "'text': true", ":3: 'text' is a boolean", false },
    { "'text': 'all of it'", "'txt': 'all of it'", ":3: no member that is known", false },
    { "'text': 'all of it'", "'Text': 'all of it'", ":3: no member that is known", false },
    { "'text': 'all of it'", "'text': 'a', 'text': 'b'",
      ":3: found the key 'text' again at column 23", false },
    { "'text'", "`text`", ":3: found ``` at column 2", false },
    { "'all of it'}\n", NULL, ":3: found the end at column 10", false },
    { "", "{'prompt': 'x', 'choices': 7, 'answer': 1}", ":4: 'choices' is no list", false },
    { "", "{'prompt': 'x', 'choices': ['a'], 'answer': 0}", ":4: 'choices' is no list", false },
    { "", "{'prompt': 'x', 'choices': ['a', true], 'answer': 0}", ":4: choice 1 is no text",
      false },
    { "", "{'prompt': 'x', 'choices': ['', 'b'], 'answer': 0}", ":4: choice 0 is empty", false },
    { "", "{'prompt': 'x', 'choices': ['a', 'b']}", ":4: 'answer' is missing", false },
    { "", "{'prompt': 'x', 'choices': ['a', 'b'], 'answer': 2}", ":4: 'answer' is none of them",
      false },
    { "", "{'prompt': 'x', 'choices': ['a', 'b'], 'answer': -1}", ":4: 'answer' is none of them",
      false },
    { "", "{'prompt': 'x', 'choices': ['a', 'b'], 'answer': 'c'}", ":4: 'answer' is none of them",
      false },
    { "", "{'prompt': 'x', 'choices': ['a', 'b'], 'answer': [0]}", ":4: 'answer' is none of them",
      false },
    { "", "{'choices': ['a', 'b'], 'answer': 0}", ":4: 'prompt' is missing", false },
    { "", "{'text': 'x'", ":4: found the end at column 13", false },
    { "", "x", ":4: found `x` at column 1", false },
    { "", "{'text': 'x'}{'text': 'y'}", ":4: found `{` at column 14", false },
    { NULL, "\xff\xfe{\n", "a text in UTF-16", false },
    { NULL, "\xfe\xff{\n", "a text in UTF-16", false },
    { "{'text'", "// {'text'", ":3: found `/` at column 1", false },
    /* valid */
    { NULL, "{'text':'x'}", NULL, false },
    { NULL, "\xef\xbb\xbf{'text':'x'}\n", NULL, false },
    { "7}\n", "7}\r\n", NULL, false },
    { "", "\n \n\n", NULL, false },
    { "'id': 7", "'id': [1, {'x': null}]", NULL, false },
    { "'prompt': '1 + 1 ='", "'prompt': ''", NULL, false },
    { "'1 +", "'1\\n+", NULL, false },
    { "'1 +", "'1\\u0000+", NULL, false },
    { "'completion': ' 2'", "'completion': ' '", NULL, false },
    { "'id': 7", "'text2': 7", NULL, false },
    { "", "{'prompt': 'x', 'choices': [7, 1, 5], 'answer': 1.0}", ":4: 'answer' is none of them",
      false },
    { "", "{'prompt': 'x', 'choices': [7, 1, 2], 'answer': 2}", NULL, false },
    { "", "{'prompt': 'x', 'choices': [7, 2, 1], 'answer': 2}",
      ":4: 'answer' is 2, which is choice 1 and the number of another", false },
    { "", "{'prompt': 7, 'choices': [7, 2, 1.50], 'answer': 1.50}", NULL, false },
    { "", "{'prompt': 7, 'choices': [7, 2, 1], 'answer': '1'}", NULL, false },
    { "", "{'prompt': 'x', 'choices': ['7', '2', '1'], 'answer': 2}", NULL, false },
    { "", "{'prompt': '', 'choices': ['a', 'b'], 'answer': 1}", NULL, false },
    { "", "{'prompt': 'x', 'choices': ['a', 'b', 'a'], 'answer': 'a'}", NULL, false },
    { "{'prompt'", "\t{ 'prompt'", NULL, false },
    END,
};

static const row text_rows[] = {
    { NULL, "", "0 bytes", false },
    { NULL, "short", "a text of 5 tokens", false },
    { NULL, "\xef\xbb\xbf", "a text of 0 tokens", false },
    { "caf", "c\xff", "byte 75: malformed UTF-8", false },
    { "caf\xc3\xa9", "caf\xc3", "byte 77: malformed UTF-8", false },
    { "bright", "bri\xc0\xafght", "byte 12: malformed UTF-8", false },
    { "bright", "\xed\xa0\x80", "byte 9: malformed UTF-8", false },
    { "bright", "\xf4\x90\x80\x80", "byte 9: malformed UTF-8", false },
    { NULL, "\xff\xfeI\x01txxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a text in UTF-16", false },
    { NULL, "\xfe\xffxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "a text in UTF-16", false },
    { NULL, "\x80xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "byte 0: malformed UTF-8", false },
    /* valid */
    { NULL, "\xef\xbb\xbfIt was a bright cold day in April", NULL, false },
    { "bright", "\xf0\x9f\x87\xa9", NULL, false },
    { "bright", "\t\r\n\x7f", NULL, false },
    { "was", "\xef\xbb\xbf", NULL, false },
    END,
};

/* llm.c's header, and 18 ids of two bytes. */
static const char TOKENS[1024 + 36] = "\x88\xd8\x34\x01\x01\0\0\0\x12";

static const row token_rows[] = {
    { NULL, "abc", "3 bytes; expected ids of 2 bytes each", false },
    { NULL, "abcd", "token 0 is 25185; expected an id below 257", false },
    { NULL, "\x88\xd8\x34\x01wxyztuvw", "version 2054781047; expected 1", false },
    { "\x01", NULL, "3 bytes; expected ids of 2 bytes each", false },
    { "\x12", "\x13", "1060 bytes; expected 19 tokens of 2 bytes after a header of 1024", false },
    { "\x34", "\x35", "token 0 is 55432; expected an id below 257", false }, /* no header */
    END,
};

static void furnish_tokens(const char *folder)
{
    file_write(folder, "x.bin", (bytes){ (char *)(uintptr_t)TOKENS, sizeof TOKENS });
}

static void furnish_records(const char *folder)
{
    file_json(folder, "x.jsonl", RECORDS);
}

static void furnish_text(const char *folder)
{
    file_text(folder, "x.txt", PROSE);
}

/* Reads every id of every record, then batches in order and in the order of training. */
static void take(const tn_dataset *d, tn_error *e)
{
    const tn_data_facts facts = tn_dataset_facts(d);
    for (int64_t i = 0; i < facts.records && !facts.text; i++) {
        int64_t prompt, n = tn_dataset_record(d, i, &prompt);
        int32_t *ids = malloc((size_t)n * sizeof *ids + 1);
        tn_dataset_ids(d, i, 0, n, ids);
        if (prompt > n || n < 1)
            abort();
        free(ids);
    }
    for (int order = 0; order < 2; order++) {
        tn_loader *l =
            tn_loader_new(d, &(tn_loader_options){ .batch = 2, .seed = 1, .in_order = order }, e);
        for (int k = 0; l && k < 5 && tn_loader_next(l); k++) {}
        tn_loader_free(l);
    }
}

static int use_records(const char *folder, tn_error *e)
{
    char *path = path_in(folder, "x.jsonl");
    tn_tokenizer *k = tn_tokenizer_bytes(e);
    tn_dataset *d = tn_dataset_jsonl(path, k, &(tn_data_options){ .max_length = 16 }, e);
    if (d)
        take(d, e);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    free(path);
    return e->code;
}

static int use_sequence(const char *folder, bool tokens, tn_error *e)
{
    char *path = path_in(folder, tokens ? "x.bin" : "x.txt");
    tn_tokenizer *k = tn_tokenizer_bytes(e);
    tn_dataset *d =
        (tokens ? tn_dataset_token_file
                : tn_dataset_text)(path, k, 0, 1, &(tn_data_options){ .max_length = 16 }, e);
    if (d)
        take(d, e);
    tn_dataset_free(d);
    tn_tokenizer_free(k);
    free(path);
    return e->code;
}

static int use_text(const char *folder, tn_error *e)
{
    return use_sequence(folder, false, e);
}

static int use_tokens(const char *folder, tn_error *e)
{
    return use_sequence(folder, true, e);
}

/* clang-format off */
const format format_jsonl = { .name = "jsonl", .json = true, .file = "x.jsonl", .furnish = furnish_records,
                              .use = use_records, .rows = record_rows };
const format format_token_file = { .name = "token_file", .file = "x.bin", .furnish = furnish_tokens,
                                   .use = use_tokens, .rows = token_rows };
/* clang-format on */
const format format_text = {
    .name = "text", .file = "x.txt", .furnish = furnish_text, .use = use_text, .rows = text_rows
};
