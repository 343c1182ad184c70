/* The least a program can do between two calls of malloc: nothing.

   `recording_loop THREADS PAIRS LIVE [DEPTH STACKS]`: each thread makes so many pairs of malloc and
   free, with so many allocations alive at any time, out of so many frames of one of so many stacks,
   which part in the middle. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#define MOST 4096

static unsigned long pairs, live, depth, stacks = 1;

/* One of two functions calls malloc, or the one of the two that the next bit says. */
#define FRAME(name)                                                                            \
    static __attribute__((noinline)) void *name(unsigned long left, unsigned long bits, size_t request) \
    {                                                                                          \
        void *payload = left == 0 ? malloc(request) : (bits & 1 ? one : other)(left - 1, bits >> 1, request); \
        __asm__ volatile("" : "+r"(payload));                                                 \
        return payload;                                                                        \
    }

static void *one(unsigned long, unsigned long, size_t);
static void *other(unsigned long, unsigned long, size_t);
FRAME(one)
FRAME(other)

static void *ask(uint32_t random, size_t request)
{
    unsigned long stack = stacks == 1 ? 0 : (random >> 4) % stacks;
    return depth == 0 ? malloc(request) : one(depth - 1, stack << depth / 3, request);
}

static void *work(void *seed)
{
    void *alive[MOST] = {0};
    uint32_t random = (uint32_t)(uintptr_t)seed;
    for (unsigned long i = 0; i < pairs; i++) {
        random = random * 1664525 + 1013904223;
        unsigned long place = live == 1 ? 0 : (random >> 8) % live;
        free(alive[place]);
        alive[place] = ask(random, live == 1 ? 100 : 16 + (random >> 24));
    }
    for (unsigned long place = 0; place < live; place++)
        free(alive[place]);
    return NULL;
}

int main(int count, char **arguments)
{
    if (count != 4 && count != 6)
        return 2;
    unsigned long threads = strtoul(arguments[1], NULL, 10);
    pairs = strtoul(arguments[2], NULL, 10);
    live = strtoul(arguments[3], NULL, 10);
    if (count == 6) {
        depth = strtoul(arguments[4], NULL, 10);
        stacks = strtoul(arguments[5], NULL, 10);
    }
    if (threads < 1 || threads > 64 || live < 1 || live > MOST || stacks < 1)
        return 2;
    pthread_t others[64];
    for (unsigned long i = 1; i < threads; i++)
        if (pthread_create(&others[i], NULL, work, (void *)(i + 1)))
            return 1;
    work((void *)1);
    for (unsigned long i = 1; i < threads; i++)
        pthread_join(others[i], NULL);
    return 0;
}
