// Threads in malloc all the while, that are sent one signal after the other: the next when the last was handled.
// Until standard input ends. Says whether all were handled, and how many.
//
//     heeds THREADS SIGNAL      SIGNAL: its number; 0 for none, and then the threads have all of them blocked
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 16 };
static atomic_int is_over;
static atomic_long handled[THREADS];
static long sent[THREADS];
static _Thread_local int number;
static pthread_barrier_t all_work;

static void handle(int signal)
{
    (void)signal;
    handled[number]++;
}

static void *work(void *which)
{
    number = (int)(long)which;
    pthread_barrier_wait(&all_work);
    while (!is_over) {
        void *kept[40];
        for (int i = 0; i < 40; i++)
            kept[i] = malloc(24 + 90 * i);
        for (int i = 0; i < 40; i++)
            free(kept[i]);
    }
    return 0;
}

static int all_were_handled(int threads)
{
    for (int i = 0; i < threads; i++)
        if (handled[i] != sent[i])
            return 0;
    return 1;
}

int main(int count, char **arguments)
{
    int threads = count > 1 ? atoi(arguments[1]) : 1, which = count > 2 ? atoi(arguments[2]) : 0;
    pthread_t all[THREADS];
    sigset_t every;
    sigfillset(&every);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
    sigaction(which ? which : SIGTRAP, &action, 0);
    if (!which)
        pthread_sigmask(SIG_BLOCK, &every, 0);
    pthread_barrier_init(&all_work, 0, (unsigned)threads + 1);
    for (long i = 0; i < threads; i++)
        pthread_create(&all[i], 0, work, (void *)i);
    pthread_barrier_wait(&all_work);
    printf("ready\n");
    fflush(stdout);
    struct pollfd input = {.fd = 0};
    while (poll(&input, 1, which ? 0 : -1) == 0)
        for (int i = 0; i < threads; i++)
            if (handled[i] == sent[i]) {
                sent[i]++;
                pthread_kill(all[i], which);
            }
    // None takes so long, unless it is lost.
    for (int naps = 0; naps < 3000 && !all_were_handled(threads); naps++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, 0);
    int are_all = all_were_handled(threads);
    is_over = 1;
    for (int i = 0; i < threads; i++)
        pthread_join(all[i], 0);
    printf("%s\n", are_all ? "all were handled" : "a signal was lost");
    return !are_all;
}
