/* memory.h - tn_memory_room with the files of another root, for its test. */
#ifndef TN_MEMORY_H
#define TN_MEMORY_H

#include <stddef.h>

/* tn_memory_room, from the files root/proc/... and root/sys/..., without the limits of setrlimit.
   root "" is this machine. */
size_t tn_memory_room_at(const char *root);

#endif
