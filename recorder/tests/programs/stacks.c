/* Calls malloc from stacks of many kinds, and says what each stack is, as glibc's backtrace() has it:
   the thread 0, then the request, which no two calls share, and the return addresses.

   `stacks FILE LIBRARY OTHER` also loads two libraries, one after the other. */
#include "said.h"
#include <alloca.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#define DEEPEST 200

static size_t next_request = 10000;

/* The stack of whoever calls this. Where it says that it called is another place in it than the
   call of malloc, so that is left out. */
static __attribute__((noinline)) void tell(size_t request)
{
    void *frames[DEEPEST];
    int count = backtrace(frames, DEEPEST);
    char line[DEEPEST * 20];
    int length = snprintf(line, sizeof line, "0 %zu", request);
    for (int i = 2; i < count; i++)
        length += snprintf(line + length, sizeof line - (size_t)length, " %p", frames[i]);
    line[length++] = '\n';
    say_text(line, (size_t)length);
}

static __attribute__((noinline)) void leaf(void)
{
    size_t request = __atomic_fetch_add(&next_request, 1, __ATOMIC_RELAXED);
    void *payload = malloc(request);
    tell(request);
    free(payload);
    __asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void recursive(int depth)
{
    if (depth == 0)
        leaf();
    else
        recursive(depth - 1);
    __asm__ volatile("" ::: "memory");
}

/* How far the stack goes is known only when it runs. */
static __attribute__((noinline)) void variable(size_t length)
{
    volatile char *room = alloca(length);
    room[0] = 1;
    leaf();
    recursive((int)room[0]);
    __asm__ volatile("" ::: "memory");
}

/* The compiler aligns this stack, and finds its caller by way of another register. */
static __attribute__((noinline)) void aligned(void)
{
    struct {
        _Alignas(128) volatile char bytes[128];
    } local;
    local.bytes[0] = 1;
    leaf();
    variable(100 + (size_t)local.bytes[0]);
    __asm__ volatile("" : : "r"(&local) : "memory");
}

static int compare(const void *a, const void *b)
{
    leaf();
    return *(const int *)a - *(const int *)b;
}

static void handle(int signal)
{
    recursive(signal & 3);
}

static __attribute__((noinline)) void interrupted(void)
{
    raise(SIGUSR1);
    raise(SIGUSR2);
    leaf();
    __asm__ volatile("" ::: "memory");
}

static jmp_buf place;

static __attribute__((noinline)) void jump(int depth)
{
    leaf();
    if (depth == 0)
        longjmp(place, 1);
    if (depth > 0)
        jump(depth - 1);
    __asm__ volatile("" ::: "memory");
}

static ucontext_t one, other;

static void apart(void)
{
    for (int i = 0; i < 5; i++) {
        recursive(i);
        swapcontext(&other, &one);
    }
}

static void *thread(void *data)
{
    recursive((int)(intptr_t)data);
    aligned();
    return NULL;
}

static void load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    void (*call)(void (*)(void)) = (void (*)(void (*)(void)))dlsym(library, "call");
    call(leaf);
    call(aligned);
    dlclose(library);
}

int main(int count, char **arguments)
{
    begin(arguments);
    /* Its first call loads the library it is made of. */
    void *frames[4];
    backtrace(frames, 4);
    static char stack[65536], altogether[65536];
    sigaltstack(&(stack_t){.ss_sp = altogether, .ss_size = sizeof altogether}, NULL);
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handle}, NULL);
    sigaction(SIGUSR2, &(struct sigaction){.sa_handler = handle, .sa_flags = SA_ONSTACK}, NULL);
    getcontext(&other);
    other.uc_stack.ss_sp = stack;
    other.uc_stack.ss_size = sizeof stack;
    other.uc_link = &one;
    makecontext(&other, apart, 0);
    for (volatile int round = 0; round < 3; round++) {
        leaf();
        for (int depth = 0; depth < 30; depth++)
            recursive(depth * 7 % 31);
        for (size_t length = 1; length < 10000; length *= 3)
            variable(length);
        aligned();
        int numbers[] = {3, 1, 2};
        qsort(numbers, 3, sizeof *numbers, compare);
        interrupted();
        if (setjmp(place) == 0)
            jump(round * 3);
        leaf();
        swapcontext(&one, &other);
        recursive(2);
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, thread, (void *)(intptr_t)i);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        if (count > 3) {
            load(arguments[2]);
            load(arguments[3]);
        }
    }
    recursive(150);
    write_down();
    return 0;
}
