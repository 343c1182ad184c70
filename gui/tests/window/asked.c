// Calls malloc and free for each character it is given, until there are no more, and then says how often.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    char character;
    long times = 0;
    write(1, "ready\n", 6);
    while (read(0, &character, 1) == 1) {
        void *volatile block = malloc(100);
        free(block);
        times++;
    }
    printf("%ld times\n", times);
    return 0;
}
