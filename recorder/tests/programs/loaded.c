// A library that allocates when it is loaded and when it is asked to.
#include <stdlib.h>
#include <string.h>

static char *own;

__attribute__((constructor)) static void begin(void)
{
    own = strdup("begun");
}

__attribute__((destructor)) static void end(void)
{
    free(own);
}

void *allocate_in_library(size_t bytes)
{
    return malloc(bytes);
}
