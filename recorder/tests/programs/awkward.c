// A program that cannot be attached to, or not easily: which way, its argument says. Until standard input ends.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void await_end(void)
{
    char byte;
    while (read(0, &byte, 1) > 0)
        free(malloc(byte));
}

/* A filter that allows what this program calls, and what an agent does, if it may do all that. Who calls something else
   is ended. */
static void filter(int may_all)
{
    static const int calls[] = {
        SYS_read, SYS_write, SYS_newfstatat, SYS_exit, SYS_rt_sigreturn, SYS_restart_syscall, SYS_clone, SYS_clone3,
        SYS_set_robust_list, SYS_rseq, SYS_getrandom, SYS_rt_sigaction, SYS_sched_getaffinity, SYS_mprotect, SYS_clock_nanosleep, SYS_brk, SYS_close, SYS_exit_group, SYS_futex,
        SYS_getpid, SYS_getppid, SYS_getrusage, SYS_gettid, SYS_kill, SYS_madvise, SYS_mmap, SYS_mremap, SYS_munmap,
        SYS_openat, SYS_readlink, SYS_rt_sigprocmask, SYS_memfd_create,
    };
    enum { CALLS = sizeof calls / sizeof *calls };
    struct sock_filter all[CALLS + 3] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0)};
    int count = may_all ? CALLS : CALLS - 1;
    for (int i = 0; i < count; i++)
        all[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], count - i, 0);
    all[1 + count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    all[2 + count] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {count + 3, all};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        abort();
}

static volatile int is_over;

static void *work(void *large)
{
    while (!is_over) {
        free(malloc(100));
        free(realloc(malloc(1000), 300000));
        usleep(100);
    }
    return large;
}

/* Allocates in a thread until standard input ends. */
static void work_in_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL))
        abort();
    await_end();
    is_over = 1;
    pthread_join(thread, NULL);
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
    int is_filtered = !strcmp(which, "filtered");
    if (is_filtered || !strcmp(which, "forbidden"))
        filter(is_filtered);
    if (!strcmp(which, "secretive"))
        prctl(PR_SET_DUMPABLE, 0);
    printf("ready\n");
    fflush(stdout);
    if (!strcmp(which, "brief"))
        for (int i = 0; i < atoi(arguments[2]); i++)
            free(malloc(100));
    else if (is_filtered)
        work_in_thread();
    else
        await_end();
    if (!strcmp(which, "becomes"))
        execl("/bin/echo", "echo", "another", (char *)0);
    printf("unharmed\n");
    return 0;
}
