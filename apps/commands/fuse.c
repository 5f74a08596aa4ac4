/* fuse.c - tenon fuse: adds an adapter to the weights of its model, and writes that model. */
#include "apps/folder/save_model.h"

#include <string.h>

int command_fuse(const options *o, tn_error *e)
{
    const bool gguf = o->to ? !strcmp(o->to, "gguf") : save_is_gguf(o->save_path);
    save_model(o, &output_fuse, gguf, e);
    return 0;
}
