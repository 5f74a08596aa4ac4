/* test_null.c - every function of data.h and gguf.h with NULL for each of its pointers. */
#include "data/gguf.h"
#include "tests/support/fixtures.h"
#include "tests/support/null.h"
#include "tests/support/tests.h"

#include <stdlib.h>

typedef struct fixture {
    null_fixture base;
    char *folder, *text_file, *ids_file, *json_file, *tensors_file, *records_file, *fresh;
    const char *word, *marked, *key, *json_text, *split, *string, *end_name;
    const char *const *words, *const *metadata;
    size_t size;
    tn_text text, other_text;
    const tn_json *json, *array;
    int64_t n, room, skipped;
    double real;
    bool is;
    tn_error other;
    tn_safetensors *tensors;
    const tn_entry *entry;
    tn_gguf *gguf;
    const char *gguf_file, *gguf_word, *gguf_number, *gguf_tensor;
    tn_gguf_list list;
    tn_span span, held_span;
    tn_real *numbers;
    char *bytes;
    int32_t *ids, *grown;
    const int32_t *const *sequences;
    const int64_t *lengths, *zeros;
    tn_tokenizer *tokenizer;
    tn_held held;
    tn_jsonl *jsonl;
    tn_records *records;
    const tn_records_options *files;
    tn_records_options all_files, none[2];
    const tn_records_options *no_files;
    tn_dataset *two[2], **made;
    tn_jsonl_record line;
    const tn_data_options *options;
    tn_dataset *data;
    const tn_loader_options *batches;
    tn_loader *loader;
    const tn_task *task;
    tn_record record;
    tn_message message;
    tn_chat_ids chat;
    char *chat_folder;
    bool flags[2];
} fixture;

static const char json_text[] = "{\"key\": [1, 2]}\n";

static void put_files(fixture *f)
{
    f->folder = temporary();
    put_file(f->folder, "word", "word and words\n");
    put_file(f->folder, "json", json_text);
    put_file(f->folder, "records", "{\"text\": \"some words\"}\n{\"text\": \"more\"}\n");
    put_file(f->folder, "chat_template.jinja", "<|im_start|>");
    f->chat_folder = f->folder;
    f->text_file = tn_path_join(f->folder, "word");
    f->json_file = tn_path_join(f->folder, "json");
    f->ids_file = tn_path_join(f->folder, "ids");
    tn_file_write(f->ids_file, "\1\0\2\0", 4, &f->base.e);
    f->records_file = tn_path_join(f->folder, "records");
    f->tensors_file = tn_path_join(f->folder, "tensors");
    f->fresh = tn_path_join(f->folder, "fresh");
    tn_safetensors_write(f->tensors_file,
                         (tn_entry[]){ { .name = "word",
                                         .type = TN_FILE_F32,
                                         .ndim = 1,
                                         .dim = { 2 },
                                         .bytes = "1234567",
                                         .size = 8 },
                                       { .name = "zero",
                                         .type = TN_FILE_I32,
                                         .ndim = 1,
                                         .dim = { 1 },
                                         .bytes = "123",
                                         .size = 4 } },
                         2, f->metadata, &f->base.e);
}

static null_fixture *open_fixture(void)
{
    static const tn_data_options options = { .max_length = 400, .short_text = true };
    static const tn_loader_options batches = { .batch = 1 };
    static const int32_t four[4] = { 1, 2, 3, 4 };
    static const int32_t *const sequences[] = { four };
    static const int64_t lengths[] = { 4 }, zeros[] = { 0 };
    static const char *const words[] = { "word" }, *const metadata[] = { "key", "value", NULL };
    fixture *f = calloc(1, sizeof *f);
    *f = (fixture){ .word = "word",
                    .marked = "\xEF\xBB\xBFx",
                    .key = "key",
                    .held_span = { "word", 4 },
                    .gguf_file = GOLDEN "gguf/tiny.gguf",
                    .gguf_word = "general.architecture",
                    .gguf_number = "llama.block_count",
                    .gguf_tensor = "token_embd.weight",
                    .json_text = json_text,
                    .split = "train",
                    .end_name = "<|endoftext|>",
                    .message = { .role = { "user", 4 }, .text = { "words", 5 } },
                    .words = words,
                    .sequences = sequences,
                    .lengths = lengths,
                    .zeros = zeros,
                    .metadata = metadata,
                    .options = &options,
                    .batches = &batches,
                    .task = tn_tasks[0],
                    .numbers = calloc(8, sizeof(tn_real)),
                    .bytes = calloc(8, 8),
                    .ids = calloc(8, sizeof(int32_t)) };
    f->base.c = tn_context_new(&(tn_options){ .threads = 1 });
    f->base.t = tn_tape_new(f->base.c);
    put_files(f);
    f->json = tn_json_read(f->json_file, &f->base.e);
    f->array = tn_json_find(f->json, "key");
    f->tensors = tn_safetensors_open(f->tensors_file, &f->base.e);
    f->entry = tn_safetensors_at(f->tensors, 0);
    f->gguf = tn_gguf_open(f->gguf_file, &f->base.e);
    f->tokenizer = tn_tokenizer_bytes(&f->base.e);
    tn_tokenizer_save(f->tokenizer, f->folder, &f->base.e);
    f->jsonl = tn_jsonl_open(f->records_file, TN_FORMAT_ANY, &f->base.e);
    f->all_files =
        (tn_records_options){ .paths = (const char *const *)&f->records_file, .count = 1 };
    f->files = &f->all_files;
    f->no_files = f->none;
    f->made = f->two;
    f->records = tn_records_open(f->files, &f->base.e);
    f->data = tn_dataset_jsonl(f->records_file, f->tokenizer, &options, &f->base.e);
    f->loader = tn_loader_new(f->data, &batches, &f->base.e);
    must(&f->base.e);
    return &f->base;
}

static void close_fixture(null_fixture *base)
{
    fixture *f = (fixture *)base;
    tn_loader_free(f->loader);
    tn_dataset_free(f->data);
    tn_jsonl_close(f->jsonl);
    tn_records_close(f->records);
    tn_tokenizer_free(f->tokenizer);
    tn_gguf_list_free(&f->list);
    tn_gguf_close(f->gguf);
    tn_safetensors_close(f->tensors);
    tn_json_free(f->json);
    tn_chat_ids_free(&f->chat);
    tn_text_free(&f->text);
    tn_tape_free(f->base.t);
    tn_context_free(f->base.c);
    discard(f->folder);
    void *all[] = { f->text_file,
                    f->ids_file,
                    f->json_file,
                    f->tensors_file,
                    f->records_file,
                    f->fresh,
                    f->numbers,
                    f->bytes,
                    f->ids,
                    f->grown,
                    f };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

#define UNREADABLE(result) ((result) == TN_UNREADABLE ? REFUSAL : SUCCESS)

DROP(bytes, char, free)
DROP(json, const tn_json, tn_json_free)
DROP(safetensors, tn_safetensors, tn_safetensors_close)
DROP(gguf, tn_gguf, tn_gguf_close)
DROP(tokenizer, tn_tokenizer, tn_tokenizer_free)
DROP(jsonl, tn_jsonl, tn_jsonl_close)
DROP(records, tn_records, tn_records_close)
DROP(dataset, tn_dataset, tn_dataset_free)
DROP(loader, tn_loader, tn_loader_free)

#define NULL_ROWS "tests/data/null.def"
#include "tests/support/null_rows.h"

START_TEST(every_function_has_a_row)
{
    null_rows_are_all(&table, "data/data.h");
    null_rows_are_all(&table, "data/gguf.h");
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, null_is_refused, 0, table.rows);
    tcase_add_test(c, every_function_has_a_row);
}
