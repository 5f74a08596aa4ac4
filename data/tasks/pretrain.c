/* pretrain.c - the text that teaches a base model to copy and to look up, before any task.

   Three records in five are of a domain below. They have the form of the tasks: fields in brackets,
   an arrow, and a sentence with the fields in the order of the table. Two in five are generic:
   their fields are random words, as in "stone[Velmora], oak[17] => Velmora has oak 17." No field,
   opening or phrase of a task occurs here, so a fine-tuned model has to learn it. */
#include "data/tasks/draw.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { FIELDS = 5, VALUE = 64, LONGEST = 250, SHORT = 90 };

/* value: @ a name, ~ a word, # 1 to 99, & 100 to 9999, or choices; in a phrase * is the value. */
typedef struct field {
    const char *key, *value, *phrase;
} field;

#define DAY "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday"

/* clang-format off */
static const field domains[][FIELDS] = {
    { { "hotel", "@", "Guests sleep at *" }, { "street", "@", " on * Street" },
      { "pool", "heated|tiled|indoor", " beside a * pool" },
      { "coins", "#", " for * coins a night" }, { "stars", "1|2|3|4|5", ", rated * stars" } },
    { { "train", "@", "Train * runs" }, { "origin", "@", " out of *" },
      { "target", "@", " to *" }, { "track", "#", " on track *" },
      { "seats", "hard|soft|padded", " with * seats" } },
    { { "dish", "~", "Cook the * soup" }, { "herb", "mint|sage|basil|thyme", " with *" },
      { "minutes", "#", " for * minutes" }, { "pot", "clay|steel|copper", " using a * pot" },
      { "heat", "gentle|steady|high", " over * heat" } },
    { { "title", "@", "They printed *" }, { "author", "@", ", a book by *" },
      { "pages", "#", " of * pages" }, { "cover", "leather|paper|linen", " with a * cover" },
      { "copies", "&", ", making * copies" } },
    { { "film", "@", "We watched *" }, { "actor", "@", " starring *" },
      { "director", "@", ", directed by *" }, { "genre", "drama|comedy|western", ", a long *" },
      { "row", "#", " from row *" } },
    { { "pet", "@", "* is a pet" }, { "species", "dog|cat|parrot|rabbit|pony", ", a *" },
      { "age", "#", " aged * months" }, { "fur", "brown|spotted|white", " with * marks" },
      { "owner", "@", " owned by *" } },
    { { "town", "@", "At * expect weather" }, { "wind", "strong|light|cold", " with * wind" },
      { "degrees", "#", " of * degrees" }, { "clouds", "grey|thin|heavy", " under * clouds" },
      { "until", DAY, " until *" } },
    { { "flight", "&", "Flight * departs" }, { "gate", "#", " by gate *" },
      { "city", "@", " toward *" }, { "pilot", "@", ", flown by *" },
      { "delay", "#", " after * minutes" } },
    { { "singer", "@", "* sings" }, { "tune", "@", " the tune *" },
      { "tempo", "slow|brisk|lively", " at a * tempo" }, { "verses", "#", " of * verses" },
      { "band", "@", ", backed by *" } },
    { { "car", "@", "The car * was sold" }, { "paint", "black|cream|crimson", " painted *" },
      { "doors", "2|3|4|5", " with * doors" }, { "miles", "&", " after * miles" },
      { "buyer", "@", " to *" } },
    { { "house", "@", "A house stands at *" }, { "rooms", "#", " having * rooms" },
      { "roof", "slate|tiled|thatched", " under a * roof" }, { "rent", "&", " at a rent of *" },
      { "tenant", "@", ", let to *" } },
    { { "plant", "~", "The * plant grows" }, { "soil", "sandy|dark|stony", " out of * soil" },
      { "feet", "#", " up to * feet" }, { "leaf", "narrow|round|shiny", " bearing * leaves" },
      { "season", "spring|summer|autumn", " every *" } },
    { { "team", "@", "* played football" }, { "rival", "@", " against *" },
      { "goals", "#", " and scored * goals" }, { "stadium", "@", " at * Park" },
      { "coach", "@", ", coached by *" } },
    { { "course", "@", "Course * begins" }, { "day", DAY, " on a *" },
      { "teacher", "@", ", taught by *" }, { "hall", "#", " at hall *" },
      { "pupils", "#", " before * pupils" } },
    { { "museum", "@", "The museum * opens" }, { "hour", "7|8|9|10|11", " at hour *" },
      { "exhibit", "~", " showing a *" }, { "ticket", "#", " for * pennies" },
      { "guide", "@", ", led by *" } },
    { { "phone", "@", "The phone * ships" }, { "screen", "#", " with a screen of * lines" },
      { "maker", "@", ", built by *" }, { "battery", "&", ", holding * units" },
      { "shell", "metal|rubber|glass", " inside a * shell" } },
    { { "worker", "@", "* works" }, { "trade", "baker|smith|weaver|clerk", " as a *" },
      { "firm", "@", " at *" }, { "wage", "&", " earning *" }, { "tool", "~", " using a *" } },
    { { "ship", "@", "The ship * sails" }, { "port", "@", " for port *" },
      { "cargo", "~", " carrying *" }, { "crew", "#", " with * sailors" },
      { "captain", "@", " under captain *" } },
    { { "writer", "@", "* wrote a letter" }, { "reader", "@", " addressed to *" },
      { "topic", "~", " about a *" }, { "stamps", "#", " bearing * stamps" },
      { "ink", "blue|violet|faded", " using * ink" } },
    { { "river", "@", "The river * flows" }, { "spring", "@", " down from *" },
      { "length", "&", " for * miles" }, { "bridges", "#", " under * bridges" },
      { "bed", "muddy|rocky|grassy", " over a * bed" } },
    { { "chair", "@", "* opened the meeting" }, { "subject", "~", " about the *" },
      { "voters", "#", " before * voters" }, { "weekday", DAY, " on *" },
      { "vote", "open|secret|tied", " by * vote" } },
    { { "planet", "@", "Planet * turns" }, { "sun", "@", " around *" },
      { "moons", "#", " with * moons" }, { "days", "&", " every * days" },
      { "rings", "pale|bright|broken", " behind * rings" } },
    { { "coat", "@", "The coat * comes" }, { "size", "small|medium|large", " as a * size" },
      { "cloth", "wool|silk|cotton", " sewn from *" }, { "buttons", "#", " with * buttons" },
      { "tailor", "@", ", cut by *" } },
    { { "doctor", "@", "Doctor * sees patients" }, { "ward", "#", " at ward *" },
      { "nurse", "@", ", helped by *" }, { "shift", "early|late|night", " on the * shift" },
      { "beds", "#", " with * beds" } },
};
/* clang-format on */

#undef DAY

static const char *const words[] = {
    "acorn",   "apple",   "arrow",  "autumn", "badge",   "bamboo", "basket",  "beacon",  "bell",
    "birch",   "barn",    "bottle", "branch", "bread",   "breeze", "brick",   "bronze",  "brush",
    "bucket",  "butter",  "button", "cabin",  "candle",  "canvas", "carpet",  "castle",  "cedar",
    "chalk",   "cherry",  "chest",  "circle", "cliff",   "clock",  "clover",  "cloud",   "coal",
    "coin",    "copper",  "coral",  "corner", "cottage", "cradle", "crystal", "curtain", "dawn",
    "desert",  "diamond", "drum",   "dust",   "eagle",   "echo",   "ember",   "engine",  "falcon",
    "feather", "fence",   "fern",   "fiddle", "field",   "flame",  "flute",   "forest",  "fossil",
    "fox",     "frost",   "garden", "garnet", "gate",    "ginger", "glacier", "glove",   "grain",
    "granite", "grove",   "hammer", "hazel",  "heather", "hedge",  "helmet",  "heron",   "hill",
    "honey",   "horizon", "horse",  "island", "ivory",   "jacket", "jasmine", "jewel",   "journey",
    "ladder",  "lagoon",  "lake",   "lamp",   "lark",    "lemon",  "lily",    "linen",   "lion",
    "magnet",  "maple",   "marble", "meadow", "melody",  "mirror", "mist",    "moss",    "mountain",
    "needle",  "nickel",  "oak",    "oasis",  "orchard", "otter",  "oyster",  "palm",    "panel",
    "parcel",  "path",    "pebble", "pencil", "pigeon",  "pillow", "pine",    "pocket",  "pond",
    "poppy",   "prism",   "puzzle", "quartz", "quill",   "rain",   "raven",   "ribbon",  "ridge",
    "robin",   "rocket",  "rope",   "rose",   "saddle",  "sail",   "salmon",  "salt",    "sand",
    "scarf",   "shadow",  "shell",  "shield", "shore",   "signal", "smoke",   "snow",    "spark",
    "spider",  "spiral",  "stone",  "storm",  "straw",   "stream", "sugar",   "thorn",   "thunder",
    "tiger",   "timber",  "torch",  "tower",  "trumpet", "tulip",  "tunnel",  "turtle",  "valley",
    "velvet",  "violin",  "wagon",  "walnut", "water",   "wheat",  "wheel",   "whistle", "willow",
    "window",  "winter",  "wolf",   "wood",   "yarn",    "zebra",
};

enum { DOMAINS = sizeof domains / sizeof *domains, WORDS = sizeof words / sizeof *words };

static void draw_word(tn_draws *d, char out[VALUE])
{
    snprintf(out, VALUE, "%s", words[tn_draw(d, WORDS)]);
}

/* Draws a name of one or two words with capitals. Half of the words are made of syllables. */
static void draw_name(tn_draws *d, char out[VALUE])
{
    size_t n = 0;
    for (uint32_t left = 1 + tn_draw(d, 2); left > 0; left--) {
        char word[VALUE];
        if (tn_draw(d, 2))
            tn_draw_word(d, 1 + (int)tn_draw(d, 3), word);
        else
            draw_word(d, word);
        word[0] = (char)toupper((unsigned char)word[0]);
        n += (size_t)snprintf(out + n, VALUE - n, "%s%s", n ? " " : "", word);
    }
}

/* Draws one of "a|b|c". */
static void draw_choice(tn_draws *d, const char *choices, char out[VALUE])
{
    uint32_t n = 1;
    for (const char *s = choices; *s; s++)
        n += *s == '|';
    for (uint32_t skip = tn_draw(d, n); skip > 0; skip--)
        choices = strchr(choices, '|') + 1;
    snprintf(out, VALUE, "%.*s", (int)strcspn(choices, "|"), choices);
}

static void draw_value(tn_draws *d, const char *kind, char out[VALUE])
{
    switch (*kind) {
    case '@': draw_name(d, out); break;
    case '~': draw_word(d, out); break;
    case '#': snprintf(out, VALUE, "%d", 1 + (int)tn_draw(d, 99)); break;
    case '&': snprintf(out, VALUE, "%d", 100 + (int)tn_draw(d, 9900)); break;
    default: draw_choice(d, kind, out);
    }
}

/* Makes a record of a domain, with two to `most` fields. */
static void domain_record(tn_draws *d, int most, tn_record *out)
{
    const field *s = domains[tn_draw(d, DOMAINS)];
    char value[FIELDS][VALUE] = { "" };
    int order[FIELDS];
    const int n = 2 + (int)tn_draw(d, (uint32_t)most - 1);
    tn_draw_fields(d, FIELDS, n, order);
    for (int i = 0; i < n; i++) {
        draw_value(d, s[order[i]].value, value[order[i]]);
        tn_put(out->prompt, "%s%s[%s]", i ? ", " : "", s[order[i]].key, value[order[i]]);
    }
    tn_put(out->completion, " ");
    for (int i = 0; i < FIELDS; i++) {
        const size_t star = strcspn(s[i].phrase, "*");
        if (*value[i])
            tn_put(out->completion, "%.*s%s%s", (int)star, s[i].phrase, value[i],
                   s[i].phrase + star + 1);
    }
}

/* Draws a field's name for a generic record: no name twice, and no word of a task. */
static void draw_key(tn_draws *d, char key[FIELDS][VALUE], int n)
{
    static const char *const kept[] = { "name", "price",  "food", "area",
                                        "near", "family", "plus", "minus" };
    bool taken = true;
    while (taken) {
        if (tn_draw(d, 2))
            tn_draw_word(d, 1 + (int)tn_draw(d, 2), key[n]);
        else
            draw_word(d, key[n]);
        taken = false;
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
            taken |= strstr(key[n], kept[i]) != NULL;
        for (int i = 0; i < n; i++)
            taken |= !strcmp(key[n], key[i]);
    }
}

/* Makes a record whose two to `most` fields are random words. */
static void generic_record(tn_draws *d, int most, tn_record *out)
{
    static const char *const kinds[] = { "@", "~", "#", "&" };
    char key[FIELDS][VALUE] = { "" }, value[FIELDS][VALUE] = { "" };
    int order[FIELDS];
    const int n = 2 + (int)tn_draw(d, (uint32_t)most - 1);
    tn_draw_fields(d, n, n, order);
    for (int i = 0; i < n; i++) {
        draw_key(d, key, i);
        draw_value(d, i ? kinds[tn_draw(d, 4)] : "@", value[i]);
    }
    for (int i = 0; i < n; i++)
        tn_put(out->prompt, "%s%s[%s]", i ? ", " : "", key[order[i]], value[order[i]]);
    tn_put(out->completion, " %s has", value[0]);
    for (int i = 1; i < n; i++)
        tn_put(out->completion, "%s %s %s", i > 1 ? "," : "", key[i], value[i]);
}

void tn_base_record(uint64_t seed, uint64_t index, bool short_only, tn_record *out)
{
    if (!out)
        return;
    tn_draws d = tn_draws_new(seed, "base", index);
    const int most = short_only ? 3 : FIELDS;
    const bool domain = tn_draw(&d, 5) < 3;
    do { /* until a record is short enough: usually the first is */
        *out = (tn_record){ "", "" };
        if (domain)
            domain_record(&d, most, out);
        else
            generic_record(&d, most, out);
        tn_put(out->prompt, " =>");
        tn_put(out->completion, ".");
    } while (strlen(out->prompt) + strlen(out->completion) >= (short_only ? SHORT : LONGEST));
}
