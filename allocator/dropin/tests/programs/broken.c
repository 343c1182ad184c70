/* Breaks its heap in the way it is told, and allocates in the handler of SIGABRT. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void handler(int signal)
{
	(void)signal;
	free(malloc(5000));
	(void)!write(1, "aborting\n", 9);
}

int main(int count, char **arguments)
{
	const char *how = count > 1 ? arguments[1] : "";
	signal(SIGABRT, handler);
	char *volatile a = malloc(24), *volatile b = malloc(24);
	if (!strcmp(how, "twice")) {
		free(a);
		free(a);
	} else if (!strcmp(how, "pointer")) {
		free(a + 8);
	} else if (!strcmp(how, "size")) {
		memset(b - 8, 8, 8);
		free(b);
	} else if (!strcmp(how, "realloc")) {
		free(realloc(a + 8, 100));
	} else if (!strcmp(how, "top")) {
		/* After this nothing can be allocated. */
		signal(SIGABRT, SIG_DFL);
		memset(b + 24, 0xff, 8);
		free(malloc(1000));
	}
	return 3;
}
