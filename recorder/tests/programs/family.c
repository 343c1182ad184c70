/* Every function of the family, with usual and unusual arguments, and errno left as it was. */
#include "said.h"

static void check_errno(const char *where, int expected)
{
    if (errno != expected) {
        say("0 errno after %s is %d and not %d\n", where, errno, expected);
    }
    errno = 77;
}

static void *do_reallocarray(void *old, size_t count, size_t size)
{
    size_t before = (size_t)old;
    void *payload = reallocarray(old, count, size);
    say("%d reallocarray %#zx %zu %zu = %p\n", thread_number(), before, count, size, payload);
    return payload;
}

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    volatile size_t enormous = SIZE_MAX;
    void *p, *q;
    errno = 77;

    p = do_malloc(100), check_errno("malloc", 77);
    do_free(p), check_errno("free", 77);
    do_free(NULL), check_errno("free(NULL)", 77);
    p = do_malloc(0), check_errno("malloc(0)", 77);
    do_free(p);
    do_malloc(enormous), check_errno("malloc(-1)", ENOMEM);
    do_malloc((size_t)1 << 50), check_errno("malloc(2^50)", ENOMEM);
    do_malloc((size_t)1 << 46), errno = 77;

    p = do_calloc(10, 20), check_errno("calloc", 77);
    q = do_calloc(1 << 25, 1), check_errno("calloc of many", 77);
    do_free(q);
    q = do_calloc(1, 20 << 20);
    do_free(q), check_errno("free of a mapping", 77);
    do_calloc(enormous, 2), check_errno("calloc that overflows", ENOMEM);

    p = do_realloc(p, 300), check_errno("realloc", 77);
    p = do_realloc(p, 30);
    do_realloc(p, enormous), check_errno("realloc that fails", ENOMEM);
    p = do_realloc(p, 1 << 20);
    p = do_realloc(p, 4 << 20);
    do_realloc(p, 0), check_errno("realloc(p, 0)", 77);
    p = do_realloc(NULL, 50);

    p = do_reallocarray(p, 7, 9), check_errno("reallocarray", 77);
    do_reallocarray(p, enormous, 2), check_errno("reallocarray that overflows", ENOMEM);
    do_free(p);

    p = memalign(64, 100), check_errno("memalign", 77);
    say("%d memalign 64 100 = %p\n", thread_number(), p), do_free(p);
    p = memalign(48, 100);
    say("%d memalign 48 100 = %p\n", thread_number(), p), do_free(p);
    p = aligned_alloc(256, 512), check_errno("aligned_alloc", 77);
    say("%d aligned_alloc 256 512 = %p\n", thread_number(), p), do_free(p);
    p = NULL;
    int error = posix_memalign(&p, 32, 64);
    check_errno("posix_memalign", 77);
    say("%d posix_memalign 32 64 = %p\n", thread_number(), p), do_free(p);
    p = NULL;
    error = posix_memalign(&p, 3, 64);
    if (error != EINVAL)
        say("0 posix_memalign(3) returned %d\n", error);
    say("%d posix_memalign 3 64 = %p\n", thread_number(), p);
    p = valloc(10), check_errno("valloc", 77);
    say("%d valloc 10 = %p\n", thread_number(), p), do_free(p);
    p = pvalloc(10), check_errno("pvalloc", 77);
    say("%d pvalloc 10 = %p\n", thread_number(), p), do_free(p);

    int returned = mallopt(M_TOP_PAD, 4096);
    say("%d mallopt %d 4096 = %d\n", thread_number(), M_TOP_PAD, returned);
    returned = malloc_trim(1000);
    say("%d malloc_trim 1000 = %d\n", thread_number(), returned);
    p = sbrk(4096);
    say("%d sbrk 4096\n", thread_number());
    brk(p);
    say("%d sbrk -4096\n", thread_number());
    p = do_malloc(1 << 20);
    do_free(p);
    write_down();
    _exit(7);
}
