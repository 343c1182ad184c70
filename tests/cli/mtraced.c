// Has mtrace(3) write down its calls of malloc, and prints them as the dump of a trace has them.
#include <mcheck.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    static char buffer[1 << 20];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    void *alive[64] = {0};
    unsigned drawn = 1;
    mtrace();
    for (int call = 0; call < 2000; call++) {
        drawn = drawn * 1103515245 + 12345;
        void **slot = &alive[drawn >> 16 & 63];
        size_t size = drawn >> 8 & 4095;
        if (!*slot) {
            *slot = malloc(size);
            printf("malloc(%zu)\n", size);
        } else if (drawn & 0x400000) {
            *slot = realloc(*slot, size + 1);
            printf("realloc(%zu)\n", size + 1);
        } else {
            free(*slot);
            *slot = NULL;
            printf("free\n");
        }
    }
    volatile size_t most = PTRDIFF_MAX;
    void *kept = malloc(10), *failed = realloc(kept, most);
    printf("malloc(10)\nrealloc(%zu)\n", most);
    muntrace();
    return failed != NULL;
}
