/* Calls libc makes for itself. */
#include "said.h"

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    char *copy = strdup("a string of some length, to be found again");
    say("%d returned 43 = %p\n", thread_number(), copy);
    FILE *file = fopen("/proc/self/status", "r");
    say("%d returned 472 = %p\n", thread_number(), (void *)file);
    char *line = NULL;
    size_t room = 0;
    if (getline(&line, &room, file) < 0)
        abort();
    say("%d returned 120 = %p\n", thread_number(), line);
    free(line);
    fclose(file);
    free(copy);
    write_down();
    return 0;
}
