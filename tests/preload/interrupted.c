/* interrupted.c - preloaded into a program, interrupts every second system call.
   The first call fails with EINTR, as if a signal had come, and the program repeats it. A write
   that is not interrupted writes less than asked. Calls that stdio makes inside libc are not
   interrupted. The file INTERRUPTED_COUNT gets the number of interrupted calls. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls, interrupted;

/* True for the first call of each pair. The second is the same call, repeated. */
static bool comes(void)
{
    if (atomic_fetch_add(&calls, 1) % 2)
        return false;
    atomic_fetch_add(&interrupted, 1);
    errno = EINTR;
    return true;
}

__attribute__((destructor)) static void end(void)
{
    const char *file = getenv("INTERRUPTED_COUNT");
    FILE *f = file ? fopen(file, "w") : NULL;
    if (f) {
        fprintf(f, "%ld\n", atomic_load(&interrupted));
        fclose(f);
    }
}

/* Defines type name(parameters). It returns `failed` if it is interrupted. */
#define CALL(type, name, failed, parameters, arguments)                                            \
    type name parameters                                                                           \
    {                                                                                              \
        type(*real) parameters;                                                                    \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                 \
        return comes() ? failed : real arguments;                                                  \
    }

CALL(ssize_t, read, -1, (int fd, void *to, size_t n), (fd, to, n))
CALL(ssize_t, write, -1, (int fd, const void *from, size_t n), (fd, from, n > 1 ? n / 2 + 1 : n))
CALL(int, fsync, -1, (int fd), (fd))
CALL(int, fstatat, -1, (int at, const char *name, struct stat *st, int flags),
     (at, name, st, flags))
CALL(int, fstat, -1, (int fd, struct stat *st), (fd, st))
CALL(int, fstatvfs, -1, (int fd, struct statvfs *fs), (fd, fs))
CALL(ssize_t, readlinkat, -1, (int at, const char *name, char *to, size_t n), (at, name, to, n))
CALL(int, mkdirat, -1, (int at, const char *name, mode_t mode), (at, name, mode))
CALL(int, unlinkat, -1, (int at, const char *name, int flags), (at, name, flags))
CALL(int, renameat, -1, (int a, const char *from, int b, const char *to), (a, from, b, to))
CALL(int, renameat2, -1, (int a, const char *from, int b, const char *to, unsigned f),
     (a, from, b, to, f))
CALL(int, flock, -1, (int fd, int how), (fd, how))
CALL(int, ftruncate, -1, (int fd, off_t size), (fd, size))
CALL(struct dirent *, readdir, NULL, (DIR * d), (d))

int openat(int at, const char *name, int flags, ...)
{
    int (*real)(int, const char *, int, ...);
    va_list args;
    va_start(args, flags);
    const int mode = flags & O_CREAT ? va_arg(args, int) : 0;
    va_end(args);
    *(void **)&real = dlsym(RTLD_NEXT, "openat");
    return comes() ? -1 : real(at, name, flags, mode);
}

int open(const char *name, int flags, ...)
{
    return openat(AT_FDCWD, name, flags);
}

/* Closes the file even if it is interrupted, as Linux does. */
int close(int fd)
{
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "close");
    const int done = real(fd);
    return comes() ? -1 : done;
}

int ioctl(int fd, unsigned long what, ...)
{
    int (*real)(int, unsigned long, ...);
    va_list args;
    va_start(args, what);
    void *to = va_arg(args, void *);
    va_end(args);
    *(void **)&real = dlsym(RTLD_NEXT, "ioctl");
    return comes() ? -1 : real(fd, what, to);
}
