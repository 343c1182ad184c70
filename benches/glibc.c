// The same calls, made to glibc's malloc from an array: `glibc SCRIPT TIMES` prints the least
// nanoseconds of the processor a call. The script is what `malloscope dump --format ops` prints, of one thread.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum Kind { MALLOC, CALLOC, REALLOC, FREE, MEMALIGN };

struct Call {
    uint32_t kind, slot;
    uint64_t size, other;
};

// Arrays of our own, from mmap: what is timed finds the heap as the program found it.
static void *pages(size_t bytes) {
    void *got = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (got == MAP_FAILED) { perror("mmap"); exit(1); }
    return got;
}

static double run(const struct Call *calls, size_t count, void **slots) {
    struct timespec begin, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (size_t i = 0; i < count; i++) {
        const struct Call *call = &calls[i];
        void **slot = &slots[call->slot];
        switch (call->kind) {
        case MALLOC: *slot = malloc(call->size); break;
        case CALLOC: *slot = calloc(call->other, call->size); break;
        case REALLOC: *slot = realloc(*slot, call->size); break;
        case FREE: free(*slot); *slot = NULL; break;
        case MEMALIGN: *slot = aligned_alloc(call->other, call->size); break;
        }
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / count;
}

int main(int argc, char **argv) {
    if (argc != 3) { fprintf(stderr, "usage: glibc SCRIPT TIMES\n"); return 2; }
    FILE *in = fopen(argv[1], "r");
    if (!in) { perror(argv[1]); return 1; }
    static char line[256];
    size_t room = 1;
    while (fgets(line, sizeof line, in)) room++;
    rewind(in);
    struct Call *calls = pages(room * sizeof *calls);
    size_t count = 0;
    uint32_t most = 0;
    while (fgets(line, sizeof line, in)) {
        char name[32];
        unsigned thread;
        unsigned long long a = 0, b = 0, c = 0;
        if (sscanf(line, "%u %31s %llu %llu %llu", &thread, name, &a, &b, &c) < 3) continue;
        struct Call call = {.slot = a, .size = b, .other = 1};
        if (!strcmp(name, "malloc")) call.kind = MALLOC;
        else if (!strcmp(name, "calloc")) { call.kind = CALLOC; if (c) call.other = c; }
        else if (!strcmp(name, "realloc")) call.kind = REALLOC;
        else if (!strcmp(name, "free")) call.kind = FREE;
        else if (strstr(name, "align")) { call.kind = MEMALIGN; call.other = b; call.size = c; }
        else continue;
        if (call.slot > most) most = call.slot;
        calls[count++] = call;
    }
    double *result = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double least = 1e18;
    for (int times = atoi(argv[2]); times > 0; times--) {
        pid_t child = fork();
        if (child == 0) {
            void **slots = pages((most + 1) * sizeof *slots);
            *result = run(calls, count, slots);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        if (*result < least) least = *result;
    }
    printf("%.2f\n", least);
    return 0;
}
