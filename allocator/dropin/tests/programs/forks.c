/* Forks from several threads while others allocate, print and open streams; children allocate, too. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKERS = 2, FORKS = 60 };

static atomic_int done, failed;

static void churn(unsigned seed, int calls)
{
	void *kept[64] = {0};
	while (calls--) {
		seed = seed * 1103515245 + 12345;
		void **slot = &kept[seed >> 16 & 63];
		free(*slot);
		*slot = malloc(seed >> 8 & 4095);
		if (*slot)
			memset(*slot, 1, seed >> 8 & 4095);
	}
	for (int i = 0; i < 64; i++)
		free(kept[i]);
}

static void *allocate(void *seed)
{
	while (!done)
		churn((unsigned)(size_t)seed, 1000);
	return NULL;
}

/* Whoever flushes all streams has the lock on their list, and then calls malloc for a stream in memory. */
static void *stream(void *unused)
{
	while (!done) {
		char *text = NULL;
		size_t length;
		FILE *memory = open_memstream(&text, &length);
		for (int i = 0; i < 300; i++)
			fprintf(memory, "%d ", i);
		fflush(NULL);
		fclose(memory);
		free(text);
	}
	return unused;
}

static void *in_child(void *unused)
{
	churn(7, 500);
	return unused;
}

static void *forker(void *unused)
{
	for (int i = 0; i < FORKS; i++) {
		pid_t child = fork();
		if (child == 0) {
			alarm(20);
			churn(i, 2000);
			pthread_t thread;
			if (pthread_create(&thread, NULL, in_child, NULL) || pthread_join(thread, NULL))
				_exit(3);
			_exit(0);
		}
		int status = -1;
		if (child < 0 || waitpid(child, &status, 0) != child || status)
			failed++;
	}
	return unused;
}

/* The program's own handlers may allocate. */
static void handler(void)
{
	free(malloc(1000));
}

int main(void)
{
	pthread_t thread[FORKERS + 4];
	alarm(60);
	pthread_atfork(handler, handler, handler);
	for (int i = 0; i < FORKERS + 4; i++) {
		void *(*what)(void *) = i < FORKERS ? forker : i == FORKERS ? stream : allocate;
		if (pthread_create(&thread[i], NULL, what, (void *)(size_t)(i + 1)))
			return 2;
	}
	for (int i = 0; i < FORKERS; i++)
		pthread_join(thread[i], NULL);
	done = 1;
	for (int i = FORKERS; i < FORKERS + 4; i++)
		pthread_join(thread[i], NULL);
	if (failed) {
		printf("%d children failed\n", failed);
		return 1;
	}
	puts("all is well");
	return 0;
}
