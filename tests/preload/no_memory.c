/* no_memory.c - preloaded into a program, refuses one of its allocations.

   Allocations are counted from 1, from the start of the program. Number NO_MEMORY_AT is refused; if
   NO_MEMORY_STICKS is set, all after it, too. The file NO_MEMORY_COUNT gets the number of
   allocations. An allocation is any call that may fail because memory is out: malloc and its
   relatives (also called by strdup, fopen and opendir), a mapping, a thread. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long asked;
static long refused_at; /* 0: none */
static bool sticks, started;
static const char *count_file;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t bytes);
extern void *__libc_realloc(void *old, size_t n);
extern void *__libc_memalign(size_t alignment, size_t n);

__attribute__((constructor)) static void start(void)
{
    const char *at = getenv("NO_MEMORY_AT");
    refused_at = at ? atol(at) : 0;
    sticks = getenv("NO_MEMORY_STICKS") != NULL;
    count_file = getenv("NO_MEMORY_COUNT");
    started = true;
}

__attribute__((destructor)) static void end(void)
{
    started = false;
    FILE *f = count_file ? fopen(count_file, "w") : NULL;
    if (f) {
        fprintf(f, "%ld\n", atomic_load(&asked));
        fclose(f);
    }
}

static bool refused(void)
{
    if (!started)
        return false;
    const long n = atomic_fetch_add(&asked, 1) + 1;
    const bool no = refused_at && (n == refused_at || (sticks && n > refused_at));
    if (no)
        errno = ENOMEM;
    return no;
}

void *malloc(size_t n)
{
    return refused() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t bytes)
{
    return refused() ? NULL : __libc_calloc(n, bytes);
}

void *realloc(void *old, size_t n)
{
    return refused() ? NULL : __libc_realloc(old, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    return refused() ? NULL : __libc_memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    void *block = refused() ? NULL : __libc_memalign(alignment, n);
    if (block)
        *out = block;
    return block ? 0 : ENOMEM;
}

void *mmap(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    return refused() ? MAP_FAILED
                     : (void *)syscall(SYS_mmap, address, size, protection, flags, file, offset);
}

void *mmap64(void *address, size_t size, int protection, int flags, int file, off_t offset)
{
    return mmap(address, size, protection, flags, file, offset);
}

int mprotect(void *address, size_t size, int protection)
{
    return refused() ? -1 : (int)syscall(SYS_mprotect, address, size, protection);
}

int pthread_create(pthread_t *id, const pthread_attr_t *how, void *(*body)(void *), void *arg)
{
    typedef int create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    create *real;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return refused() ? EAGAIN : real(id, how, body, arg);
}

/* Does nothing, which is faster. These tests do not ask what survives a loss of power. */
int fsync(int file)
{
    (void)file;
    return 0;
}
