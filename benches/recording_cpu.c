/* Runs a program and writes the processor time it took, user and system, in microseconds.

   `recording_cpu FILE PROGRAM [ARGUMENT]…` ends as the program ended. */
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

static long long microseconds(struct timeval time) { return time.tv_sec * 1000000LL + time.tv_usec; }

int main(int count, char **arguments)
{
    pid_t child;
    int status;
    struct rusage used;
    if (count < 3 || posix_spawnp(&child, arguments[2], NULL, NULL, arguments + 2, environ))
        return 127;
    if (wait4(child, &status, 0, &used) < 0)
        return 127;
    FILE *file = fopen(arguments[1], "w");
    if (!file)
        return 127;
    fprintf(file, "%lld\n", microseconds(used.ru_utime) + microseconds(used.ru_stime));
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
