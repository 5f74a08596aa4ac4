/* question.c - a record {"prompt", "choices", "answer"}: a question with its choices (record.h). */
#include "data/sets/record.h"

#include <string.h>

/* The number of the right choice: the answer is that number, or its text. */
static int64_t find_answer(const tn_json *choices, const tn_json *answer)
{
    int64_t i = 0;
    if (answer->kind == TN_STRING) {
        for (const tn_json *v = choices->child; v; v = v->next, i++)
            if (v->length == answer->length && !memcmp(v->text, answer->text, v->length))
                return i;
        return -1;
    }
    return tn_json_int(answer, &i) && i < choices->count ? i : -1;
}

static int check_choices(const tn_json *choices, tn_error *e)
{
    int64_t i = 0;
    if (choices->kind != TN_ARRAY || choices->count < 2)
        return tn_fail(e, TN_EFORMAT, "\"choices\" is no list of two texts or more");
    for (const tn_json *v = choices->child; v; v = v->next, i++)
        if (v->kind != TN_STRING || v->length == 0)
            return tn_fail(e, TN_EFORMAT, "choice %lld is %s; expected some text", (long long)i,
                           v->kind == TN_STRING ? "empty" : "not a string");
    return TN_OK;
}

int tn_record_question(const tn_json *object, tn_jsonl_record *out, tn_error *e)
{
    const tn_json *choices = tn_json_find(object, "choices");
    const tn_json *prompt = tn_json_find(object, "prompt"),
                  *answer = tn_json_find(object, "answer");
    if (check_choices(choices, e))
        return e->code;
    if (!prompt || prompt->kind != TN_STRING)
        return tn_fail(e, TN_EFORMAT, "\"prompt\" is %s; expected a text beside \"choices\"",
                       prompt ? "not a string" : "missing");
    out->kind = TN_RECORD_QUESTION;
    out->choices = choices;
    out->answer = answer ? find_answer(choices, answer) : -1;
    if (out->answer < 0)
        return tn_fail(e, TN_EFORMAT,
                       "\"answer\" is %s; expected one of the %lld choices, or its number from 0",
                       answer ? "none of them" : "missing", (long long)choices->count);
    const tn_json *right = tn_json_at(choices, out->answer);
    out->prompt = (tn_span){ prompt->text, prompt->length };
    out->text = (tn_span){ right->text, right->length };
    return TN_OK;
}
