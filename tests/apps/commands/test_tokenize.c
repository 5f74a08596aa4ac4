/* test_tokenize.c - tenon tokenize: ids, pieces and counts of texts. */
#include "tests/support/apps.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
/* After --model and the folder of a golden tokenizer. The ids are those of the package tokenizers. */
static const struct use { const char *arguments, *out, *err; } uses[] = {
    { "-p 'a\xe4\xb8\xad<s>'",
      "     261  \" a\"\n     231  bytes E4\n     187  bytes B8\n     176  bytes AD\n     504  \"<\"\n"
      "     419  \"s\"\n     505  \">\"\n", "" },
    { "-p 'a<s>' --special", "       1  \"<s>\"\n     261  \" a\"\n       1  \"<s>\"\n", "" },
    { "-p 'a<s>' --special --ids", "1 261 1\n", "" },
    { "-p 'a b' --ids", "261 268\n", "" },
    { "-p 'a b' -p a --count", "2\n1\n", "" },
    { "-p '' --ids", "\n", "" },
    { "-p '' --count", "0\n", "" },
    { "t --count", "3\n", "" },
    { "t --ids", "261 268 13\n", "" },
    { "- --ids <t", "261 268\n", "" },
    { "-p - --ids <t", "261 268\n", "" },
    { "", "", "no text; expected a FILE or --prompt TEXT" },
    { "t -p a", "", "a file and --prompt; expected a FILE or --prompt TEXT" },
    { "none", "", "none: cannot open: No such file" },
    { "wrong", "", "wrong: byte 1: malformed UTF-8" },
};
/* clang-format on */

START_TEST(prints)
{
    const struct use *u = &uses[_i];
    char *here = realpath(GOLDEN "tokenizer/tok512", NULL);
    place p = place_make();
    ck_assert_ptr_nonnull(here);
    ck_assert_int_eq(shell(&p, "printf 'a b\\n' >t && printf 'a\\377' >wrong"), 0);
    const int status = tenon(&p, "tokenize --model %s %s", here, u->arguments);
    char *out = place_read("out"), *err = place_read("err");
    ck_assert_msg(!strcmp(out, u->out), "%s: \"%s\"; expected \"%s\"", u->arguments, out, u->out);
    ck_assert_msg(*u->err ? strstr(err, u->err) != NULL : !*err, "%s: %s", u->arguments, err);
    ck_assert_int_eq(status != 0, *u->err != 0);
    free(out);
    free(err);
    free(here);
    place_end(&p);
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, prints, 0, sizeof uses / sizeof *uses);
}
