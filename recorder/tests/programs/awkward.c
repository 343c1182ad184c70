// A program that cannot be attached to, or not easily: which way, its argument says. Until standard input ends.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void await_end(void)
{
    char byte;
    while (read(0, &byte, 1) > 0)
        free(malloc(byte));
}

/* A filter that allows everything; nobody can know that. */
static void filter(void)
{
    struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, all};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        abort();
}

/* Traces a child, and says which. */
static int trace(void)
{
    int pipes[2];
    if (pipe(pipes))
        abort();
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1) != 0);
    }
    if (ptrace(PTRACE_SEIZE, child, 0, 0))
        abort();
    printf("ready\n%d\n", child);
    fflush(stdout);
    await_end();
    ptrace(PTRACE_INTERRUPT, child, 0, 0);
    int status;
    waitpid(child, &status, __WALL);
    ptrace(PTRACE_DETACH, child, 0, 0);
    close(pipes[1]);
    waitpid(child, &status, 0);
    printf("%s\n", WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "unharmed" : "harmed");
    return 0;
}

int main(int count, char **arguments)
{
    const char *which = count > 1 ? arguments[1] : "";
    if (!strcmp(which, "traced"))
        return trace();
    if (!strcmp(which, "filtered"))
        filter();
    if (!strcmp(which, "secretive"))
        prctl(PR_SET_DUMPABLE, 0);
    printf("ready\n");
    fflush(stdout);
    if (!strcmp(which, "brief"))
        for (int i = 0; i < atoi(arguments[2]); i++)
            free(malloc(100));
    else
        await_end();
    if (!strcmp(which, "becomes"))
        execl("/bin/echo", "echo", "another", (char *)0);
    printf("unharmed\n");
    return 0;
}
