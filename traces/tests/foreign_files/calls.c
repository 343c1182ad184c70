// Calls of malloc's family, for other tools to write down:
//     cc -o calls calls.c -lpthread
//     heaptrack --raw -o calls ./calls && heaptrack -o calls ./calls
//     ltrace -f -ttt -o calls.ltrace ./calls
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

static void *other(void *unused) {
    (void)unused;
    void *p = malloc(77);
    p = realloc(p, 5000);
    free(p);
    return malloc(33);
}

int main(void) {
    void *kept[50], *p;
    pthread_t thread;
    for (int i = 0; i < 50; i++) kept[i] = malloc(16 + i * 40);
    for (int i = 0; i < 50; i += 2) free(kept[i]);
    p = calloc(3, 100);
    p = realloc(p, 100000);
    free(p);
    p = memalign(64, 1000);
    free(p);
    if (posix_memalign(&p, 256, 300)) return 1;
    free(p);
    p = aligned_alloc(32, 320);
    free(p);
    pthread_create(&thread, 0, other, 0);
    pthread_join(thread, &p);
    free(p);
    for (int i = 1; i < 50; i += 4) kept[i] = realloc(kept[i], 2000 + i);
    return 0;
}
