/* Calls every function of malloc(3) and looks at what it answers and leaves in errno. With an argument, those
 * must be there, too, that not every glibc has. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define check(condition) \
	do { \
		if (!(condition)) { \
			printf("line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
			return 1; \
		} \
	} while (0)

/* What the compiler does not know is not what it can optimize. */
static volatile size_t too_much = PTRDIFF_MAX, zero = 0, one = 1;

__attribute__((weak)) void cfree(void *);
__attribute__((weak)) void free_sized(void *, size_t);
__attribute__((weak)) void free_aligned_sized(void *, size_t, size_t);

static int is_zero(const char *bytes, size_t length)
{
	while (length--)
		if (bytes[length])
			return 0;
	return 1;
}

static int plain(void)
{
	char *a = malloc(100), *b, *c;
	check(a && (uintptr_t)a % 16 == 0 && malloc_usable_size(a) >= 100);
	memset(a, 0xaa, 100);
	free(a);
	b = malloc(104);
	check(a == b);
	check((c = malloc(zero)) && malloc_usable_size(c) == 24);
	free(c);
	errno = 0;
	check(!malloc(too_much + 1) && errno == ENOMEM);
	errno = 77;
	free(b);
	free(NULL);
	check(errno == 77);
	check(malloc_usable_size(NULL) == 0);
	return 0;
}

static int cleared(void)
{
	char *dirty = malloc(3000), *clean;
	memset(dirty, 0xaa, 3000);
	char *fence = malloc(16);
	free(dirty);
	check((clean = calloc(30, 100)) && is_zero(clean, 3000));
	free(clean);
	free(fence);
	check((clean = calloc(1000, 1000)) && is_zero(clean, 1000000));
	free(clean);
	errno = 0;
	check(!calloc(SIZE_MAX / 2 + one, 3) && errno == ENOMEM);
	return 0;
}

static int moved(void)
{
	char *a = realloc(NULL, 50);
	check(a);
	strcpy(a, "what lies here moves along");
	for (size_t size = 100; size < 3000000; size *= 3) {
		check((a = realloc(a, size)));
		check(!strcmp(a, "what lies here moves along"));
	}
	errno = 0;
	check(!realloc(a, too_much + 1) && errno == ENOMEM);
	check(!strcmp(a, "what lies here moves along"));
	check((a = realloc(a, 40)) && !strcmp(a, "what lies here moves along"));
	errno = 0;
	check(!reallocarray(a, too_much, 3) && errno == ENOMEM);
	check((a = reallocarray(a, 10, 10)) && !strcmp(a, "what lies here moves along"));
	errno = 77;
	check(!realloc(a, zero) && errno == 77);
	return 0;
}

static int aligned(void)
{
	void *at;
	for (size_t alignment = 8; alignment <= 1 << 22; alignment *= 2) {
		check((at = memalign(alignment, 100)) && (uintptr_t)at % alignment == 0);
		memset(at, 1, 100);
		cfree ? cfree(at) : free(at);
		check((at = aligned_alloc(alignment, alignment)) && (uintptr_t)at % alignment == 0);
		free_aligned_sized ? free_aligned_sized(at, alignment, alignment) : free(at);
		errno = 77;
		check(!posix_memalign(&at, alignment, 200000) && (uintptr_t)at % alignment == 0 && errno == 77);
		memset(at, 1, 200000);
		free(at);
	}
	at = &at;
	errno = 77;
	check(posix_memalign(&at, 4, 8) == EINVAL && posix_memalign(&at, 24, 8) == EINVAL);
	check(posix_memalign(&at, 0 * one, 8) == EINVAL && errno == 77 && at == &at);
	check(posix_memalign(&at, 64, too_much) == ENOMEM && at == &at);
	errno = 0;
	check(!memalign(SIZE_MAX / 2 + 1 + one, 8) && errno == EINVAL);
	errno = 0;
	check(!memalign(64, too_much) && errno == ENOMEM);
	check((at = valloc(10)) && (uintptr_t)at % 4096 == 0);
	free_sized ? free_sized(at, 10) : free(at);
	check((at = pvalloc(4097)) && (uintptr_t)at % 4096 == 0 && malloc_usable_size(at) >= 8192);
	free(at);
	errno = 0;
	check(!pvalloc(SIZE_MAX - 100 * one) && errno == ENOMEM);
	return 0;
}

static int told(void)
{
	void *at[50];
	for (int i = 0; i < 50; i++)
		at[i] = malloc(100000);
	for (int i = 0; i < 49; i++)
		free(at[i]);
	check(mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1);
	free(at[49]);
	check(malloc_trim(0) == 1);
	check(mallopt(M_MMAP_THRESHOLD, 1 << 16) == 1);
	struct mallinfo2 before = mallinfo2();
	at[0] = malloc(8 << 20);
	struct mallinfo2 after = mallinfo2();
	check(after.hblks == before.hblks + 1 && after.hblkhd == before.hblkhd + (8 << 20) + 4096);
	check(mallinfo().hblks == (int)after.hblks && after.arena > 0 && after.uordblks > 0);
	free(at[0]);
	char *text = NULL;
	size_t length = 0;
	FILE *memory = open_memstream(&text, &length);
	check(malloc_info(1, memory) == EINVAL);
	check(malloc_info(0, memory) == 0 && fclose(memory) == 0);
	check(strstr(text, "<malloc version=\"1\">") == text && strstr(text, "</malloc>"));
	check(strstr(text, "type=\"mmap\""));
	free(text);
	/* It goes to the stream stderr, wherever that leads. */
	FILE *real = stderr;
	stderr = open_memstream(&text, &length);
	malloc_stats();
	fclose(stderr);
	stderr = real;
	check(strstr(text, "Arena 0:\nsystem bytes     =") == text && strstr(text, "Total (incl. mmap):\n"));
	free(text);
	return 0;
}

int main(int count, char **arguments)
{
	(void)arguments;
	check(count == 1 || (cfree && free_sized && free_aligned_sized));
	if (plain() || cleared() || moved() || aligned() || told())
		return 1;
	puts("all is well");
	return 0;
}
