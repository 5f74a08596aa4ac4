/* memory.c - finds out from the files of the system how much memory this process may have.

   An estimate may be too high, but not too low: memory that it refuses is certainly not available.
   The machine has the memory that it calls available, and its swap. A control group (version 2 or
   1), and each group around it, has its limit minus the use of its processes. Memory that this
   process already uses counts as available. A system without these files (macOS) has its physical
   memory: what takes more would wait for the disk. No function of this file allocates. */
#include "core/memory.h"

#include "core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MOST_PATH = 1024, MOST_FILE = 1 << 13 }; /* they fit on a small stack, too */

/* Reads root/path/name into out, as far as it fits. False if there is no such file. */
static bool read_text(const char *root, const char *path, const char *name, char out[MOST_FILE])
{
    char full[2 * MOST_PATH];
    size_t n = 0;
    ssize_t got = -1;
    if (snprintf(full, sizeof full, "%s%s/%s", root, path, name) >= (int)sizeof full)
        return false;
    int file;
    do
        file = open(full, O_RDONLY | O_CLOEXEC);
    while (file < 0 && errno == EINTR);
    while (file >= 0 && n < MOST_FILE - 1 &&
           ((got = read(file, out + n, MOST_FILE - 1 - n)) > 0 || (got < 0 && errno == EINTR)))
        n += got > 0 ? (size_t)got : 0;
    out[n] = 0;
    if (file >= 0)
        close(file);
    return got >= 0;
}

/* The number after `key` at the start of a line. SIZE_MAX without it, or if it is "max". */
static size_t number_of(const char *text, const char *key)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        const size_t n = strlen(key);
        const char *at = line + n;
        if (strncmp(line, key, n))
            continue;
        at += strspn(at, ": \t");
        if (*at >= '0' && *at <= '9')
            return strtoull(at, NULL, 10);
    }
    return SIZE_MAX;
}

static size_t add(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* Bytes, without swap, that the group at `path` leaves to us: its limit minus the use of others. */
static size_t room_of_group(const char *root, const char *path, const char *limit_file,
                            const char *held_key, size_t own)
{
    char text[MOST_FILE];
    if (!read_text(root, path, limit_file, text))
        return SIZE_MAX;
    const size_t limit = number_of(text, "");
    const size_t held =
        read_text(root, path, "memory.stat", text) ? number_of(text, held_key) : SIZE_MAX;
    if (limit == SIZE_MAX || held == SIZE_MAX)
        return limit;
    const size_t others = held > own ? held - own : 0;
    return limit > others ? limit - others : 0;
}

/* The smallest room of the group at mount/path and of the groups around it, up to the mount. */
static size_t room_of_groups(const char *root, const char *mount, const char *path,
                             const char *limit_file, const char *held_key, size_t own)
{
    char full[MOST_PATH];
    size_t smallest = SIZE_MAX;
    const size_t stem = strlen(mount);
    if (snprintf(full, sizeof full, "%s%s", mount, path) >= (int)sizeof full)
        return SIZE_MAX;
    for (;;) {
        const size_t room = room_of_group(root, full, limit_file, held_key, own);
        smallest = room < smallest ? room : smallest;
        char *slash = strrchr(full, '/');
        if (slash < full + stem)
            return smallest;
        *slash = 0;
    }
}

/* The smallest room in the groups of /proc/self/cgroup: "0::PATH", or in version 1
   "N:CONTROLLERS:PATH". */
static size_t room_by_groups(const char *root, size_t own)
{
    char text[MOST_FILE], *next;
    size_t smallest = SIZE_MAX;
    if (!read_text(root, "/proc/self", "cgroup", text))
        return SIZE_MAX;
    for (char *line = text; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;
        const bool second = !controllers[1];
        if (!second && strcmp(controllers, ":memory"))
            continue;
        const size_t room =
            second ? room_of_groups(root, "/sys/fs/cgroup", path, "memory.max", "anon", own)
                   : room_of_groups(root, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes",
                                    "total_rss", own);
        smallest = room < smallest ? room : smallest;
    }
    return smallest;
}

size_t tn_memory_room_at(const char *root)
{
    char text[MOST_FILE];
    size_t own = 0, machine = SIZE_MAX, swap = 0;
    if (read_text(root, "/proc/self", "status", text) && number_of(text, "VmRSS") != SIZE_MAX)
        own = number_of(text, "VmRSS") * 1024;
    if (read_text(root, "/proc", "meminfo", text) && number_of(text, "MemAvailable") != SIZE_MAX) {
        machine = add(number_of(text, "MemAvailable") * 1024, own);
        swap = number_of(text, "SwapFree") == SIZE_MAX ? 0 : number_of(text, "SwapFree") * 1024;
    }
    const size_t groups = room_by_groups(root, own);
    return add(machine < groups ? machine : groups, swap);
}

size_t tn_memory_room(void)
{
    size_t room = tn_memory_room_at("");
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (room == SIZE_MAX && pages > 0 && page > 0) /* there are no such files */
        room = (size_t)pages * (size_t)page;
    struct rlimit space, data; /* no limit is the largest number */
    if (!getrlimit(RLIMIT_AS, &space) && space.rlim_cur < room)
        room = space.rlim_cur;
    if (!getrlimit(RLIMIT_DATA, &data) && data.rlim_cur < room)
        room = data.rlim_cur;
    return room;
}
