/* restaurant.c - a task: a list of facts about a restaurant becomes one sentence.

       name[The Golden Curry], food[Indian], family[yes], near[Cafe Rouge] =>
        The Golden Curry is an Indian restaurant near Cafe Rouge that welcomes families.

   Like the E2E challenge (Novikova, Dusek, Rieser 2017), but with one right answer: the sentence
   has the fields in the order of the table, whatever their order in the prompt. Two to five fields
   follow the name. Half of the names are made of syllables: a model must copy them. */
#include "data/tasks/draw.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME, PRICE, FOOD, AREA, NEAR, FAMILY, FIELDS, VALUE = 64 };

/* clang-format off */
static const struct field {
    const char *key, *phrase; /* * stands for the value */
    const char *values[13];   /* empty: a name */
} fields[FIELDS] = {
    [NAME] = { "name", " *", { NULL } },
    [PRICE] = { "price", " *", { "cheap", "moderate", "expensive", "affordable", "pricey" } },
    [FOOD] = { "food", " *", { "Indian", "Italian", "French", "Chinese", "Japanese", "Greek",
                               "Thai", "English", "Spanish", "Turkish", "Korean", "vegan" } },
    [AREA] = { "area", " in the *", { "riverside", "city centre", "old town", "harbour", "suburbs",
                                      "market hall", "north end", "theatre row" } },
    [NEAR] = { "near", " near *", { NULL } },
    [FAMILY] = { "family", NULL, { "yes", "no" } },
};
/* clang-format on */

/* Writes the phrase of a field with its value. */
static void say(int field, const char *value, char out[TN_TASK_TEXT])
{
    if (field == FAMILY)
        tn_put(out, "%s", !strcmp(value, "yes") ? " that welcomes families" : " for adults only");
    else
        tn_put(out, "%.*s%s", (int)strcspn(fields[field].phrase, "*"), fields[field].phrase, value);
}

static void draw_name(tn_draws *d, char out[VALUE])
{
    static const char *const first[] = { "Golden", "Blue", "Wild",  "Rusty", "Silver", "Hungry",
                                         "Green",  "Old",  "Lucky", "Royal", "Spicy",  "Happy" };
    static const char *const second[] = { "Curry", "Fork",    "Spoon", "Anchor", "Olive",  "Plough",
                                          "Crown", "Lantern", "Swan",  "Pepper", "Kettle", "Bell" };
    static const struct {
        const char *before;
        int syllables;
    } made[] = { { "", 3 }, { "", 2 }, { "Cafe ", 2 }, { "Bar ", 2 } };
    enum { FIRST = sizeof first / sizeof *first, SECOND = sizeof second / sizeof *second };
    if (tn_draw(d, 2)) {
        const char *the = tn_draw(d, 2) ? "The " : "", *adjective = first[tn_draw(d, FIRST)];
        snprintf(out, VALUE, "%s%s %s", the, adjective, second[tn_draw(d, SECOND)]);
        return;
    }
    const uint32_t kind = tn_draw(d, 4);
    char word[TN_WORD];
    tn_draw_word(d, made[kind].syllables, word);
    word[0] = (char)toupper((unsigned char)word[0]);
    snprintf(out, VALUE, "%s%s", made[kind].before, word);
}

static void draw_value(tn_draws *d, int field, char out[VALUE])
{
    uint32_t n = 0;
    while (fields[field].values[n] != NULL)
        n++;
    if (n == 0)
        draw_name(d, out);
    else
        snprintf(out, VALUE, "%s", fields[field].values[tn_draw(d, n)]);
}

/* Writes the sentence of all fields that have a value. */
static void sentence(char value[FIELDS][VALUE], char out[TN_TASK_TEXT])
{
    const char *kind = *value[PRICE] ? value[PRICE] : *value[FOOD] ? value[FOOD] : "restaurant";
    say(NAME, value[NAME], out);
    tn_put(out, strchr("aeiouAEIOU", *kind) ? " is an" : " is a");
    for (int s = PRICE; s < FIELDS; s++) {
        if (s == AREA)
            tn_put(out, " restaurant");
        if (*value[s])
            say(s, value[s], out);
    }
    tn_put(out, ".");
}

static void record(uint64_t seed, uint64_t index, tn_record *out)
{
    tn_draws d = tn_draws_new(seed, "restaurant", index);
    char value[FIELDS][VALUE] = { "" };
    int order[FIELDS];
    const int n = 3 + (int)tn_draw(&d, 4);
    tn_draw_fields(&d, FIELDS, n, order);
    *out = (tn_record){ "", "" };
    for (int i = 0; i < n; i++) {
        draw_value(&d, order[i], value[order[i]]);
        tn_put(out->prompt, "%s%s[%s]", i ? ", " : "", fields[order[i]].key, value[order[i]]);
    }
    tn_put(out->prompt, " =>");
    sentence(value, out->completion);
}

/* Finds the value of a field in a prompt. False: the prompt does not have the field. */
static bool find_value(const char *prompt, int field, char out[VALUE])
{
    char opening[16];
    snprintf(opening, sizeof opening, "%s[", fields[field].key);
    const char *at = strstr(prompt, opening);
    if (at == NULL)
        return false;
    at += strlen(opening);
    snprintf(out, VALUE, "%.*s", (int)strcspn(at, "]"), at);
    return true;
}

/* Is the phrase in the answer, and is its end the end of a word? */
static bool says(const char *answer, const char *phrase)
{
    for (const char *at = answer; (at = strstr(at, phrase)) != NULL; at++) {
        if (!isalnum((unsigned char)at[strlen(phrase)]))
            return true;
    }
    return false;
}

static tn_score score(const tn_record *r, const char *answer)
{
    int present = 0, right = 0;
    for (int s = 0; s < FIELDS; s++) {
        char value[VALUE], phrase[TN_TASK_TEXT] = "";
        if (!find_value(r->prompt, s, value))
            continue;
        say(s, value, phrase);
        present++;
        right += says(answer, phrase);
    }
    return (tn_score){ .exact = !strcmp(answer, r->completion),
                       .parts = present ? (double)right / present : 0 };
}

const tn_task tn_task_restaurant = {
    .name = "restaurant",
    .title = "a list of facts about a restaurant to its one sentence",
    .record = record,
    .score = score,
};
