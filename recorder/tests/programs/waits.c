/* Calls that wait, or threads that wait between their calls: `waits FILE share|sleep`. */
#include "said.h"
#include <malloc.h>
#include <pthread.h>
#include <string.h>

/* No tcache holds chunks of this size, so each call takes the arena's lock. */
enum { THREADS = 4, CALLS = 200000, SLEEPS = 300, LONG = 3000 };

static void *crowd(void *nothing)
{
    for (int i = 0; i < CALLS; i++) {
        void *volatile p = malloc(LONG);
        free(p);
    }
    return nothing;
}

static void *sleep_often(void *nothing)
{
    for (int i = 0; i < SLEEPS; i++) {
        void *volatile p = malloc(LONG);
        usleep(50);
        free(p);
        usleep(50);
    }
    return nothing;
}

int main(int count, char **arguments)
{
    begin(arguments);
    int share = count > 2 && !strcmp(arguments[2], "share");
    if (share)
        mallopt(M_ARENA_MAX, 1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], 0, share ? crowd : sleep_often, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], 0);
    write_down();
    return 0;
}
