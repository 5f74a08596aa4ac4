/* test_source.c - the data of a run: which rows it takes, and which part of a file it reads. */
#include "tests/support/apps.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes the losses of the records of a log that contain this text to the file `out`, one per
   line. */
static void take_losses(const place *p, const char *log, const char *of, const char *out)
{
    ck_assert_int_eq(shell(p,
                           "grep '%s' %s | sed 's/.*\"loss\":\\([0-9.]*\\).*/\\1/' >%s; test -s %s",
                           of, log, out, out),
                     0);
}

static const char *const data[] = { "--data r.jsonl", "--data t.txt --valid-split 0" };

/* With a rate of almost 0 the loss of a step depends only on its rows. There are 23 records, 8 per
   step. */
START_TEST(a_step_takes_the_same_rows_however_it_is_cut)
{
    place p = place_make();
    for (int batch = 8; batch > 0; batch /= 2) {
        ck_assert_int_eq(
            tenon(&p,
                  "train --model m --tokenizer chars %s --iters 12 --optimizer sgd --lr 1e-12 "
                  "--steps-per-report 1 --batch-size %d --grad-accumulation-steps %d -o o%d",
                  data[_i], batch, 8 / batch, batch),
            0);
        char log[32], out[32];
        snprintf(log, sizeof log, "o%d/log.jsonl", batch);
        snprintf(out, sizeof out, "l%d", batch);
        take_losses(&p, log, "\"split\":\"train\"", out);
        ck_assert_int_eq(shell(&p,
                               "paste l8 %s | awk '{ d = $1 - $2; if (d * d > 1e-11 || !($1 > 1)) "
                               "bad = 1 } END { exit !(NR == 12 && !bad) }'",
                               out),
                         0);
    }
    place_end(&p);
}
END_TEST

/* --val-batches N takes the first 4 N rows, whatever --batch-size is, or all rows if there are
   fewer. The loss has the same bits. */
START_TEST(validation_takes_the_same_rows_for_every_batch_size)
{
    static const struct {
        const char *set;
        int rows;
    } sets[] = {
        { "--val-batches 1", 4 },  { "--val-batches 3", 12 },  { "--val-batches 6", 23 },
        { "--val-batches 0", 23 }, { "--val-batches -1", 23 },
    };
    place p = place_make();
    ck_assert_int_eq(shell(&p,
                           "mkdir d f; cp r.jsonl d/train.jsonl; cp r.jsonl d/valid.jsonl; "
                           "cp r.jsonl f/train.jsonl; head -%d r.jsonl >f/valid.jsonl",
                           sets[_i].rows),
                     0);
    const char *how = "train --model m --tokenizer chars --iters 1 --optimizer sgd --lr 1e-12";
    ck_assert_int_eq(tenon(&p, "%s --data f --val-batches 0 -o o", how), 0);
    take_losses(&p, "o/log.jsonl", "\"split\":\"valid\",\"step\":0", "all");
    static const int batches[] = { 1, 3, 4, 5, 64 };
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(tenon(&p, "%s --data d %s --batch-size %d -o o --overwrite", how,
                               sets[_i].set, batches[i]),
                         0);
        take_losses(&p, "o/log.jsonl", "\"split\":\"valid\",\"step\":0", "some");
        ck_assert_int_eq(shell(&p, "cmp all some"), 0);
    }
    place_end(&p);
}
END_TEST

/* The vocabulary of records has only characters of their texts. Other parts of a line add
   nothing. */
START_TEST(a_vocabulary_has_the_texts_alone)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --iters 1 --optimizer sgd";
    ck_assert_int_eq(
        shell(&p,
              "sed 's/{/{\"id\": \"\xC3\x84Q\", \"label\": [\"Z\"], /; s/$/\\r/' r.jsonl >s.jsonl; "
              "mkdir d; cp s.jsonl d/train.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "%s --data r.jsonl -o o", how), 0);
    ck_assert_int_eq(tenon(&p, "%s --data s.jsonl -o q", how), 0);
    ck_assert_int_eq(tenon(&p, "%s --data d -o r", how), 0);
    ck_assert_int_eq(shell(&p, "for f in tokenizer.json model.safetensors; do "
                               "cmp o/$f q/$f && cmp o/$f r/$f || exit 1; done"),
                     0);
    place_end(&p);
}
END_TEST

/* A file, and a command that reads it. The output does not change if the file begins with a byte
   order mark. */
static const struct marked {
    const char *file, *arguments;
} marked[] = {
    { "r.jsonl", "eval --model o --data r.jsonl" },
    { "t.txt", "eval --model b --data t.txt" },
    { "t.txt", "inspect --data t.txt --tokenizer chars --max-seq-length 8" },
    { "r.jsonl", "inspect --data r.jsonl --tokenizer chars --max-seq-length 8" },
    { "o/config.json", "eval --model o --data r.jsonl" },
    { "o/config.json", "inspect o/config.json" },
    { "o/tokenizer.json", "eval --model o --data r.jsonl" },
    { "o/tokenizer_config.json", "eval --model o --data r.jsonl" },
    { "a/adapter_config.json", "eval --model o --adapter-path a --data r.jsonl" },
    { "c", "eval --model o --data r.jsonl --config c" },
    { "prompt", "generate --model o --temp 0 --max-tokens 5 --prompt - <prompt" },
    { "prompt", "generate --model o --temp 0 --max-tokens 5 --prompt \"$(cat prompt)\"" },
};

START_TEST(a_byte_order_mark_changes_nothing)
{
    place p = place_make();
    const struct marked *m = &marked[_i];
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data r.jsonl --iters 1 -o o"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(tenon(&p, "train --model o --data r.jsonl --iters 1 -o a"), 0);
    ck_assert_int_eq(shell(&p, "echo 'max-seq-length = 12' >c; echo '1 + 4' >prompt"), 0);
    ck_assert_int_eq(tenon(&p, "%s", m->arguments), 0);
    ck_assert_int_eq(shell(&p, "cp out plain; test -s out"), 0);
    ck_assert_int_eq(shell(&p, "{ printf '\\357\\273\\277'; cat %s; } >x && mv x %s", m->file,
                           m->file),
                     0);
    ck_assert_int_eq(tenon(&p, "%s", m->arguments), 0);
    ck_assert_int_eq(shell(&p, "cmp plain out"), 0);
    if (*m->file == 'p') /* the prompt is shown without the mark */
        ck_assert_int_eq(shell(&p, "grep -q '^1 + 4' out"), 0);
    place_end(&p);
}
END_TEST

/* A text that is shorter than a window becomes one window. Tokens at the end that fill no window
   are reported. */
START_TEST(eval_of_a_text_says_what_it_takes)
{
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(shell(&p, "head -c 40 t.txt >s.txt; head -c 2 t.txt >two.txt"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data s.txt --max-seq-length 39"), 0);
    ck_assert_int_eq(
        shell(&p, "cp out exactly; grep -q '^tokens      39 in 1 row$' out && ! grep -q -e +- out"),
        0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data s.txt"), 0); /* rows of 64 */
    ck_assert_int_eq(shell(&p, "cmp exactly out"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model b --data two.txt"), 0);
    place_has(&p, "out", "tokens      1 in 1 row\n");
    ck_assert_int_eq(tenon(&p, "eval --model b --data t.txt"), 0); /* 2240 = 1 + 34 x 64 + 63 */
    place_has(&p, "out", "tokens      2176 in 34 rows, the last 63 left out\n");
    ck_assert_int_eq(tenon(&p, "eval --model b --data t.txt --max-seq-length 32"), 0);
    place_has(&p, "out", "tokens      2208 in 69 rows, the last 31 left out\n");
    /* The end of a short text for validation: 80 bytes of 400 are two rows of 32 and 15 more. */
    ck_assert_int_eq(shell(&p, "head -c 400 t.txt >u.txt; head -c 100 t.txt >v.txt"), 0);
    const char *how = "train --model b --iters 1 --max-seq-length 32 -o o --overwrite";
    ck_assert_int_eq(tenon(&p, "%s --data u.txt --valid-split 0.2", how), 0);
    place_has(&p, "out", "2 windows, 80 tokens, 64 in the loss, the last 15 left out\n");
    ck_assert_int_eq(tenon(&p, "%s --data v.txt --valid-split 0.2", how), 0);
    place_has(&p, "out", "1 window, 20 tokens, 19 in the loss\n");
    place_end(&p);
}
END_TEST

/* A single file of records keeps a share for validation, which eval can read alone. */
START_TEST(a_file_of_records_keeps_a_share)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer chars --iters 2 -o o --overwrite";
    ck_assert_int_eq(shell(&p, "\"$T\" task arithmetic --count 60 >s.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "%s --data s.jsonl", how), 0);
    place_has(&p, "out", "data       s.jsonl  52 records");
    place_has(&p, "out", "valid      s.jsonl  8 records");
    take_losses(&p, "o/log.jsonl", "\"split\":\"valid\",\"step\":2", "trained");
    ck_assert_int_eq(tenon(&p, "eval --model o --data s.jsonl --split valid"), 0);
    place_has(&p, "out", "data        s.jsonl, the valid part\n");
    ck_assert_int_eq(shell(&p, "l=$(cut -c1-6 trained); grep \"^loss  *$l\" out"), 0);
    place_has(&p, "out", "exact       0 of 8");
    ck_assert_int_eq(tenon(&p, "eval --model o --data s.jsonl --json"), 0);
    place_has(&p, "out", "\"rows\":60,\"data\":\"s.jsonl\",\"part\":\"all\"");
    ck_assert_int_eq(tenon(&p, "eval --model o --data s.jsonl --valid-split 0.25"), 0);
    place_has(&p, "out", "in 15 rows");
    ck_assert_int_eq(tenon(&p, "%s --data s.jsonl --valid-split 0", how), 0);
    place_has(&p, "out", "data       s.jsonl  60 records");
    ck_assert_int_eq(shell(&p, "! grep '^valid' out"), 0);
    ck_assert_int_eq(tenon(&p, "%s --data r.jsonl", how), 0);
    place_has(&p, "out", "valid      none: fewer than 40 records");
    ck_assert_int_eq(tenon(&p, "%s --data r.jsonl --valid-split 0.01", how), 0);
    place_has(&p, "out",
              "valid      none: --valid-split 0.01 of 23 records is less than half a "
              "record (0.043 keeps one)");
    ck_assert_int_eq(shell(&p, "for i in $(seq 50); do head -n 1 s.jsonl; done >one.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "%s --data one.jsonl", how), 0);
    place_has(&p, "out", "valid      none: equal records are kept together, and there are too few");
    ck_assert_int_eq(tenon(&p, "inspect --data s.jsonl --tokenizer chars"), 0);
    place_has(&p, "out", "valid: 8 more records, which train evaluates on (--split valid shows ");
    ck_assert_int_eq(shell(&p, "mkdir f; cp s.jsonl f/train.jsonl"), 0);
    ck_assert_int_eq(tenon(&p, "%s --data f --data s.jsonl", how), 0);
    place_has(&p, "out", "data       f + s.jsonl  112 records");
    place_has(&p, "out", ", 8 also in the validation data");
    ck_assert_int_eq(tenon(&p, "compare --model m --tokenizer chars --data s.jsonl --iters 1 "
                               "--optimizers sgd --lr-grid 1e-3 --out c"),
                     0);
    place_has(&p, "out", "valid      s.jsonl  8 records");
    place_end(&p);
}
END_TEST

/* Several --data are one data set, and each adds to the parts that it has. */
static const struct several {
    const char *data, *train, *valid; /* beginnings of lines */
} several[] = {
    { "--data r.jsonl --data s.jsonl", "data       r.jsonl + s.jsonl  75 records (",
      "valid      r.jsonl + s.jsonl  8 records (" },
    { "--data r.jsonl --data d", "data       r.jsonl + d  33 records (",
      "valid      r.jsonl + d  5 records (" },
    { "--data d --data task:arithmetic:30", "data       d + task:arithmetic:30  40 records (",
      "valid      d + task:arithmetic:30  505 records (" },
    { "--data t.txt --data r.jsonl --max-seq-length 32", "data       t.txt + r.jsonl  85 records (",
      "valid      t.txt + r.jsonl  6 windows, " },
    { "--data s.jsonl --data e", "data       s.jsonl + e  62 records (",
      "valid      s.jsonl + e  11 records (" },
};

START_TEST(several_data_are_one)
{
    place p = place_make();
    const struct several *row = &several[_i];
    ck_assert_int_eq(
        shell(&p, "\"$T\" task arithmetic --count 60 >s.jsonl; mkdir d e; head -n 10 r.jsonl "
                  ">d/train.jsonl; head -n 5 r.jsonl >d/validation.json; head -n 10 s.jsonl "
                  ">e/train.json; head -c 250 t.txt >e/val.txt; wc t.txt e/val.txt >&2"),
        0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes %s --iters 2 -o o", row->data),
                     0);
    place_has(&p, "out", row->train);
    place_has(&p, "out", row->valid);
    ck_assert_int_eq(tenon(&p, "train --config o/config.used -o q"), 0);
    place_same(&p, "o", "q");
    ck_assert_int_eq(tenon(&p, "eval --model o %s --split valid", row->data), 0);
    place_end(&p);
}
END_TEST

/* --data - reads standard input, with the numbers of a file. A run keeps a copy in its folder,
   which it is resumed with. */
START_TEST(standard_input_is_data)
{
    place p = place_make();
    const char *how = "--data - <s.jsonl";
    const char *train = "train --model m --tokenizer chars --save-every 2";
    ck_assert_int_eq(shell(&p, "mkdir tmp; \"$T\" task arithmetic --count 60 >s.jsonl"), 0);
    ck_assert_int_eq(shell(&p, "export TMPDIR=$PWD/tmp; \"$T\" %s --iters 4 -o o %s >out", train,
                           how),
                     0);
    place_has(&p, "out", "data       standard input  52 records (completion), ");
    ck_assert_int_eq(tenon(&p, "%s --iters 4 -o q --data s.jsonl", train), 0);
    ck_assert_int_eq(
        shell(&p, "cmp o/stdin.jsonl s.jsonl && cmp o/model.safetensors q/model.safetensors && "
                  "cmp o/checkpoint-4/optimizer.safetensors q/checkpoint-4/optimizer.safetensors"),
        0);
    ck_assert_int_eq(tenon(&p, "%s --iters 2 --lr-scheduler constant -o r %s", train, how), 0);
    ck_assert_int_eq(tenon(&p,
                           "%s --iters 4 --lr-scheduler constant -o r --data - --resume </dev/null",
                           train),
                     0);
    static const char *const others[] = { "head -n 59 s.jsonl", "cat s.jsonl; echo", "echo x" };
    for (int i = 0; i < 3; i++) { /* less, more, another beginning */
        ck_assert_int_eq(
            shell(&p,
                  "(%s) | \"$T\" %s --iters 5 --lr-scheduler constant -o r --data - --resume "
                  ">out 2>err",
                  others[i], train),
            2);
        place_has(&p, "err", "--data -: standard input is not that of the run that is resumed");
    }
    ck_assert_int_eq(tenon(&p, "%s --iters 4 --lr-scheduler constant -o w %s", train, how), 0);
    ck_assert_int_eq(
        shell(&p, "cmp r/model.safetensors w/model.safetensors && "
                  "cmp r/checkpoint-4/optimizer.safetensors w/checkpoint-4/optimizer.safetensors"),
        0);
    ck_assert_int_eq(tenon(&p, "eval --model o --json %s", how), 0);
    ck_assert_int_eq(shell(&p, "sed 's/standard input/s.jsonl/' out >a"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model o --json --data s.jsonl"), 0);
    ck_assert_int_eq(shell(&p, "cmp a out"), 0);
    ck_assert_int_eq(tenon(&p, "inspect o --data - <t.txt"), 1); /* a character of another text */
    ck_assert_int_eq(tenon(&p, "inspect --tokenizer bytes --data - <t.txt"), 0);
    place_has(&p, "out", " window, ");
    ck_assert_int_eq(tenon(&p, "eval --model o --data - </dev/null"), 1);
    place_has(&p, "err", "standard input: empty; expected records or a text");
    ck_assert_int_eq(shell(&p, "{ cat s.jsonl; echo x; } | \"$T\" eval --model o --data - 2>err"),
                     1);
    place_has(&p, "err", "tenon: standard input:61: ");
    ck_assert_int_eq(tenon(&p, "eval --model o --data - %s", how), 2);
    place_has(&p, "err", "--data -: given twice");
    ck_assert_int_eq(tenon(&p, "%s --iters 4 -o q --data - --resume <s.jsonl", train), 1);
    place_has(&p, "err", "q: no stdin.jsonl or stdin.txt; expected what --data - read");
    ck_assert_int_eq(shell(&p, "test -z \"$(ls tmp)\""), 0); /* temporary files are removed */
    ck_assert_int_eq(tenon(&p, "%s --iters 2 -o o --overwrite --data s.jsonl", train), 0);
    ck_assert_int_eq(shell(&p, "test ! -e o/stdin.jsonl"), 0); /* the older run's */
    place_end(&p);
}
END_TEST

/* Whatever ends the program while it reads: nothing of standard input stays. More is written than
   the pipe holds, so the program has begun the temporary file. The pipe stays open, so it waits
   for more. */
START_TEST(nothing_stays_of_standard_input)
{
    static const char *const ends[] = { "TERM", "HUP", "KILL" };
    place p = place_make();
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(
        shell(&p,
              "mkdir tmp; mkfifo in; yes \"$(cat t.txt)\" | head -c 4000000 >long.txt; "
              "export TMPDIR=$PWD/tmp; "
              "\"$T\" eval --model b --data - <in >out 2>err & exec 3>in; cat long.txt >&3; "
              "ls -l /proc/$!/fd | grep -q \"$PWD/tmp/\" || exit 9; "
              "kill -%s $!; ! wait $! && test -z \"$(ls tmp)\"",
              ends[_i]),
        0);
    place_end(&p);
}
END_TEST

/* To the tokenizer of bytes, ASCII in two bytes a character is a file of its ids. */
START_TEST(token_ids_are_trained_on_as_their_text)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer bytes --iters 3 --valid-split 0 --val-batches 1";
    ck_assert_int_eq(shell(&p,
                           "iconv -f ASCII -t UTF-16LE t.txt >t.bin; mkdir d; "
                           "cp t.bin d/train.bin; cp t.bin d/val.bin; head -c 9 t.bin >odd.bin"),
                     0);
    ck_assert_int_eq(tenon(&p, "%s --data t.txt -o a", how), 0);
    ck_assert_int_eq(tenon(&p, "%s --data t.bin -o b", how), 0);
    ck_assert_int_eq(shell(&p, "cmp a/model.safetensors b/model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model a --data t.txt --stride 8 --chunks 3 --json"), 0);
    ck_assert_int_eq(shell(&p, "sed 's/t.txt/t.bin/g' out >text"), 0);
    ck_assert_int_eq(tenon(&p, "eval --model a --data t.bin --stride 8 --chunks 3 --json"), 0);
    ck_assert_int_eq(shell(&p, "cmp text out"), 0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --iters 1 --data d -o d1"), 0);
    place_has(&p, "out", "valid 0");
    ck_assert_int_eq(tenon(&p, "eval --model a --data odd.bin"), 1);
    place_has(&p, "err", "odd.bin: 9 bytes; expected ids of 2 bytes each");
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer chars --data t.bin -o c"), 2);
    place_has(&p, "err", "t.bin: token ids have no characters; expected --tokenizer bytes");
    place_end(&p);
}
END_TEST

/* A folder is read as its files are: shards in the order of their numbers, endings in capitals. */
static const struct {
    const char *make, *folder, *files; /* files: of the training part */
} folders[] = {
    { "split -b 70 -d -a 2 --additional-suffix=.bin t.bin d/tiny_train_; cp t.bin d/tiny_val_07.bin",
      "--data d",
      "--data d/tiny_train_00.bin --data d/tiny_train_01.bin --data d/tiny_train_02.bin "
      "--data d/tiny_train_03.bin --data d/tiny_train_04.bin" },
    { "head -c 140 t.bin >d/train_9.BIN; tail -c 140 t.bin >d/train_10.BIN", "--data d",
      "--data d/train_9.BIN --data d/train_10.BIN" },
    { "cp r.jsonl d/Train.JSONL; cp r.jsonl d/r.jsonl", "--data d", "--data d/r.jsonl" },
    { "cp t.txt d/TRAIN.TXT", "--data d", "--data d/TRAIN.TXT" },
    { "cp t.txt d/T.TXT; cp r.jsonl d/R.JSON", "--data d/T.TXT --data d/R.JSON",
      "--data t.txt --data r.jsonl" },
};

START_TEST(a_folder_is_its_files)
{
    place p = place_make();
    const char *how = "train --model m --tokenizer bytes --iters 3 --val-batches 0 "
                      "--max-seq-length 16 --valid-split 0";
    ck_assert_int_eq(shell(&p, "head -c 170 t.txt | iconv -f ASCII -t UTF-16LE >t.bin; mkdir d; %s",
                           folders[_i].make),
                     0);
    ck_assert_int_eq(tenon(&p, "%s %s -o b", how, folders[_i].files), 0);
    if (!strcmp(folders[_i].folder, "--data d"))
        how = "train --model m --tokenizer bytes --iters 3 --val-batches 0 --max-seq-length 16";
    ck_assert_int_eq(tenon(&p, "%s %s -o a", how, folders[_i].folder), 0);
    ck_assert_int_eq(shell(&p, "cmp a/model.safetensors b/model.safetensors"), 0);
    place_end(&p);
}
END_TEST

/* The shards of a folder may be more than the files that --data can name. */
START_TEST(a_folder_may_have_many_shards)
{
    place p = place_make();
    ck_assert_int_eq(shell(&p, "mkdir d; for i in $(seq -w 0 39); do head -c 40 t.txt | "
                               "iconv -f ASCII -t UTF-16LE >d/train_$i.bin; done"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --iters 3 --data d -o a "
                               "--max-seq-length 16"),
                     0);
    place_has(&p, "out", "data       d  80 records, 1,600 tokens");
    place_end(&p);
}
END_TEST

/* Of a model without a template; other chats are refused as before. */
START_TEST(alpaca_records_bring_their_template)
{
    place p = place_make();
    ck_assert_int_eq(
        shell(&p,
              "sed -i 's/64/512/g' m/config.json && for i in 1 2 3; do echo "
              "\"{\\\"instruction\\\":\\\"Add $i\\\",\\\"output\\\":\\\"1$i\\\"}\"; done >al.jsonl "
              "&& cp al.jsonl mix.jsonl && echo '{\"messages\":[{\"role\":\"user\",\"content\":"
              "\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]}' >>mix.jsonl"),
        0);
    ck_assert_int_eq(tenon(&p, "train --model m --tokenizer bytes --data t.txt --iters 1 -o b"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data al.jsonl --iters 1 -o x"), 0);
    place_has(&p, "out", "3 chats as alpaca (the default of such records), all but the answers");
    place_has(&p, "x/config.used", "# chat template of the records = alpaca\n");
    ck_assert_int_eq(tenon(&p,
                           "train --model b --data al.jsonl --iters 1 -o y --chat-template alpaca"),
                     0);
    ck_assert_int_eq(shell(&p, "cmp x/adapter_model.safetensors y/adapter_model.safetensors"), 0);
    ck_assert_int_eq(tenon(&p, "train --model b --data mix.jsonl --iters 1 -o z"), 1);
    place_has(
        &p, "err",
        "mix.jsonl:4: a chat; expected a chat template for it, or a text (--chat-template NAME; the model has none): qwen3");
    /* not what Alpaca's template says of it: nobody named that */
    ck_assert_int_eq(shell(&p,
                           "sed -i '4s/\\[/[{\"role\":\"system\",\"content\":\"s\"},/' mix.jsonl"),
                     0);
    ck_assert_int_eq(tenon(&p, "train --model b --data mix.jsonl --iters 1 -o z"), 1);
    place_has(
        &p, "err",
        "mix.jsonl:4: a chat; expected a chat template for it, or a text (--chat-template NAME; the model has none): qwen3");
    place_end(&p);
}
END_TEST

void tests_of_program(TCase *c)
{
    tcase_add_test(c, alpaca_records_bring_their_template);
    tcase_add_loop_test(c, a_folder_is_its_files, 0, sizeof folders / sizeof *folders);
    tcase_add_test(c, a_folder_may_have_many_shards);
    tcase_add_test(c, token_ids_are_trained_on_as_their_text);
    tcase_add_loop_test(c, nothing_stays_of_standard_input, 0, 3);
    tcase_add_test(c, standard_input_is_data);
    tcase_add_loop_test(c, several_data_are_one, 0, sizeof several / sizeof *several);
    tcase_add_test(c, a_file_of_records_keeps_a_share);
    tcase_add_loop_test(c, a_step_takes_the_same_rows_however_it_is_cut, 0, 2);
    tcase_add_loop_test(c, validation_takes_the_same_rows_for_every_batch_size, 0, 5);
    tcase_add_test(c, a_vocabulary_has_the_texts_alone);
    tcase_add_loop_test(c, a_byte_order_mark_changes_nothing, 0, sizeof marked / sizeof *marked);
    tcase_add_test(c, eval_of_a_text_says_what_it_takes);
}
