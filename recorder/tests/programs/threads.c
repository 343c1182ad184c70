/* Threads that hand memory to each other around a ring, at once and through the same addresses. */
#include "said.h"
#include <sched.h>
#include <stdatomic.h>

#define THREADS 4
#define ROUNDS 20000

static _Atomic(void *) box[THREADS];
static atomic_int finished;

static void *work(void *number)
{
    uintptr_t me = (uintptr_t)number;
    uintptr_t next = (me + 1) % THREADS;
    for (int i = 0; i < ROUNDS; i++) {
        void *given = do_malloc(24 + i % 5 * 16);
        void *none = NULL;
        while (!atomic_compare_exchange_weak(&box[next], &none, given)) {
            none = NULL;
            void *mine = atomic_exchange(&box[me], NULL);
            if (mine)
                do_free(mine);
            else
                sched_yield(); /* there may be fewer processors than threads */
        }
        if (i % 16 == 0) {
            void *own = do_malloc(2000);
            do_free(do_realloc(own, 3000 + i));
        }
    }
    finished++;
    while (finished < THREADS || box[me]) {
        void *mine = atomic_exchange(&box[me], NULL);
        if (mine)
            do_free(mine);
        else
            sched_yield();
    }
    return NULL;
}

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, work, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    write_down();
    return 0;
}
