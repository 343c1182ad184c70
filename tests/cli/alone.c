// One thread that allocates, changes and frees, for as long as it runs: small and large, so that the program break moves
// and mappings come and go.
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS = 5000, BEFORE = 100000 };

int main(void) {
    static void *slots[SLOTS];
    unsigned long drawn = 1;
    for (long call = 0;; call++) {
        drawn = drawn * 6364136223846793005 + 1442695040888963407;
        void **slot = &slots[(drawn >> 33) % SLOTS];
        size_t size = (drawn >> 20) % (drawn & 1 << 19 ? 3000 : 200);
        if (drawn >> 40 & 1023)
            size += 1;
        else
            size += 200000;
        if (*slot && (drawn >> 50) % 4 == 0) {
            *slot = realloc(*slot, size);
        } else {
            free(*slot);
            *slot = malloc(size);
        }
        *(volatile char *)*slot = 1;
        // Whoever looks finds it outside of malloc now and then.
        for (volatile int i = 0; i < 50; i++)
            ;
        if (call == BEFORE) {
            printf("ready\n");
            fflush(stdout);
        }
    }
}
