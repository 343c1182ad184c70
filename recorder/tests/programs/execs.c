/* A program that becomes itself three times. */
#include "said.h"

int main(int count, char **arguments)
{
    begin(arguments);
    int left = count > 2 ? atoi(arguments[2]) : 3;
    for (int i = 0; i < 10 + left; i++)
        do_malloc((size_t)100 + (size_t)left);
    write_down();
    if (left > 0) {
        char less[16];
        snprintf(less, sizeof less, "%d", left - 1);
        execl("/proc/self/exe", "execs", arguments[1], less, (char *)NULL);
        abort();
    }
    return 9;
}
