// Calls malloc through addresses that it asked for itself, so that no word of a module leads there, and in ways in which
// malloc calls itself. Each of both asks for sizes of its own. Until standard input ends.
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 3000 };
enum { KEPT = 4000, FROM_NOTHING = 10000, ALIGNED = 20000, MAPPED = 400000, MOVED = 30000 };

static void *(*kept_malloc)(size_t);
static void (*kept_free)(void *);

static void *ends(void *unused)
{
    // What it frees last waits in the thread's cache, and is given back when that ends.
    void *some[4];
    for (int i = 0; i < 4; i++)
        some[i] = malloc(100);
    for (int i = 0; i < 4; i++)
        free(some[i]);
    return unused;
}

int main(void)
{
    kept_malloc = (void *(*)(size_t))dlsym(RTLD_DEFAULT, "malloc");
    kept_free = (void (*)(void *))dlsym(RTLD_DEFAULT, "free");
    printf("ready\n");
    fflush(stdout);
    struct pollfd in = { 0, POLLIN, 0 };
    long step = 0;
    for (; poll(&in, 1, 0) == 0; step++) {
        kept_free(kept_malloc(KEPT + step % STEPS));
        free(realloc(NULL, FROM_NOTHING + step % STEPS));
        void *aligned = NULL;
        if (posix_memalign(&aligned, 16, ALIGNED + step % STEPS) != 0)
            return 1;
        free(aligned);
        // Out of a mapping of its own into the heap: malloc allocates, copies and frees.
        char *mapped = malloc(MAPPED);
        memset(mapped, 1, 64);
        mapped = realloc(mapped, MOVED + step % STEPS);
        free(mapped);
        pthread_t thread;
        if (step % 16 == 0 && pthread_create(&thread, 0, ends, 0) == 0)
            pthread_join(thread, 0);
    }
    printf("%ld steps\n", step);
    return 0;
}
