/* test_tokenizer_save.c - the files that a tokenizer is written as. */
#include "data/data.h"
#include "tests/support/scratch.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* The text that is written. AutoTokenizer of Transformers opens such files and gives the same
   ids. */
START_TEST(written)
{
    static const char model[] =
        "  \"model\": {\"type\": \"BPE\", \"dropout\": null, \"unk_token\": null,\n"
        "    \"continuing_subword_prefix\": null, \"end_of_word_suffix\": null,\n"
        "    \"fuse_unk\": false, \"byte_fallback\": false, \"ignore_merges\": false,\n"
        "    \"vocab\": {\"\\n\": 0, \"a\": 1, \"\xC3\xA9\": 2},\n    \"merges\": []}\n}\n";
    static const char config[] =
        "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n"
        "  \"clean_up_tokenization_spaces\": false,\n  \"eos_token\": \"<|endoftext|>\"\n}\n";
    tn_error e = { 0 };
    size_t size = 0;
    scratch s;
    scratch_open(&s);
    tn_tokenizer *k = tn_tokenizer_chars("\xC3\xA9"
                                         "a\naa",
                                         6, &e);
    ck_assert_int_eq(tn_tokenizer_save(k, s.folder, &e), 0);
    tn_tokenizer_free(k);
    char *text = tn_file_read(scratch_path(&s, "tokenizer.json"), 4096, &size, &e);
    ck_assert_ptr_nonnull(strstr(text, model));
    ck_assert_ptr_nonnull(strstr(text, "\"pre_tokenizer\": null,"));
    ck_assert_ptr_nonnull(strstr(text, "\"decoder\": {\"type\": \"Fuse\"},"));
    ck_assert_ptr_nonnull(strstr(text, "[{\"id\": 3, \"content\": \"<|endoftext|>\","));
    free(text);
    text = tn_file_read(scratch_path(&s, "tokenizer_config.json"), 4096, &size, &e);
    ck_assert_str_eq(text, config);
    free(text);
    scratch_close(&s);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_test(c, written);
}
