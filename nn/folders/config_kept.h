/* config_kept.h - keys of a config.json that we do not know, for saving. Internal header. */
#ifndef TN_CONFIG_KEPT_H
#define TN_CONFIG_KEPT_H

#include "nn/nn.h"

/* Adds to `ours`, the object that a family wrote, the keys of m->source's config.json that it does
   not have. Keys that say how the weights were stored, or another spelling of ours, are left out. If
   that file is not there any more, nothing is added. */
void tn_config_keep(const tn_model *m, tn_text *ours, tn_error *e);

#endif
