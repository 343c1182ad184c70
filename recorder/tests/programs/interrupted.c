/* Calls that signals come into, while there is another thread: `interrupted FILE`.
 * Ends with 0 if the C library has registered `rseq` areas, otherwise with 3. */
#include "said.h"
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

extern const unsigned int __rseq_size __attribute__((weak));

static atomic_int is_over;

static void *keep_company(void *nothing)
{
    do_free(do_malloc(100));
    while (!atomic_load(&is_over))
        usleep(1000);
    return nothing;
}

static void handle(int signal)
{
    (void)signal;
}

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    /* Only this thread hears of the timer. */
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm, 0);
    pthread_t other;
    pthread_create(&other, 0, keep_company, 0);
    struct sigaction action = {.sa_handler = handle};
    sigaction(SIGALRM, &action, 0);
    pthread_sigmask(SIG_UNBLOCK, &alarm, 0);
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &often, 0);
    for (int i = 0; i < 2000000; i++) {
        void *volatile p = malloc(16 + (size_t)i % 500);
        free(p);
    }
    setitimer(ITIMER_REAL, &never, 0);
    atomic_store(&is_over, 1);
    pthread_join(other, 0);
    write_down();
    return &__rseq_size && __rseq_size ? 0 : 3;
}
