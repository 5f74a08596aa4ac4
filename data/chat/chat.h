/* chat.h - messages as the text that a model expects, and as its token ids. Internal header.

   A rendered chat keeps two lists of places: the special tokens that the template wrote, and what is
   learnt. A user's text never becomes a special token: only the places in the first list do.

       <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n
       [---------]         [--------]  [---------]                  [--------]      tokens
                                                             [---------------]      learnt  */
#ifndef TN_CHAT_H
#define TN_CHAT_H

#include "data/data.h"

enum {                          /* rules of a template */
       TN_CHAT_TRIM = 1,        /* white space at both ends of a message is left out */
       TN_CHAT_TRIM_JOINED = 2, /* of the first user turn: after the system message was added */
       TN_CHAT_ALTERNATE = 4,   /* user and assistant in turn, from the user on */
       TN_CHAT_QUOTE_TOOLS = 8, /* what a tool says is a JSON string, and its role is ipython */
       TN_CHAT_QWEN3 = 16,      /* blocks of thoughts, and tools in turns of the user: qwen3.c */
       TN_CHAT_ONE_ANSWER = 32, /* one question and at most one answer */
};

/* clang-format off */
typedef struct tn_around { const char *before, *after; } tn_around; /* before NULL: there is none */
/* clang-format on */

struct tn_chat_template { /* see templates.def */
    const char *name, *has, *lacks;
    unsigned rules;
    const char *begin, *missing;
    tn_around system, inner, user;
    const char *head;
    tn_around answer, other;
    const char *ask;
};

/* clang-format off */
typedef struct tn_chat_place { size_t from, to; } tn_chat_place; /* bytes of the text */
typedef struct tn_chat_places { tn_chat_place *at; size_t n, room; } tn_chat_places;
/* clang-format on */

/* Starts as { .bos, .eos } with the names of the two tokens, ends by tn_chat_text_free. */
typedef struct tn_chat_text {
    const char *bos, *eos; /* NULL: the tokenizer has none */
    const char *lacks;     /* "begin", "end": the token that was to be written, but has no name */
    tn_text text;
    tn_chat_places tokens, learnt;
} tn_chat_text;

/* Appends the rendered messages; `ask`: and what asks for an answer. Refuses what the template
   cannot say: "message 2: ...". */
int tn_chat_render(const tn_chat_template *t, const tn_message *m, int64_t n, bool ask,
                   tn_chat_text *out, tn_error *e);
void tn_chat_text_free(tn_chat_text *c);

/* The parts of a template, for qwen3.c. */
void tn_chat_write(tn_chat_text *c, const char *template, const tn_message *m); /* {x} and @ */
/* The answer m is learnt, from there to the last token, or the end. */
void tn_chat_learn(tn_chat_text *c, const tn_message *m, size_t from);
/* The turns of Qwen 3. */
void tn_chat_qwen3(const tn_chat_template *t, const tn_message *m, int64_t n, tn_chat_text *c);

bool tn_role_is(const tn_message *m, const char *role);

#endif
