// Has much memory from malloc of which it writes to little: tables with holes, buffers that are never full, some with
// mappings of their own and some not, some freed and some not.
#include <stdlib.h>
#include <string.h>

int main(void)
{
    char *table = malloc(2 << 20);
    for (int i = 0; i < 2 << 20; i += 64 << 10)
        table[i] = 1;
    char *buffers[50];
    for (int i = 0; i < 50; i++) {
        buffers[i] = malloc(100 << 10);
        memset(buffers[i], 1, 20 << 10);
    }
    for (int i = 0; i < 50; i += 2)
        free(buffers[i]);
    char *grown = malloc(200 << 10);
    memset(grown, 1, 200 << 10);
    grown = realloc(grown, 3 << 20);
    memset(grown, 1, 1 << 20);
    return table[5] + buffers[3][0] - 1;
}
