// Threads that ask for one byte more each time, so that whoever sees their calls sees whether one is missing.
// Until standard input ends. Says how many steps there were.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST = 16, SIZES = 3000, THREADS = 64 };
static atomic_int is_over;
static atomic_long steps;

static void *step(void *unused)
{
    (void)unused;
    long done = 0;
    char *kept = malloc(5000);
    while (!is_over) {
        char *one = malloc(FIRST + done % SIZES);
        kept = realloc(kept, 5000 + done % 2);
        free(one);
        done++;
    }
    free(kept);
    steps += done;
    return 0;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1;
    pthread_t all[THREADS];
    for (int i = 0; i < threads; i++)
        pthread_create(&all[i], 0, step, 0);
    printf("ready\n");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    is_over = 1;
    for (int i = 0; i < threads; i++)
        pthread_join(all[i], 0);
    printf("%ld steps\n", (long)steps);
    return 0;
}
