/* Plays one scene of misuse.txt against the C library, which prints what it finds and aborts.
 *
 *   misuse FILE SCENE
 *   misuse            prints the C library's version
 *
 * The first eight bytes it writes are where the program break was at first.
 *
 * It begins without the C runtime's help, so that one build runs with older C libraries too, and never
 * allocates but where the scene does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n\thlt");

/* mallinfo is deprecated, and that is what we want to see. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static char *slots[64];

/* Where the program break was at first. */
static uint64_t start;

static void fail(const char *why)
{
	(void)!write(2, why, strlen(why));
	_exit(2);
}

/* The C library mangles links since 2.32. */
static uint64_t mangled(uint64_t *at, uint64_t link)
{
	int mangles = strcmp(gnu_get_libc_version(), "2.32") >= 0;
	return mangles ? link ^ (uint64_t)at >> 12 : link;
}

/* A page that the program break cannot pass, so far above where it was at first. */
static void wall(uint64_t bytes)
{
	void *at = (void *)((start + bytes) & -4096UL);
	if (mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("the wall could not be put\n");
}

static void make(const char *name, char *rest)
{
	int64_t number[4];
	for (int i = 0; i < 4; i++)
		number[i] = strtoull(rest, &rest, 0);
	char **slot = &slots[number[0] & 63];
	uint64_t *word = (uint64_t *)(*slot + number[1]);
	char *other = slots[number[2] & 63];
#define IS(word) (strcmp(name, word) == 0)
	if (IS("malloc"))
		*slot = malloc(number[1]);
	else if (IS("realloc"))
		*slot = realloc(*slot, number[1]);
	else if (IS("free"))
		free(*slot);
	else if (IS("point"))
		*slot = slots[number[1] & 63] + number[2];
	else if (IS("page"))
		*slot = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	else if (IS("store"))
		*word = number[2];
	else if (IS("add"))
		*word += number[2];
	else if (IS("copy"))
		*word = *(uint64_t *)(other + number[3]);
	else if (IS("link"))
		*word = (uint64_t)(other + number[3]);
	else if (IS("mangle"))
		*word = mangled(word, (uint64_t)(other + number[3]));
	else if (IS("mallinfo"))
		(void)mallinfo();
	else if (IS("usable"))
		(void)malloc_usable_size(*slot);
	else if (IS("sbrk"))
		sbrk(number[0]);
	else if (IS("wall"))
		wall(number[0]);
	else
		fail("the scene has a line that is not known\n");
}

static void play(char *text, const char *scene)
{
	int plays = 0;
	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		char *rest = line + strcspn(line, " ");
		if (*rest)
			*rest++ = 0;
		if (strcmp(line, "scene") == 0)
			plays = strcmp(rest, scene) == 0;
		else if (plays && *line && *line != '#' && strcmp(line, "set"))
			make(line, rest);
	}
}

__attribute__((used)) static void begin(long *stack)
{
	static char text[1 << 16];
	char **arguments = (char **)(stack + 1);
	if (stack[0] != 3) {
		const char *version = gnu_get_libc_version();
		(void)!write(1, version, strlen(version));
		_exit(0);
	}
	int file = open(arguments[1], O_RDONLY);
	if (file < 0 || read(file, text, sizeof text - 1) <= 0)
		fail("the scenes cannot be read\n");
	close(file);
	prctl(PR_SET_DUMPABLE, 0);
	/* A list that goes round keeps some releases busy for ever. */
	alarm(2);
	start = syscall(SYS_brk, 0);
	(void)!write(1, &start, sizeof start);
	play(text, arguments[2]);
	_exit(0);
}
