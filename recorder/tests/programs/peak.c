/* A heap that grows, lives and shrinks: sizes of all kinds, freed in another order, trimmed at the end. */
#include "said.h"

#define LIVE 500

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    void *live[LIVE] = {0};
    uint32_t random = 12345;
    for (int i = 0; i < 20000; i++) {
        random = random * 1664525 + 1013904223;
        int at = (int)(random >> 16) % LIVE;
        do_free(live[at]);
        random = random * 1664525 + 1013904223;
        size_t request = random >> 28 ? random >> 20 : random >> 12;
        live[at] = do_malloc(request);
        if (i % 7 == 0)
            live[at] = do_realloc(live[at], request * 2);
        if (i % 11 == 0)
            do_free(live[at]), live[at] = do_calloc(request % 97, 13);
    }
    for (int i = 0; i < LIVE; i++)
        do_free(live[i]);
    write_down();
    return 0;
}
