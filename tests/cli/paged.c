// A malloc that gives every allocation pages of its own: a first touch for each, and nothing is ever given back.
// It is set as jemalloc is: with MALLOC_CONF=twice it touches another page of each.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HEAD 4096

void *malloc(size_t size) {
    if (size > PTRDIFF_MAX / 2) return NULL;
    const char *conf = getenv("MALLOC_CONF");
    size_t tail = conf != NULL && strcmp(conf, "twice") == 0 ? HEAD : 0;
    char *start = mmap(NULL, size + HEAD + tail, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    *(size_t *)start = size;
    if (tail > 0) start[size + HEAD + tail - 1] = 1;
    return start + HEAD;
}

void free(void *pointer) {
    (void)pointer;
}

void *calloc(size_t count, size_t size) {
    size_t all;
    return __builtin_mul_overflow(count, size, &all) ? NULL : malloc(all);
}

void *realloc(void *pointer, size_t size) {
    void *other = malloc(size);
    if (pointer == NULL || other == NULL) return other;
    size_t before = *(size_t *)((char *)pointer - HEAD);
    return memcpy(other, pointer, before < size ? before : size);
}

int posix_memalign(void **to, size_t alignment, size_t size) {
    (void)alignment;
    *to = malloc(size);
    return *to == NULL ? 12 : 0;
}
