/* Asks for memory from three places, in sizes that a generator of random numbers gives, and says how
   much was asked for from each. */
#include "said.h"

static uint64_t random_state = 88172645463325252;

static uint64_t draw(uint64_t most)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % most + 1;
}

#define PLACE(name)                                                             \
    static __attribute__((noinline, aligned(64))) void name(size_t request)     \
    {                                                                           \
        free(malloc(request));                                                  \
        __asm__ volatile("" ::: "memory");                                      \
    }

PLACE(small)
PLACE(medium)
PLACE(large)

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    uint64_t calls[3] = {0}, bytes[3] = {0};
    for (int i = 0; i < 300000; i++) {
        size_t requests[] = {draw(64), draw(2000), draw(30000)};
        int which = i % 10 == 0 ? 2 : i % 3 == 0 ? 1 : 0;
        size_t request = requests[which];
        calls[which]++;
        bytes[which] += request;
        if (which == 0)
            small(request);
        else if (which == 1)
            medium(request);
        else
            large(request);
    }
    void (*places[])(size_t) = {small, medium, large};
    for (int i = 0; i < 3; i++)
        say("0 place %lx calls %lu bytes %lu\n", (unsigned long)places[i], calls[i], bytes[i]);
    write_down();
    return 0;
}
