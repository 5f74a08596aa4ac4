/* support.c - a task: questions to a bicycle shop that does not exist, and its answers.

       Where is my order 48213, a child seat? =>
        Order 48213 is on its way. A child seat reaches you within four working days. We are here to help.

   A kind of question has several wordings and one answer. What is true of a thing, such as the days
   until it arrives, follows from the tables below: a model that has not seen them cannot know it. */
#include "data/tasks/draw.h"

#include <string.h>

/* clang-format off */
static const struct thing {
    const char *name, *days, *months, *price, *shelf; /* days until it arrives, months of guarantee */
} things[] = {
    { "a city bike", "six", "36", "690", "hall A" }, { "a cargo bike", "nine", "60", "2480", "hall A" },
    { "a folding bike", "five", "24", "840", "hall B" }, { "a child seat", "four", "12", "95", "aisle 2" },
    { "a helmet", "two", "18", "60", "aisle 1" }, { "a bell", "one", "6", "14", "aisle 1" },
    { "a front light", "three", "24", "45", "aisle 3" }, { "a rain cape", "two", "12", "52", "aisle 4" },
    { "a chain lock", "three", "30", "78", "aisle 2" }, { "a floor pump", "four", "48", "38", "aisle 3" },
    { "a leather saddle", "seven", "36", "130", "aisle 4" }, { "a pannier bag", "five", "24", "88", "aisle 2" },
};

static const char *const greetings[] = { "", "", "", "Hello! ", "Good morning. ", "Hi there, ", "Dear team, " };

/* {o} an order, {t} a thing, {d} {m} {p} {s} its days, months, price and place. */
enum { WORDINGS = 5 };
static const struct kind {
    const char *question[WORDINGS], *answer;
} kinds[] = {
    { { "where is my order {o}, {t}?", "when does order {o} arrive? It is {t}.",
        "I ordered {t}, number {o}. How long will it take?", "order {o} ({t}) is not here yet.",
        "has {t} of order {o} been sent?" },
      "Order {o} is on its way. {T} reaches you within {d} working days." },
    { { "how long is {t} under guarantee?", "what guarantee do you give on {t}?",
        "is there a guarantee on {t}?", "for how many months is {t} covered?",
        "{t} of order {o} broke. Is it still covered?" },
      "{T} has a guarantee of {m} months. Please keep the bill." },
    { { "what does {t} cost?", "how much is {t}?", "what is the price of {t}?",
        "I want to buy {t}. What do I pay?", "could you tell me the price of {t}?" },
      "{T} costs {p} crowns, the first service included." },
    { { "where do I find {t} in the shop?", "where in your shop is {t}?", "which aisle has {t}?",
        "I am in the shop and look for {t}.", "where can I look at {t}?" },
      "You find it in {s}: {t} is always there to be tried." },
    { { "I want to send back {t} of order {o}.", "can I return {t}, order {o}?",
        "how do I send {t} back? The number is {o}.", "{t} does not suit me (order {o}).",
        "please take back order {o}, {t}." },
      "Write {o} on the package and send it within 45 days. The {p} crowns for {t} come back to your account." },
    { { "please cancel order {o}, {t}.", "I do not need {t} any more. Cancel {o}.",
        "can order {o} still be cancelled? It is {t}.", "stop order {o} ({t}), please.",
        "I ordered {t} by mistake, number {o}." },
      "Order {o} is cancelled. You do not have to pay the {p} crowns for {t}." },
    { { "I want to pay {t} in parts.", "can I pay for {t} later?", "do you take instalments for {t}?",
        "is it possible to pay {t} monthly?", "{t} is too dear for me at once." },
      "Yes. {T} can be paid in four parts of a quarter of {p} crowns, without interest." },
    { { "the parts of {t} are missing, order {o}.", "order {o} came without the screws for {t}.",
        "something is missing in the package {o}. I ordered {t}.", "parts of {t} are not in the box of {o}.",
        "my package {o} with {t} was not complete." },
      "We are sorry. The missing parts of order {o} leave today and need {d} working days." },
};
/* clang-format on */

enum {
    THINGS = sizeof things / sizeof *things,
    KINDS = sizeof kinds / sizeof *kinds,
    GREETINGS = sizeof greetings / sizeof *greetings
};

/* Writes a text of the tables. A first letter is made large where `large` says so. */
static void fill(const char *text, const struct thing *t, int order, bool large,
                 char out[TN_TASK_TEXT])
{
    size_t first = strlen(out);
    for (; *text; text++) {
        const size_t at = strlen(out);
        if (*text != '{') {
            tn_put(out, "%c", *text);
            continue;
        }
        switch (text[1]) {
        case 'o': tn_put(out, "%d", order); break;
        case 'd': tn_put(out, "%s", t->days); break;
        case 'm': tn_put(out, "%s", t->months); break;
        case 'p': tn_put(out, "%s", t->price); break;
        case 's': tn_put(out, "%s", t->shelf); break;
        default: tn_put(out, "%s", t->name);
        }
        if (text[1] == 'T')
            out[at] = 'A';
        text += 2;
    }
    if (large && out[first] >= 'a' && out[first] <= 'z')
        out[first] = (char)(out[first] - 'a' + 'A');
}

static void record(uint64_t seed, uint64_t index, tn_record *out)
{
    tn_draws d = tn_draws_new(seed, "support", index);
    const struct kind *k = &kinds[tn_draw(&d, KINDS)];
    const struct thing *t = &things[tn_draw(&d, THINGS)];
    const char *greeting = greetings[tn_draw(&d, GREETINGS)];
    const char *question = k->question[tn_draw(&d, WORDINGS)];
    const int order = 10000 + (int)tn_draw(&d, 90000);
    *out = (tn_record){ "", "" };
    tn_put(out->prompt, "%s", greeting);
    fill(question, t, order, !strchr(greeting, ','), out->prompt);
    tn_put(out->prompt, " =>");
    tn_put(out->completion, " ");
    fill(k->answer, t, order, true, out->completion);
    tn_put(out->completion, " We are here to help.");
}

/* The share of the answer's words that are right, in their places. */
static tn_score score(const tn_record *r, const char *answer)
{
    const char *a = r->completion, *b = answer;
    int words = 0, right = 0;
    while (*a) {
        const size_t n = strcspn(a + 1, " ") + 1, m = *b ? strcspn(b + 1, " ") + 1 : 0;
        words++;
        right += n == m && !memcmp(a, b, n);
        a += n;
        b += m;
    }
    return (tn_score){ .exact = !strcmp(answer, r->completion), .parts = (double)right / words };
}

const tn_task tn_task_support = {
    .name = "support",
    .title = "questions to a made-up bicycle shop to its answers",
    .record = record,
    .score = score,
};
