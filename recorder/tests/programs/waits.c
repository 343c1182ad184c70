/* Calls that wait, or threads that wait between their calls: `waits FILE share|sleep`. */
#include "said.h"
#include <malloc.h>
#include <pthread.h>
#include <string.h>

/* No tcache holds chunks of this size, so each call takes the arena's lock. */
enum { THREADS = 4, CALLS = 200000, SLEEPS = 300, LONG = 3000 };

/* What realloc copies under the arena's lock, and how often. */
enum { COPIED = 24 << 20, COPIES = 60 };

static void *crowd(void *nothing)
{
    for (int i = 0; i < CALLS; i++) {
        void *volatile p = malloc(LONG);
        free(p);
    }
    return nothing;
}

/* While it copies, nobody else can have the arena, however busy the machine. */
static void *copy(void *nothing)
{
    for (int i = 0; i < COPIES; i++) {
        void *volatile from = malloc(COPIED);
        void *volatile behind = malloc(LONG);
        void *volatile to = realloc(from, COPIED + (1 << 20));
        free(to);
        free(behind);
        usleep(500);
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
    if (share) {
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_MMAP_MAX, 0);
    }
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], 0, !share ? sleep_often : i == 0 ? copy : crowd, 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], 0);
    write_down();
    return 0;
}
