/* pattern.h - matches names of layers by a part of Python's regular expressions. Internal header.

       tn_pattern_check("layers\\.[0-4]\\..*_proj", "the targets", TN_EARG, &e)
       tn_pattern_matches("q_proj|v_proj", "model.layers.0.self_attn.q_proj", true)    true

   PEFT's rank_pattern, alpha_pattern and target_modules hold such expressions. Files come from
   strangers: the time is at most the length of the pattern times that of the name, whatever is in
   the pattern, and no memory is taken. */
#ifndef TN_PATTERN_H
#define TN_PATTERN_H

#include "core/core.h"

/* Refuses a pattern that has anything but literals, ".", "\.", "[...]", "\d", "*", "+", "(a|b)",
   that Python refuses, or that is longer than 255 bytes. The error begins with `where`. */
int tn_pattern_check(const char *pattern, const char *where, int code, tn_error *e);
/* Does a pattern match the whole name? With `ending` it may also match the end of the name behind a
   ".", as a key of rank_pattern does. A pattern that tn_pattern_check refuses matches nothing. */
bool tn_pattern_matches(const char *pattern, const char *name, bool ending);
/* Does a text have a character that has a meaning in patterns? The dot, which names have, too, does
   not count. */
bool tn_pattern_is_one(const char *text);

#endif
