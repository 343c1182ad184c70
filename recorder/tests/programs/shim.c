/* A preload of the user's own, which hides a word before every payload. Whoever goes around it when
   freeing crashes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define HIDDEN 16

static void *(*next_malloc)(size_t), *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);

static void find(void)
{
    *(void **)&next_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&next_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&next_free = dlsym(RTLD_NEXT, "free");
}

void *malloc(size_t request)
{
    if (!next_malloc)
        find();
    char *payload = next_malloc(request + HIDDEN);
    *(uint64_t *)payload = 0x5111;
    return payload + HIDDEN;
}

void free(void *payload)
{
    if (!payload)
        return;
    uint64_t *start = (uint64_t *)((char *)payload - HIDDEN);
    if (*start != 0x5111)
        abort();
    *start = 0;
    next_free(start);
}

void *realloc(void *old, size_t request)
{
    if (!old)
        return malloc(request);
    return (char *)next_realloc((char *)old - HIDDEN, request + HIDDEN) + HIDDEN;
}

void *calloc(size_t count, size_t size)
{
    char *payload = malloc(count * size);
    for (size_t i = 0; i < count * size; i++)
        payload[i] = 0;
    return payload;
}
