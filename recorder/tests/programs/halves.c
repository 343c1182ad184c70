// Works, stands still until its input has a byte, and works on with what it has.
//
//     halves [SEED]
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 700, CALLS = 30000 };

static void *slots[SLOTS];
static uint64_t state = 88172645463325252u;

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t some_bytes(void)
{
	switch (chance() % 16) {
	case 0:
		return chance() % 400000;
	case 1:
	case 2:
		return chance() % 20000;
	case 3:
		return chance() % 3000;
	default:
		return chance() % 500;
	}
}

static void work(void)
{
	for (int call = 0; call < CALLS; call++) {
		void **slot = &slots[chance() % SLOTS];
		switch (chance() % 8) {
		case 0:
			*slot = realloc(*slot, some_bytes() + 1);
			break;
		case 1:
			free(*slot);
			*slot = aligned_alloc(16 << chance() % 6, (some_bytes() + 1023) / 1024 * 1024);
			break;
		case 2:
			free(*slot);
			*slot = calloc(1, some_bytes());
			break;
		case 3:
		case 4:
		case 5:
			free(*slot);
			*slot = NULL;
			break;
		default:
			free(*slot);
			*slot = malloc(some_bytes());
		}
	}
}

int main(int count, char **arguments)
{
	state += count > 1 ? strtoul(arguments[1], NULL, 10) * 7919 : 0;
	work();
	// By this the place is found in a recording: nothing else is so large.
	free(malloc(123456789));
	char byte = '.';
	if (write(1, &byte, 1) != 1 || read(0, &byte, 1) != 1)
		return 1;
	work();
	_exit(0);
}
