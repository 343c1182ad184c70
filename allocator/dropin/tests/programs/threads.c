/* Generations of threads that allocate, write, hand pointers to each other and free what others allocated;
 * what is in an allocation must be what was written there. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, GENERATIONS = 6, CALLS = 20000, SLOTS = 256 };

static _Atomic(unsigned char *) slots[SLOTS];
static atomic_int wrong;
static pthread_key_t key;
static __thread char *own;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void consume(unsigned char *at)
{
	if (!at)
		return;
	uint32_t length;
	memcpy(&length, at, 4);
	for (uint32_t i = 4; i < length; i++)
		if (at[i] != (unsigned char)(length * 31 + i))
			wrong++;
	free(at);
}

static void at_exit(void *value)
{
	consume(value);
	/* Destructors may allocate, and ask to be called again. */
	free(malloc(77));
	free(own);
	own = NULL;
}

static void *work(void *argument)
{
	uint64_t state = (uintptr_t)argument * 0x9e3779b97f4a7c15;
	own = strdup("what a destructor frees");
	for (int i = 0; i < CALLS; i++) {
		uint64_t random = next(&state);
		uint32_t length = 4 + (random >> 32) % (random % 50 ? 700 : 200000);
		unsigned char *at = random & 64 ? malloc(length) : realloc(malloc(8), length);
		memcpy(at, &length, 4);
		for (uint32_t k = 4; k < length; k++)
			at[k] = (unsigned char)(length * 31 + k);
		if (i == CALLS - 1)
			pthread_setspecific(key, at);
		else
			consume(atomic_exchange(&slots[random / 128 % SLOTS], at));
	}
	return NULL;
}

int main(void)
{
	pthread_key_create(&key, at_exit);
	for (uintptr_t generation = 0; generation < GENERATIONS; generation++) {
		pthread_t thread[THREADS];
		for (uintptr_t i = 0; i < THREADS; i++)
			if (pthread_create(&thread[i], NULL, work, (void *)(generation * THREADS + i + 1)))
				return 2;
		for (int i = 0; i < THREADS; i++)
			pthread_join(thread[i], NULL);
	}
	for (int i = 0; i < SLOTS; i++)
		consume(slots[i]);
	if (wrong) {
		printf("%d bytes are not what was written\n", wrong);
		return 1;
	}
	puts("all is well");
	return 0;
}
