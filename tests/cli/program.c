/* A small program of one thread that asks malloc for a little of everything, and then ends as it is
 * told: `program exit 7`, `program signal 9`. */
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 300, ROUNDS = 20000 };

static void *slots[SLOTS];

static void *made(unsigned kind, size_t size)
{
	switch (kind % 8) {
	case 0:
		return calloc(1, size);
	case 1:
		return memalign(64, size);
	default:
		return malloc(size);
	}
}

int main(int count, char **arguments)
{
	unsigned random = 1;
	for (int round = 0; round < ROUNDS; round++) {
		random = random * 1103515245 + 12345;
		unsigned slot = (random >> 16) % SLOTS;
		/* Now and then something so large that it gets a mapping of its own. */
		size_t size = round % 1000 == 0 ? 300000 : (random >> 8) % 3000;
		if (!slots[slot]) {
			slots[slot] = made(random >> 12, size);
		} else if (round % 5 == 0) {
			slots[slot] = realloc(slots[slot], size + 1);
		} else {
			free(slots[slot]);
			slots[slot] = NULL;
		}
	}
	int number = count > 2 ? atoi(arguments[2]) : 0;
	if (count > 2 && strcmp(arguments[1], "signal") == 0)
		raise(number);
	return number;
}
