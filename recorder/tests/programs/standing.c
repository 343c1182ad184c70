// Makes heaps of several kinds, says what malloc says of them, and stands still until its input ends; then it
// trims, and says how much memory that gave back.
//
//     standing KIND [THREADS]       KIND: plain, large, mapped, foreign, empty
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t state = 88172645463325252u;

static uint64_t chance(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

enum { SLOTS = 400 };

struct work {
	uint64_t seed;
	size_t greatest;
	void *slots[SLOTS];
};

static void churn(struct work *work)
{
	uint64_t random = work->seed;
	for (int call = 0; call < 20000; call++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		void **slot = &work->slots[(random >> 33) % SLOTS];
		if (*slot) {
			free(*slot);
			*slot = NULL;
		} else {
			size_t bytes = (random >> 20) % ((random >> 50) % 8 ? 1500 : work->greatest) + 1;
			*slot = malloc(bytes);
			memset(*slot, 0x5a, bytes);
		}
	}
}

static pthread_barrier_t ready, done;

static void *thread(void *work)
{
	churn(work);
	pthread_barrier_wait(&ready);
	pthread_barrier_wait(&done);
	return NULL;
}

// What the kernel says that this process has of memory, in bytes. No stdio, which calls malloc.
static long resident(void)
{
	char text[64] = { 0 };
	int file = open("/proc/self/statm", O_RDONLY);
	long pages = 0;
	if (file >= 0 && read(file, text, sizeof text - 1) > 0)
		{
		// What is not shared with a file: pages of libraries are touched meanwhile.
		long shared;
		sscanf(text, "%*d %ld %ld", &pages, &shared);
		pages -= shared;
	}
	close(file);
	return pages * 4096;
}

static char told[1 << 20];
static char printed[1 << 12];

int main(int count, char **arguments)
{
	// What stdio needs it is given: nothing is to be allocated between what malloc says and the standstill.
	setvbuf(stdout, printed, _IOFBF, sizeof printed);
	const char *kind = count > 1 ? arguments[1] : "plain";
	int threads = count > 2 ? atoi(arguments[2]) : 0;
	static struct work work[64];
	pthread_t id[64];
	size_t greatest = strcmp(kind, "large") ? 60000 : 2000000;
	pthread_barrier_init(&ready, NULL, threads + 1);
	pthread_barrier_init(&done, NULL, threads + 1);
	for (int i = 0; i < threads; i++) {
		work[i + 1] = (struct work){ .seed = chance(), .greatest = greatest };
		pthread_create(&id[i], NULL, thread, &work[i + 1]);
	}
	if (!strcmp(kind, "foreign")) {
		// Others move the break, by what is no multiple of anything, between two parts of the heap.
		malloc(100000);
		sbrk(12345);
		malloc(100000);
		sbrk(70000);
	}
	if (!strcmp(kind, "mapped")) {
		mallopt(M_MMAP_THRESHOLD, 20000);
		for (size_t alignment = 16; alignment <= 1 << 16; alignment *= 4)
			memset(memalign(alignment, 50000), 0x5a, 50000);
	}
	if (strcmp(kind, "empty")) {
		work[0] = (struct work){ .seed = chance(), .greatest = greatest };
		churn(&work[0]);
	}
	pthread_barrier_wait(&ready);
	struct mallinfo2 (*ask)(void) = (struct mallinfo2(*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
	struct mallinfo2 info = { 0 };
	if (ask) {
		info = ask();
	} else {
		struct mallinfo (*old)(void) = (struct mallinfo(*)(void))dlsym(RTLD_DEFAULT, "mallinfo");
		struct mallinfo narrow = old();
		info = (struct mallinfo2){ narrow.arena, narrow.ordblks, narrow.smblks, narrow.hblks, narrow.hblkhd,
			narrow.usmblks, narrow.fsmblks, narrow.uordblks, narrow.fordblks, narrow.keepcost };
	}
	printf("%zu %zu %zu %zu %zu %zu %zu %zu %zu %zu\n", info.arena, info.ordblks, info.smblks, info.hblks,
		info.hblkhd, info.usmblks, info.fsmblks, info.uordblks, info.fordblks, info.keepcost);
	fflush(stdout);
	char byte;
	if (read(0, &byte, 1) < 0)
		return 1;
	long before = resident();
	void *end = sbrk(0);
	malloc_trim(0);
	long after = resident();
	printf("%ld %ld\n", before - after, (long)((char *)end - (char *)sbrk(0)));
	fflush(stdout);
	FILE *memory = fmemopen(told, sizeof told, "w");
	malloc_info(0, memory);
	fclose(memory);
	_exit(0);
}
