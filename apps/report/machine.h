/* machine.h - what the system says of the machine and of this process: time, memory, the CPU. */
#ifndef TN_APP_MACHINE_H
#define TN_APP_MACHINE_H

#include <stddef.h>

double now_seconds(void); /* of a clock that never goes back */
double memory_peak(void); /* bytes of this process at its largest */
double memory_now(void);  /* bytes of this process; 0: not known */
/* Bytes of the pages in which memory is given to who asks for large ones; 0: there are none. */
double machine_large_page(void);
void machine_cpu(char *out, size_t room); /* name of the CPU, or "unknown" */

#endif
