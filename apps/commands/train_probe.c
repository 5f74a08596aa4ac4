/* train_probe.c - tenon train --dry-run: memory and time of two steps, whose result is not kept. */
#include "apps/commands/train.h"
#include "apps/run/show.h"

enum { PROBES = 2 }; /* steps of a dry run */

int train_probe(train_job *j)
{
    char a[SHOWN], b[SHOWN], c[SHOWN];
    run_event event;
    int64_t tokens = 0, steps = 0;
    progress_block(&j->r);
    const double start = now_seconds();
    for (; steps < PROBES && steps < j->r.steps && !run_step(&j->r, &event, j->e); steps++)
        tokens += event.tokens;
    drawing_write(&j->d, j->e);
    const double seconds = (now_seconds() - start) / (double)(steps ? steps : 1);
    if (j->e->code)
        return 1;
    show("measured   activations and gradients %s, process %s, %s tokens per step\n",
         show_bytes((double)tn_tape_memory(j->s.tape), a), show_bytes(memory_peak(), b),
         show_count(tokens / steps, c));
    show("time       %s per step, %s in all without evaluations; %s\n", show_time(seconds, a),
         show_time(seconds * (double)j->r.steps, b),
         j->o->dump_graph ? "only the picture was written" : "nothing was written");
    train_show_profile(j);
    return 0;
}
