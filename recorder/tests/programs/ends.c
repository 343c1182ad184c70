/* Ways to end, each after the same calls: `ends FILE exit|_exit|kill|abort|segv|throw`. */
#include "said.h"
#include <signal.h>

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    for (int i = 0; i < 10000; i++) {
        void *p = do_malloc(16 + (size_t)i % 500);
        if (i % 2)
            do_free(p);
    }
    write_down();
    const char *how = arguments[2];
    if (!strcmp(how, "exit"))
        exit(3);
    if (!strcmp(how, "_exit"))
        _exit(4);
    if (!strcmp(how, "kill"))
        kill(getpid(), SIGKILL);
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "segv"))
        *(volatile int *)8 = 1;
    return 5;
}
