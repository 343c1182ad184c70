// Has memory of which it writes to little, and gives it back long before it ends: buffers that are never full, below a
// program break that falls again and again, and with mappings of their own.
#include <stdlib.h>
#include <string.h>

int main(void)
{
    for (int round = 0; round < 200; round++) {
        char *buffers[40];
        for (int i = 0; i < 40; i++) {
            buffers[i] = malloc(60 << 10);
            memset(buffers[i], 1, (size_t)(1 + (round + i) % 5) << 12);
            __asm__ volatile("" ::: "memory");
        }
        for (int i = 40; i-- > 0;)
            free(buffers[i]);
    }
    for (int i = 0; i < 3; i++) {
        char *mapped = malloc(40 << 20);
        memset(mapped, 1, 3 << 20);
        __asm__ volatile("" ::: "memory");
        free(mapped);
    }
    return 0;
}
