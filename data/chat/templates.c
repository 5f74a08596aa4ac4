/* templates.c - the list of chat templates, by name and by what a model's own template contains. */
#include "data/chat/chat.h"

#include <string.h>

#define P(before, after)                                                                           \
    {                                                                                              \
        before, after                                                                              \
    }
#define NONE                                                                                       \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }
#define TRIM TN_CHAT_TRIM
#define TRIM_JOINED TN_CHAT_TRIM_JOINED
#define ALTERNATE TN_CHAT_ALTERNATE
#define QUOTE_TOOLS TN_CHAT_QUOTE_TOOLS
#define QWEN3 TN_CHAT_QWEN3
#define ONE_ANSWER TN_CHAT_ONE_ANSWER
#define TEMPLATE(...) { __VA_ARGS__ },

static const tn_chat_template templates[] = {
#include "data/chat/templates.def"
};

enum { TEMPLATES = sizeof templates / sizeof *templates, LONGEST = 128 };

const char *tn_chat_template_name(int64_t i)
{
    return i >= 0 && i < TEMPLATES ? templates[i].name : NULL;
}

const tn_chat_template *tn_chat_template_find(const char *name)
{
    for (int i = 0; name && i < TEMPLATES; i++)
        if (!strcmp(templates[i].name, name))
            return &templates[i];
    return NULL;
}

const char *tn_chat_name(const tn_chat_template *t)
{
    return t ? t->name : NULL;
}

/* How many of the words, which ";" separates, are in the text? */
static int count_words(const char *text, const char *words, int *of)
{
    char word[LONGEST];
    int found = 0;
    for (*of = 0; *words; ++*of) {
        const size_t n = strcspn(words, ";");
        memcpy(word, words, n);
        word[n] = 0;
        found += strstr(text, word) != NULL;
        words += n + (words[n] == ';');
    }
    return found;
}

const tn_chat_template *tn_chat_template_of(const char *text)
{
    for (int i = 0; text && i < TEMPLATES; i++) {
        int has, lacks;
        if (*templates[i].has && count_words(text, templates[i].has, &has) == has &&
            !count_words(text, templates[i].lacks, &lacks))
            return &templates[i];
    }
    return NULL;
}
