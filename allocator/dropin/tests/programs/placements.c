/* Makes some ten thousand calls and prints where every allocation landed: from the initial break on; in
 * another arena, from its segment on; or that it has a mapping of its own.
 *
 * Its threads run one after the other. Before the last call nothing is printed. */
#define _GNU_SOURCE
#include <gnu/libc-version.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 300, CALLS = 4000, THREADS = 12 };

static struct { char what; int is_mapped; uintptr_t at; } seen[CALLS * (THREADS + 2)];
static size_t count;
static uintptr_t initial_break;
static void *slots[SLOTS];

static void note(char what, void *at)
{
	seen[count].what = what;
	/* The second bit of a chunk's size. */
	seen[count].is_mapped = at && ((size_t *)at)[-1] & 2;
	seen[count++].at = (uintptr_t)at;
}

static void calls(uint64_t state, int calls)
{
	while (calls--) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		void **slot = &slots[(state >> 40) % SLOTS];
		size_t size = (state >> 20 & 0xfffff) % (state % 100 < 80 ? 1200 : state % 100 < 97 ? 20000 : 400000);
		switch (state >> 10 & 7) {
		case 0:
			free(*slot);
			note('c', *slot = calloc(1, size));
			break;
		case 1:
			free(*slot);
			note('a', *slot = memalign(1 << (state >> 13 & 7), size));
			break;
		case 2:
		case 3:
			note('r', *slot = realloc(*slot, size + 1));
			break;
		case 4:
			free(*slot);
			*slot = NULL;
			break;
		default:
			free(*slot);
			note('m', *slot = malloc(size));
		}
	}
}

static void *work(void *seed)
{
	calls((uintptr_t)seed, CALLS / 4);
	return NULL;
}

int main(int argument_count, char **arguments)
{
	initial_break = (uintptr_t)sbrk(0);
	calls(88172645463325252, CALLS);
	/* Another moves the break. */
	sbrk(5000);
	calls(362436069, CALLS);
	if (argument_count > 1 && !strcmp(arguments[1], "threads"))
		for (uintptr_t i = 1; i <= THREADS; i++) {
			pthread_t thread;
			if (pthread_create(&thread, NULL, work, (void *)(i * 977)))
				return 1;
			pthread_join(thread, NULL);
		}
	malloc_trim(0);
	calls(521288629, CALLS / 2);
	uintptr_t end = (uintptr_t)sbrk(0);
	printf("glibc %s\n", gnu_get_libc_version());
	for (size_t i = 0; i < count; i++)
		if (seen[i].is_mapped)
			printf("%c mapped\n", seen[i].what);
		else if (seen[i].at >= initial_break && seen[i].at < end + (1 << 24))
			printf("%c %zx\n", seen[i].what, seen[i].at - initial_break);
		else
			printf("%c segment %zx\n", seen[i].what, seen[i].at % (64 << 20));
	printf("end %zx\n", end - initial_break);
	return 0;
}
