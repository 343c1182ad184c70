/* A heap that is copied by fork, in all its ways. Each process says what it did itself. */
#include "said.h"
#include <sched.h>
#include <spawn.h>

extern char **environ;

static void child_work(void *inherited)
{
    do_free(inherited);
    for (int i = 0; i < 100; i++)
        do_malloc(200);
    write_down();
}

static void wait_for(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child || status != 0)
        say("0 child ended with %x\n", status);
}

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    void *p[8];
    for (int i = 0; i < 8; i++)
        p[i] = do_malloc(1000 + (size_t)i);

    write_down();
    pid_t child = fork();
    if (child == 0) {
        child_work(p[0]);
        _exit(0);
    }
    say("%d fork %d\n", thread_number(), child);
    do_malloc(77);
    wait_for(child);

    write_down();
    child = fork();
    if (child == 0) {
        /* A child that calls nothing, and whose own child does. */
        pid_t grandchild = fork();
        if (grandchild == 0) {
            child_work(p[1]);
            _exit(0);
        }
        int status;
        waitpid(grandchild, &status, 0);
        _exit(status != 0);
    }
    say("%d fork %d\n", thread_number(), child);
    wait_for(child);

    write_down();
    child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        child_work(p[2]);
        _exit(0);
    }
    wait_for(child);

    do_malloc(88);
    child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    wait_for(child);
    char *command[] = {"true", NULL};
    if (posix_spawn(&child, "/bin/true", NULL, NULL, command, environ) != 0)
        abort();
    wait_for(child);
    do_malloc(99);
    write_down();
    return 0;
}
