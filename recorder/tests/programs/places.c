/* Where allocations lie, as offsets from the program break at the start: the same in every run. Some
   from libc and from threads, which are not told; those are told by what follows them. */
#include "said.h"

static void *work(void *unused)
{
    (void)unused;
    void *p[64];
    for (int i = 0; i < 64; i++)
        p[i] = malloc((size_t)i * 40);
    for (int i = 0; i < 64; i += 2)
        free(p[i]);
    return NULL;
}

int main(int count, char **arguments)
{
    begin(arguments);
    char *start = sbrk(0);
    void *live[300] = {0};
    uint32_t random = 1;
    for (int i = 0; i < 30000; i++) {
        random = random * 1664525 + 1013904223;
        int at = (int)(random >> 16) % 300;
        free(live[at]);
        random = random * 1664525 + 1013904223;
        size_t request = random >> (random >> 29 ? 20 : 14);
        live[at] = random & 1 << 8 ? malloc(request) : calloc(request, 1);
        if ((uintptr_t)live[at] - (uintptr_t)start < (uintptr_t)1 << 40)
            say("0 at %td\n", (char *)live[at] - start);
        if (count > 2 && i % 5000 == 0) {
            pthread_t thread;
            pthread_create(&thread, NULL, work, NULL);
            pthread_join(thread, NULL);
        }
        if (i % 3000 == 0)
            free(strdup("abc")), fclose(fopen("/dev/null", "r"));
    }
    write_down();
    return 0;
}
