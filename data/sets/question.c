/* question.c - a record {"prompt", "choices", "answer"}: a question with its choices (record.h). */
#include "data/sets/record.h"

#include <string.h>

/* The number of the right choice: the answer is its text, or this number. A number can only be the
   text of a choice that is a number itself. If it means one choice by its text and another by its
   number, it is refused. */
static int find_answer(const tn_json *choices, const tn_json *answer, int64_t *out, tn_error *e)
{
    int64_t by_text = -1, by_number, i = 0;
    for (const tn_json *v = choices->child; v && tn_record_is_text(answer); v = v->next, i++)
        if (by_text < 0 && v->length == answer->length &&
            !memcmp(v->text, answer->text, v->length) &&
            (answer->kind == TN_STRING || v->kind == TN_NUMBER))
            by_text = i;
    if (answer->kind != TN_NUMBER || !tn_json_int(answer, &by_number) || by_number < 0 ||
        by_number >= choices->count)
        by_number = by_text;
    if (by_text >= 0 && by_number != by_text)
        return tn_fail(e, TN_EFORMAT,
                       "\"answer\" is %s, which is choice %lld and the number of another; expected "
                       "the text of a choice in quotation marks",
                       answer->text, (long long)by_text);
    *out = by_number;
    return e->code;
}

static int check_choices(const tn_json *choices, tn_error *e)
{
    int64_t i = 0;
    if (choices->kind != TN_ARRAY || choices->count < 2)
        return tn_fail(e, TN_EFORMAT, "\"choices\" is no list of two texts or more");
    for (const tn_json *v = choices->child; v; v = v->next, i++)
        if (!tn_record_is_text(v) || v->length == 0)
            return tn_fail(e, TN_EFORMAT, "choice %lld is %s; expected some text", (long long)i,
                           tn_record_is_text(v) ? "empty" : "no text");
    return TN_OK;
}

int tn_record_question(const tn_json *object, tn_jsonl_record *out, tn_error *e)
{
    const tn_json *choices = tn_json_find(object, "choices");
    const tn_json *answer = tn_json_find(object, "answer");
    if (check_choices(choices, e) || tn_record_text(object, "prompt", &out->prompt, e))
        return e->code;
    out->kind = TN_RECORD_QUESTION;
    out->choices = choices;
    out->answer = -1;
    if (answer && find_answer(choices, answer, &out->answer, e))
        return e->code;
    if (out->answer < 0)
        return tn_fail(e, TN_EFORMAT,
                       "\"answer\" is %s; expected one of the %lld choices, or its number from 0",
                       answer ? "none of them" : "missing", (long long)choices->count);
    const tn_json *right = tn_json_at(choices, out->answer);
    out->text = (tn_span){ right->text, right->length };
    return TN_OK;
}
