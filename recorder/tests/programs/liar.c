/* Writes nonsense over all the memory it shares with the recorder, again and again. */
#include "said.h"
#include <time.h>

struct range { unsigned long begin, end; };

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    free(malloc(100));
    struct range ranges[64];
    int found = 0;
    static char maps[1 << 16];
    int file = open("/proc/self/maps", O_RDONLY);
    ssize_t length = read(file, maps, sizeof maps - 1);
    close(file);
    maps[length > 0 ? length : 0] = 0;
    for (char *line = strtok(maps, "\n"); line && found < 64; line = strtok(NULL, "\n"))
        if (strstr(line, "memfd:malloscope ") && strstr(line, "rw-s"))
            sscanf(line, "%lx-%lx", &ranges[found].begin, &ranges[found].end), found++;
    say("0 found %d\n", found);
    write_down();
    uint64_t random = strtoull(arguments[2], NULL, 10) * 2 + 1;
    time_t end = time(NULL) + 2;
    while (time(NULL) < end)
        for (int i = 0; i < 100000; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            struct range range = ranges[(random >> 40) % (unsigned)found];
            unsigned long words = (range.end - range.begin) / 8;
            unsigned long at = (random >> 20) % words;
            /* Mostly where it hurts: the headers, and the ring in use. */
            if (random & 1)
                at %= 70000;
            ((volatile uint64_t *)range.begin)[at] = random & 2 ? random : random >> 48;
        }
    _exit(0);
}
