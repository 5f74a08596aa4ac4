/* config_kept.h - keys of a config that we do not know, for saving. Internal header. */
#ifndef TN_CONFIG_KEPT_H
#define TN_CONFIG_KEPT_H

#include "nn/nn.h"

/* Adds to `ours`, the object that a family wrote, the keys of m->source's config.json that it does
   not have. Keys that say how the weights were stored, or another spelling of ours, are left out.
   If that file is not there any more, nothing is added. */
void tn_config_keep(const tn_model *m, tn_text *ours, tn_error *e);
/* Adds to `ours`, the text of an object that is not empty, the members of `theirs` that it does not
   have, except those of the list `but`, which ends with NULL. */
void tn_config_add_keys(tn_text *ours, const tn_json *theirs, const char *const *but, tn_error *e);

#endif
