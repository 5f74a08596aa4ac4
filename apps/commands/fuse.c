/* fuse.c - tenon fuse: adds an adapter to the weights of its model, and writes that model. */
#include "apps/run/save_model.h"

int command_fuse(const options *o, tn_error *e)
{
    save_model(o, &output_fuse, e);
    return 0;
}
