/* adapter_config.h - PEFT's adapter_config.json. Internal header. */
#ifndef TN_ADAPTER_CONFIG_H
#define TN_ADAPTER_CONFIG_H

#include "nn/model.h"

typedef struct tn_adapter_config {
    const tn_json *json;
    tn_lora_options o; /* of LORA; its targets are "" */
    tn_lora_pattern *patterns[2];
} tn_adapter_config;

/* Reads and checks the file. What changes the numbers and is not computed is refused by name; other
   keys are ignored. After an error *c is to be freed, too. */
int tn_adapter_config_read(tn_adapter_config *c, const char *path, tn_error *e);
void tn_adapter_config_free(tn_adapter_config *c);

/* An option that is absent, null, false or empty does not change what is computed. */
bool tn_adapter_is_off(const tn_json *v);
/* Is the layer among the blocks of layers_to_transform and layers_pattern? True if these are off. */
bool tn_adapter_in_blocks(const tn_json *config, const char *layer);

/* Writes to m->note which layers adapter_config.json names although they have no adapter. */
int tn_adapter_note_missing(tn_model *m, const tn_json *config, const char *path, tn_error *e);

#endif
