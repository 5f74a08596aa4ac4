/* export.c - tenon export: writes a model, or an adapter of it, in another format. */
#include "apps/folder/save_model.h"

#include <string.h>

int command_export(const options *o, tn_error *e)
{
    const bool adapter =
        !strcmp(o->format, "peft") || !strcmp(o->format, "gguf-lora") || !strcmp(o->format, "mlx");
    const bool gguf = !strncmp(o->format, "gguf", 4);
    if (adapter && !o->adapter_path)
        tn_fail(e, APP_USAGE, "--format %s: expected --adapter-path, the adapter that is written",
                o->format);
    else if (!adapter && o->adapter_path)
        tn_fail(
            e, APP_USAGE,
            "--format %s: writes a model without its adapter; expected peft, gguf-lora or mlx, or "
            "tenon fuse, which adds the adapter to the weights",
            o->format);
    else if (adapter)
        save_adapter(o, &output_export, gguf, e);
    else
        save_model(o, &output_export, gguf, e);
    return 0;
}
