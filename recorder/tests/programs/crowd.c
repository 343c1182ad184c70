/* More threads alive at one time than there are rings. */
#include "said.h"

static pthread_barrier_t all;

static void *work(void *unused)
{
    (void)unused;
    void *p = malloc(40);
    pthread_barrier_wait(&all);
    free(p);
    return NULL;
}

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    int wanted = atoi(arguments[2]);
    static pthread_t thread[10000];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 32 << 10);
    pthread_barrier_init(&all, NULL, (unsigned)wanted + 1);
    for (int i = 0; i < wanted; i++)
        if (pthread_create(&thread[i], &small, work, NULL) != 0) {
            say("0 threads %d\n", i);
            write_down();
            _exit(3);
        }
    pthread_barrier_wait(&all);
    for (int i = 0; i < wanted; i++)
        pthread_join(thread[i], NULL);
    say("0 threads %d\n", wanted);
    write_down();
    return 0;
}
