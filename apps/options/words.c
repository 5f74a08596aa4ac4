/* words.c - finds an option by the word that another program has for it (words.def). */
#include "apps/options/options_set.h"

#include <string.h>

static const struct {
    const char *word, *commands; /* commands "": all */
    const char *option, *says;   /* one of both, or none: there is nothing to do */
} peer_words[] = {
#define SAME(word, option) { word, "", option, NULL },
#define ANSWER(word, letters, text) { word, letters, NULL, text },
#define DONE(word, letters) { word, letters, NULL, NULL },
#include "apps/options/words.def"
#undef SAME
#undef ANSWER
#undef DONE
};

word_meaning word_find(const char *name, size_t n, char letter)
{
    for (size_t i = 0; i < sizeof peer_words / sizeof *peer_words; i++)
        if (word_in(name, n, peer_words[i].word, ",") &&
            (!*peer_words[i].commands || strchr(peer_words[i].commands, letter)))
            return (word_meaning){ true, peer_words[i].option, peer_words[i].says };
    return (word_meaning){ 0 };
}
