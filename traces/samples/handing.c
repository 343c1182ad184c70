// Threads hand each other what they allocate: `handing THREADS ROUNDS`. For the sample `threads`.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

enum { SHELVES = 512, MOST = 64 };

static _Atomic(char *) shelves[SHELVES];
static long rounds;

static void *work(void *number) {
    uint64_t random = (uintptr_t)number * 2654435761u + 1;
    for (long i = 0; i < rounds; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t size = 1 + (random >> 20) % (i % 64 ? 700 : 30000);
        char *mine = malloc(size);
        mine[0] = 1;
        free(atomic_exchange(&shelves[(random >> 40) % SHELVES], mine));
    }
    return NULL;
}

int main(int count, char **arguments) {
    long threads = count > 1 ? strtol(arguments[1], NULL, 10) : 8;
    rounds = count > 2 ? strtol(arguments[2], NULL, 10) : 1000;
    pthread_t ids[MOST];
    if (threads < 1 || threads > MOST) return 2;
    for (long i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, (void *)(uintptr_t)(i + 1));
    for (long i = 0; i < threads; i++) pthread_join(ids[i], NULL);
    return 0;
}
