/* machine.c - what the system says of the machine and of this process (machine.h). */
#include "apps/report/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef __APPLE__
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif

double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#ifdef __APPLE__

double memory_peak(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss;
}

double memory_now(void)
{
    struct mach_task_basic_info info;
    mach_msg_type_number_t n = MACH_TASK_BASIC_INFO_COUNT;
    return task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&info, &n)
               ? 0
               : (double)info.resident_size;
}

double machine_large_page(void)
{
    return 0;
}

void machine_cpu(char *out, size_t room)
{
    if (sysctlbyname("machdep.cpu.brand_string", out, &room, NULL, 0))
        snprintf(out, room, "unknown");
}

#else

double memory_peak(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024;
}

/* The first bytes of a file, as a text; empty if there is no such file. fopen would allocate. */
static void read_start(const char *path, char *text, size_t room)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    while (file >= 0 && (n = read(file, text, room - 1)) < 0 && errno == EINTR)
        ;
    text[n > 0 ? n : 0] = 0;
    if (file >= 0)
        close(file);
}

double memory_now(void)
{
    char text[64]; /* "SIZE RESIDENT ...", in pages */
    read_start("/proc/self/statm", text, sizeof text);
    const char *resident = strchr(text, ' ');
    return resident ? strtod(resident, NULL) * (double)sysconf(_SC_PAGESIZE) : 0;
}

double machine_large_page(void)
{
    static const char folder[] = "/sys/kernel/mm/transparent_hugepage/";
    char path[80], text[64];
    snprintf(path, sizeof path, "%senabled", folder);
    read_start(path, text, sizeof text);
    const bool any = *text && !strstr(text, "[never]");
    snprintf(path, sizeof path, "%shpage_pmd_size", folder);
    read_start(path, text, sizeof text);
    return any ? strtod(text, NULL) : 0;
}

void machine_cpu(char *out, size_t room)
{
    static const char key[] = "model name";
    char text[4096]; /* the text of the first CPU */
    read_start("/proc/cpuinfo", text, sizeof text);
    const char *name = strstr(text, key);
    name = name ? name + sizeof key - 1 : ": unknown";
    name += strspn(name, " \t:");
    snprintf(out, room, "%.*s", (int)strcspn(name, "\n"), name);
}

#endif
