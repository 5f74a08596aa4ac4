/* task.c - tenon task: records of a built-in task as JSONL, or the list of tasks. */
#include "apps/run/run.h"
#include "apps/report/lines.h"
#include "apps/report/show.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_RECORDS = 10 };

/* As a chat the record has no arrow after the prompt, and no space before the completion. */
static void print_record(const tn_record *r, bool chat, tn_error *e)
{
    tn_text line = { 0 };
    const size_t n = strlen(r->prompt), arrow = strlen(" =>");
    tn_text_add(&line, chat ? "{\"messages\":[{\"role\":\"user\",\"content\":" : "{\"prompt\":");
    tn_text_quote(&line, r->prompt, chat ? n - arrow : n);
    tn_text_add(&line, chat ? "},{\"role\":\"assistant\",\"content\":" : ",\"completion\":");
    tn_text_quote(&line, r->completion + chat, strlen(r->completion) - chat);
    tn_text_add(&line, chat ? "}]}\n" : "}\n");
    show_text(&line, "a record", e);
}

int command_task(const options *o, tn_error *e)
{
    const char *split = o->split ? o->split : "train";
    const int64_t count = o->count > 0 ? o->count : SHOWN_RECORDS;
    tn_record r;
    if (!o->arguments) {
        lines l = lines_begin();
        l.indent = 13;
        for (int i = 0; tn_tasks[i]; i++)
            lines_add(&l, "%-12s %s\n", tn_tasks[i]->name, tn_tasks[i]->title);
        return 0;
    }
    options asked = *o;
    int64_t none;
    asked.task = o->argument[0];
    const tn_task *task = data_task(&asked, &none, e);
    for (int64_t i = 0; task && i < count && !e->code && !ferror(stdout); i++) {
        const int code = tn_task_record(task, (uint64_t)o->seed, split, (uint64_t)i, &r);
        if (code)
            tn_fail(e, code, "task %s: %s", task->name, tn_strerror(code));
        else
            print_record(&r, o->chat, e);
    }
    return 0;
}
