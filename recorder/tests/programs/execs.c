/* A program that becomes itself three times, and is copied once in between. */
#include "said.h"

int main(int count, char **arguments)
{
    begin(arguments);
    int left = count > 2 ? atoi(arguments[2]) : 3;
    for (int i = 0; i < 10 + left; i++)
        do_malloc((size_t)100 + (size_t)left);
    write_down();
    if (left == 2) {
        pid_t child = fork();
        if (child == 0) {
            do_free(do_malloc(2222));
            write_down();
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    if (left > 0) {
        char less[16];
        snprintf(less, sizeof less, "%d", left - 1);
        execl("/proc/self/exe", "execs", arguments[1], less, (char *)NULL);
        abort();
    }
    return 9;
}
