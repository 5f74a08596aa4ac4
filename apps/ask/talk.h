/* talk.h - a talk with a model: its messages, and the answers, of which only new tokens are computed.

       talk t = { 0 };
       talk_begin(&t, &s, o, &e);
       talk_say(&t, "Hello", 5, &e);                the answer goes to standard output
       talk_undo(&t); talk_end(&t);

   When the messages have too many tokens for the model, the oldest question and its answer are no
   longer sent. They stay in the list, for talk_save. */
#ifndef TN_APP_TALK_H
#define TN_APP_TALK_H

#include "apps/ask/ask.h"

typedef struct talk {
    const setup *s;
    const options *o;
    ask how;
    tn_session *session;
    tn_message
        *messages; /* (n) the first is the system message; its text is empty if there is none */
    int64_t n, room;
    int64_t sent;   /* the first message after the system message that is sent */
    bool off;       /* the adapter is switched off */
    char *saved_to; /* the file that talk_save wrote this talk to; NULL: none */
    tn_text saved;  /* its line there */
} talk;

int talk_begin(talk *t, const setup *s, const options *o, tn_error *e);
void talk_end(talk *t);
/* Adds a question, and the answer, which is shown as it comes. A signal ends the answer; then, and
   at its other ends, what was said stays. A question with too many tokens is refused and left
   out. */
int talk_say(talk *t, const char *text, size_t n, tn_error *e);
void talk_reset(talk *t); /* begins another talk, with the same system message */
int talk_system(talk *t, const char *text, size_t n, tn_error *e); /* n 0: there is none */
bool talk_undo(talk *t); /* takes the last question and its answer back */
void talk_adapter(talk *t, bool on);
/* Appends the messages as a line {"messages":[...]} to a file, which `train --data` reads. If its
   last line is this talk as it was saved before, that line is replaced. Refuses a talk without an
   answer, and a file whose first line is no talk. */
int talk_save(talk *t, const char *path, tn_error *e);

#endif
