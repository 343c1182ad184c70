/* The library `early` loads late. */
#include <stdlib.h>

static void *made;

__attribute__((constructor)) static void load(void) { made = malloc(1004); }
__attribute__((destructor)) static void unload(void) { free(made); }

void *made_late(void) { return made; }
