/* Frees the end of its heap, so that the program break is trimmed, by free() and by malloc_trim(). */
#include "said.h"

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    void *blocks[100];
    for (int i = 0; i < 100; i++)
        blocks[i] = malloc(10000);
    for (int i = 0; i < 100; i++)
        free(blocks[i]);
    void *last = malloc(50000);
    free(last);
    malloc_trim(0);
    write_down();
    return 0;
}
