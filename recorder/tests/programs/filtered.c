/* Dies if anybody asks the kernel which of its pages have memory behind them: it has a filter of system calls.

   `filtered FILE HOW`: the filter is set by prctl, by syscall, or by a program that becomes this one. */
#include "said.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

static void set_filter(const char *how)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mincore, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        abort();
    long refused = strcmp(how, "syscall") == 0 ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                                               : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    if (refused != 0)
        say("0 there are no filters here\n");
}

/* What is freed here goes back to the kernel. */
static void give_back(void)
{
    for (int i = 0; i < 10; i++) {
        void *mapped = do_malloc(1 << 20);
        void *large = do_malloc(100 << 10);
        do_free(large);
        do_free(mapped);
    }
}

int main(int count, char **arguments)
{
    begin(arguments);
    const char *how = count > 2 ? arguments[2] : "";
    if (strcmp(how, "is-set") != 0) {
        give_back();
        set_filter(how);
        if (strcmp(how, "exec") == 0) {
            write_down();
            execl("/proc/self/exe", "filtered", arguments[1], "is-set", (char *)NULL);
            abort();
        }
    }
    give_back();
    write_down();
    return 0;
}
