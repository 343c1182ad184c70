// Has memory of all kinds from malloc and gives it back, writes to every page of it, and has memory of its own from the
// kernel meanwhile, which is none of malloc's: `moves [threads]`.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 400, CALLS = 60000 };

static void *work(void *seed)
{
    static _Thread_local char *slots[SLOTS];
    unsigned long drawn = (unsigned long)seed;
    for (int call = 0; call < CALLS; call++) {
        drawn = drawn * 6364136223846793005 + 1442695040888963407;
        char **slot = &slots[(drawn >> 33) % SLOTS];
        size_t size = (drawn >> 40) % 100 == 0 ? (drawn >> 20) % 600000 : (drawn >> 20) % 3000;
        if (*slot && (drawn >> 50) % 8 == 0) {
            *slot = realloc(*slot, size + 1);
        } else {
            free(*slot);
            *slot = malloc(size + 1);
        }
        memset(*slot, 1, size + 1);
        if (call % 1000 == 0) {
            char *own = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(own, 1, 1 << 20);
            own = mremap(own, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
            mprotect(own, 4096, PROT_READ);
            madvise(own, 1 << 20, MADV_DONTNEED);
            munmap(own, 2 << 20);
        }
    }
    return NULL;
}

int main(int count, char **arguments)
{
    work((void *)1);
    int threads = count > 1 ? atoi(arguments[1]) : 0;
    for (int i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, work, (void *)(unsigned long)(i + 2)) || pthread_join(thread, NULL))
            return 1;
    }
    // A copy of the process, and another program: neither's memory is this one's.
    if (fork() == 0) {
        work((void *)7);
        execlp("true", "true", NULL);
        _exit(1);
    }
    return 0;
}
