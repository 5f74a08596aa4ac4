/* test_memory.c - how much memory the process may use, by the files of a system.

   Folders with made-up files replace /proc and /sys. */
#include "core/memory.h"
#include "tests/support/fixtures.h"
#include "tests/support/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { FILES = 6 };

#define STATUS                                                                                     \
    {                                                                                              \
        "proc/self/status", "Name:\tx\nVmPeak:\t   900 kB\nVmRSS:\t   100 kB\n"                    \
    }
#define MEMINFO                                                                                    \
    {                                                                                              \
        "proc/meminfo",                                                                            \
            "MemTotal:  9000 kB\nMemAvailable:    5000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"      \
    }
#define V2 "sys/fs/cgroup/"
#define V1 "sys/fs/cgroup/memory/"
#define KB *(size_t)1024

/* This process holds 100 kB. The machine says that 5000 kB are available. */
/* clang-format off */
static const struct { const char *name; struct { const char *path, *text; } file[FILES]; size_t room; } systems[] = {
    { "nothing says", { { "x", "" } }, SIZE_MAX },
    { "a machine", { STATUS, MEMINFO }, 5100 KB },
    { "swap", { STATUS, { "proc/meminfo", "MemAvailable: 5000 kB\nSwapFree:  700 kB\n" } }, 5800 KB },
    { "no limit", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/a/b\n" }, { V2 "a/b/memory.max", "max\n" } }, 5100 KB },
    { "a group of its own", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/a/b\n" },
        { V2 "a/b/memory.max", "2048000\n" }, { V2 "a/b/memory.stat", "anon 102400\nfile 999999999\n" } }, 2000 KB },
    { "others in the group hold 900 kB", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/a\n" },
        { V2 "a/memory.max", "2048000\n" }, { V2 "a/memory.stat", "anon 1024000\n" } }, 1100 KB },
    { "others in the group hold all", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/a\n" },
        { V2 "a/memory.max", "2048000\n" }, { V2 "a/memory.stat", "anon 9024000\n" } }, 0 },
    { "the group around it", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/a/b\n" },
        { V2 "a/b/memory.max", "3072000\n" }, { V2 "a/memory.max", "1024000\n" } }, 1000 KB },
    { "a container's own view", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/elsewhere/x\n" },
        { V2 "memory.max", "1024000\n" } }, 1000 KB },
    { "version 1", { STATUS, MEMINFO, { "proc/self/cgroup", "9:cpu:/z\n4:memory:/a/b\n1:name=systemd:/\n0::/\n" },
        { V1 "a/b/memory.limit_in_bytes", "2048000\n" },
        { V1 "a/b/memory.stat", "cache 7\nrss 7\ntotal_cache 8\ntotal_rss 512000\n" } }, 1600 KB },
    { "version 1 without a limit", { STATUS, MEMINFO, { "proc/self/cgroup", "4:memory:/\n" },
        { V1 "memory.limit_in_bytes", "9223372036854771712\n" } }, 5100 KB },
    { "a limit that is no number", { STATUS, MEMINFO, { "proc/self/cgroup", "0::/a\n" },
        { V2 "a/memory.max", "-5 many\n" } }, 5100 KB },
    { "lines that are none", { STATUS, MEMINFO, { "proc/self/cgroup", "\n::\n0\nx:y\n4:memory\n" } }, 5100 KB },
};
/* clang-format on */

/* Makes the folders of a file's path. */
static void make_folders(const char *root, const char *path)
{
    char full[512];
    for (const char *s = strchr(path, '/'); s; s = strchr(s + 1, '/')) {
        ck_assert_int_lt(snprintf(full, sizeof full, "%s/%.*s", root, (int)(s - path), path), 512);
        mkdir(full, 0777);
    }
}

START_TEST(room_is_what_the_system_says)
{
    char *root = temporary();
    for (int i = 0; i < FILES && systems[_i].file[i].path; i++) {
        make_folders(root, systems[_i].file[i].path);
        put_file(root, systems[_i].file[i].path, systems[_i].file[i].text);
    }
    const size_t room = tn_memory_room_at(root);
    ck_assert_msg(room == systems[_i].room, "%s: %zu; expected %zu", systems[_i].name, room,
                  systems[_i].room);
    discard(root);
}
END_TEST

START_TEST(limits_of_the_process_count)
{
    const size_t before = tn_memory_room();
    struct rlimit r, narrow;
    ck_assert_uint_gt(before, 1 << 20);
    ck_assert(!getrlimit(RLIMIT_DATA, &r));
    narrow = (struct rlimit){ .rlim_cur = before / 2, .rlim_max = r.rlim_max };
    const int set = setrlimit(RLIMIT_DATA, &narrow);
    const size_t room = tn_memory_room();
    setrlimit(RLIMIT_DATA, &r);
    ck_assert_int_eq(set, 0);
    ck_assert_uint_eq(room, before / 2);
}
END_TEST

/* The values alone would fit, and the gradient alone, but not both. */
START_TEST(a_tensor_beyond_memory_is_not_made)
{
    const int64_t n = (int64_t)((double)tn_memory_room() * 0.7) / (int64_t)sizeof(tn_real);
    if (n < (int64_t)1 << 39)
        ck_assert_ptr_null(tn_tensor_new(TN_REAL, 1, &n, true));
    const int64_t terabytes[] = { (int64_t)1 << 40 };
    ck_assert_ptr_null(tn_tensor_new(TN_REAL, 1, terabytes, true));
}
END_TEST

void tests(TCase *c)
{
    tcase_add_loop_test(c, room_is_what_the_system_says, 0, sizeof systems / sizeof *systems);
    tcase_add_test(c, limits_of_the_process_count);
    tcase_add_test(c, a_tensor_beyond_memory_is_not_made);
}
