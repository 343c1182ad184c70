/* Calls malloc until it is told to stop, or this often; says how often it did. */
#include "said.h"
#include <signal.h>

static volatile sig_atomic_t stopped;

static void stop(int signal) { stopped = signal; }

int main(int count, char **arguments)
{
    (void)count;
    begin(arguments);
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    unsigned long most = strtoul(arguments[2], NULL, 10), calls = 0;
    say("0 begun\n");
    write_down();
    while (!stopped && calls < most) {
        free(malloc(100));
        calls += 2;
    }
    say("0 calls %lu\n0 signal %d\n", calls, (int)stopped);
    write_down();
    return stopped ? 40 : 0;
}
