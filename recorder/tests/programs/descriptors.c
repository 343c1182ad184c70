/* What a program can see of us: its descriptors, its environment, its maps. Then it closes all
   descriptors, its own included, and goes on. */
#include "said.h"
#include <dirent.h>

extern char **environ;

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    free(malloc(1));
    for (int i = 0; i < 1000; i++)
        if (fcntl(i, F_GETFD) >= 0)
            say("0 open %d\n", i);
    int next = open("/dev/null", O_RDONLY);
    say("0 next %d\n", next);
    for (char **variable = environ; *variable; variable++)
        if (strncmp(*variable, "LD_PRELOAD=", 11))
            say("0 variable %.100s\n", *variable);
    write_down();
    for (int i = 0; i < 1000; i++)
        close(i);
    for (int i = 0; i < 100000; i++)
        free(malloc(60));
    int file = open(arguments[1], O_WRONLY | O_APPEND);
    if (file != 0)
        abort();
    return 0;
}
