/* Signal handlers that call malloc while the thread they interrupt is in it. The handler uses other
   sizes, always to be had from the tcache, so that it is safe with this malloc whatever it interrupts.

   `signals FILE jump N`: the handler leaves by a jump if it has interrupted the agent; from malloc
   itself nobody may jump.

   `signals FILE linger N`: the handler does not return before what it did is long recorded. */
#include "said.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>

static volatile sig_atomic_t handled;
static volatile unsigned long in_handler, outside;
static sigjmp_buf back;
static volatile int jumps, jumped, lingers;
static unsigned long agent_begin, agent_end;

/* Once, and not again while a handler lingers: what it interrupted would never go on. */
static const struct itimerval soon = {{0, 0}, {0, 2000}};
static const struct itimerval often = {{0, 200}, {0, 200}};

static void find_agent(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned long begin, end;
    while (fgets(line, sizeof line, maps))
        if (strstr(line, "memfd:malloscope-agent") && strstr(line, "r-xp")
            && sscanf(line, "%lx-%lx", &begin, &end) == 2)
            agent_begin = begin, agent_end = end;
    fclose(maps);
}

static void handler(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    unsigned long at = (unsigned long)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    for (int i = 0; i < 3; i++) {
        free(malloc(900));
        in_handler += 2;
    }
    handled++;
    if (lingers) {
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        setitimer(ITIMER_REAL, &soon, NULL);
    }
    if (jumps && at >= agent_begin && at < agent_end) {
        jumped++;
        siglongjmp(back, 1);
    }
}

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    jumps = !strcmp(arguments[2], "jump");
    lingers = !strcmp(arguments[2], "linger");
    if (jumps)
        find_agent();
    int wanted = atoi(arguments[3]);
    free(malloc(900));
    free(malloc(40));
    outside = 4;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGALRM, &action, NULL);
    sigsetjmp(back, 1);
    setitimer(ITIMER_REAL, lingers ? &soon : &often, NULL);
    while (handled < wanted) {
        free(malloc(40));
        outside += 2;
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    say("0 jumped %d\n0 calls %lu\n", jumped, in_handler + outside);
    write_down();
    return 0;
}
