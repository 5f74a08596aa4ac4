/* optim_words.c - translates the settings of a reference case into ours. */
#include "tests/support/optim_words.h"

#include <stdio.h>
#include <string.h>

static const char *value_of(const tn_json *m)
{
    switch (m->kind) {
    case TN_NULL: return "null";
    case TN_BOOL: return m->text[0] == 't' ? "1" : "0";
    case TN_NUMBER:
    case TN_STRING: return m->text;
    default: return NULL;
    }
}

static const word *find_word(const word *words, size_t count, const char *of, const char *key,
                             const char *value)
{
    for (size_t i = 0; i < count; i++) {
        const word *w = &words[i];
        if (!strcmp(w->key, key) && (!w->of || !strcmp(w->of, of)) &&
            (!w->value || !strcmp(w->value, value)))
            return w;
    }
    return NULL;
}

static bool has(const tn_optim_def *def, const char *name)
{
    int i = 0;
    while (i < TN_MAX_HYPER && def->hyper[i].name && strcmp(def->hyper[i].name, name))
        i++;
    return i < TN_MAX_HYPER && def->hyper[i].name;
}

const char *in_our_words(const tn_json *settings, const char *of, const tn_optim_def *def,
                         const word *words, size_t count, char *out, size_t room)
{
    for (const tn_json *m = settings ? settings->child : NULL; m; m = m->next) {
        const char *value = value_of(m);
        bool own = value && m->kind != TN_STRING && has(def, m->key);
        const word *w = value && !own ? find_word(words, count, of, m->key, value) : NULL;
        size_t used = strlen(out), end = w ? strlen(w->ours) : 0;
        bool takes = end && w->ours[end - 1] == '=';
        if (w)
            snprintf(out + used, room - used, "%s%s%s", w->ours, takes ? value : "",
                     end ? " " : "");
        else if (!own)
            return m->key;
        else if (m->kind != TN_NULL)
            snprintf(out + used, room - used, "%s=%s ", m->key, value);
    }
    return NULL;
}
