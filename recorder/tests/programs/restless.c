// Allocates and frees without end, in so many threads besides the first.
//
//     restless THREADS
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void *work(void *seed)
{
	void *slots[300] = { 0 };
	for (uint64_t random = (uintptr_t)seed;;) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		void **slot = &slots[(random >> 33) % 300];
		free(*slot);
		*slot = (random >> 50) % 3 ? malloc((random >> 20) % 3000) : NULL;
	}
	return NULL;
}

int main(int count, char **arguments)
{
	int threads = count > 1 ? atoi(arguments[1]) : 0;
	free(malloc(100000));
	pthread_t thread;
	for (intptr_t number = 1; number <= threads; number++)
		pthread_create(&thread, NULL, work, (void *)number);
	puts("begun");
	fflush(stdout);
	work(&thread);
}
