/* Calls before main: from constructors, and from those of a library. Then from a library loaded late. */
#include "said.h"
#include <dlfcn.h>

extern void *from_library(void);

__attribute__((constructor(101))) static void first(void) { do_malloc(1001); }
__attribute__((constructor)) static void second(void) { do_free(do_malloc(1002)); }

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    void *(*late)(void) = NULL;
    void *library = dlopen(arguments[2], RTLD_NOW);
    if (!library)
        abort();
    *(void **)&late = dlsym(library, "made_late");
    say("%d returned 1004 = %p\n", thread_number(), late());
    write_down();
    dlclose(library);
    return 0;
}
