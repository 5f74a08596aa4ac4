/* apps.h - what the tests of the program share: a folder to work in, and running `tenon` there.

       place p = place_make();
       ck_assert_int_eq(tenon(&p, "train --model m --data t.txt"), 0);
       place_has(&p, "out", "saved");
       place_end(&p);

   The program is $BUILD/tenon (build/tenon by default). All paths are relative to the folder, which
   is the working directory until place_end. Standard output and error of the last run are in the
   files out and err. */
#ifndef TN_TESTS_APPS_H
#define TN_TESTS_APPS_H

#include <stdbool.h>

typedef struct place {
    char folder[64], program[1024], before[1024]; /* before: the working directory to return to */
} place;

/* A new temporary folder with the config of a tiny model and data: m/config.json, t.txt,
   r.jsonl. */
place place_make(void);
void place_end(place *p);
/* Makes a model of chats with the ChatML template, co, and its base without training, cm. It
   answers red with rose, blue with sky, hi with hello, and yo with hey; records of this are in
   chat.jsonl. */
void place_chat(const place *p);
/* Runs the program. A shell reads the arguments. Returns the exit status, 128 + the signal after
   one. */
int tenon(const place *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Runs a shell command. Returns its exit status. $T is the program, $L the folder of what tests
   preload. After "$T" in the background, `await COMMAND` waits until the command succeeds or the
   program has ended; $pid is the program. */
int shell(const place *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "$T" in a format of shell(), so that no result depends on the speed of the machine
   (tests/preload). SENDS: it sends itself signals ("USR1 USR2") when it writes, for the n-th time
   ("1"), a text. TICKS: its clock goes on when it is read, and only then. */
#define SENDS "LD_PRELOAD=\"$L/signals.so\" SIGNALS='%s' SIGNALS_TIMES=%s SIGNALS_AT='%s' \"$T\" "
#define TICKS "LD_PRELOAD=\"$L/clock.so\" \"$T\" "
/* Fails unless the file contains the text. */
void place_has(const place *p, const char *file, const char *text);
/* Fails unless both folders hold the same files with the same bytes. log.jsonl, log.csv and
   loss.svg are not compared: they have times, or only the steps after a resume. */
void place_same(const place *p, const char *a, const char *b);
/* The text of a file; "" if it cannot be opened. The caller frees it. */
char *place_read(const char *file);

#endif
