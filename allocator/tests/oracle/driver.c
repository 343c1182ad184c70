/* Makes the calls of a script to the C library's malloc and says where every chunk landed.
 *
 *   driver [-b BYTES] [-h] [-w BYTES] [-s BYTES] [-k] [-i] SCRIPT
 *     -b  move the program break by so many bytes before the first call
 *     -h  move it to the beginning of a huge page before that
 *     -s  a segment is so long, not 64 MiB, or 1 MiB where words have 32 bits
 *     -w  put a wall across the break's way, so far above its beginning
 *     -k  print nothing, but mark every call for strace: write(-1, INDEX), and before the first
 *         write(-1, "break ADDRESS")
 *     -i  print instead what malloc_info, malloc_stats, mallinfo and mallinfo2 say after the last call
 *   driver -v  print the C library's version
 *
 * If the C library aborts, the lines of all calls before are there, and the program ends with 134.
 *
 * The first line is not of a call: `# OFFSET`, where in its page the program break was.
 * The lines are described in ../../../replayer/src/placements.rs, the script in ../../../traces/src/ops.
 * What is watched must not be disturbed: between the first call and the last nothing here allocates,
 * and threads are handed a baton, so that exactly one is running, in the script's order. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
/* One program for every C library since 2.17: it asks for the oldest versions of what it calls, and
 * starts by itself, since what compilers put in front asks for new ones. */
__asm__(".symver __libc_start_main, __libc_start_main@GLIBC_2.2.5\n"
	".symver dlsym, dlsym@GLIBC_2.2.5\n"
	".symver pthread_attr_setstacksize, pthread_attr_setstacksize@GLIBC_2.2.5\n"
	".symver pthread_create, pthread_create@GLIBC_2.2.5\n"
	".symver pthread_join, pthread_join@GLIBC_2.2.5\n"
	".globl _start\n"
	"_start: xor %ebp, %ebp\n"
	"mov %rdx, %r9\n"
	"pop %rsi\n"
	"mov %rsp, %rdx\n"
	"and $-16, %rsp\n"
	"push %rax\n"
	"push %rsp\n"
	"xor %r8d, %r8d\n"
	"xor %ecx, %ecx\n"
	"lea main(%rip), %rdi\n"
	"call *__libc_start_main@GOTPCREL(%rip)\n"
	"hlt\n");
#elif defined __i386__
/* The same, since 2.3.2. */
__asm__(".symver __libc_start_main, __libc_start_main@GLIBC_2.0\n"
	".symver dlsym, dlsym@GLIBC_2.0\n"
	".symver pthread_attr_setstacksize, pthread_attr_setstacksize@GLIBC_2.1\n"
	".symver pthread_create, pthread_create@GLIBC_2.1\n"
	".symver pthread_join, pthread_join@GLIBC_2.0\n"
	".globl _start\n"
	"_start: xor %ebp, %ebp\n"
	"pop %esi\n"
	"mov %esp, %ecx\n"
	"and $-16, %esp\n"
	"push %eax\n"
	"push %esp\n"
	"push %edx\n"
	"call 1f\n"
	"1: pop %ebx\n"
	"add $_GLOBAL_OFFSET_TABLE_+(.-1b), %ebx\n"
	"push $0\n"
	"push $0\n"
	"push %ecx\n"
	"push %esi\n"
	"lea main@GOTOFF(%ebx), %eax\n"
	"push %eax\n"
	"call *__libc_start_main@GOT(%ebx)\n"
	"hlt\n");
/* What compilers put in front says with this that the program is not from before glibc 2.1, whose streams
 * have buffers from malloc. */
const int _IO_stdin_used = 0x20001;
#endif

enum { THREADS = 512, SEGMENTS = 4096 };
static uintptr_t segment_bytes = sizeof(long) == 8 ? 64UL << 20 : 1UL << 20;
static const size_t STACK = 256 << 10;
static const uintptr_t HUGE_PAGE = 2 << 20;

typedef struct {
	unsigned thread;
	const char *name;
	uint64_t number[3];
} Call;

static Call *calls;
static size_t call_count;
static void **slots;
static uintptr_t initial_break;
static int marks, asks;

/* The program break: where it is (0), or shall be. The C library is not asked, which would learn it. */
static uintptr_t kernel_break(uintptr_t to)
{
	return syscall(SYS_brk, to);
}

static void *zeroed(size_t bytes)
{
	void *at = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED) {
		static const char text[] = "driver: no memory\n";
		(void)!write(2, text, sizeof text - 1);
		_exit(2);
	}
	return at;
}

static void fail(const char *why)
{
	(void)!write(2, "driver: ", 8);
	(void)!write(2, why, strlen(why));
	(void)!write(2, "\n", 1);
	_exit(2);
}

/* ---- The script. */

static uint64_t number(char **at)
{
	while (**at == ' ')
		++*at;
	if (**at != '-' && (**at < '0' || **at > '9'))
		return 0;
	/* strtoull takes a sign, and reads hexadecimal; it does not allocate. */
	return strtoull(*at, at, 0);
}

static void read_script(const char *path)
{
	int file = open(path, O_RDONLY);
	off_t end = lseek(file, 0, SEEK_END);
	if (end < 0 || lseek(file, 0, SEEK_SET) != 0)
		fail("the script cannot be opened");
	size_t length = end, lines = 1, slot_count = 1;
	char *text = zeroed(length + 1);
	for (size_t done = 0; done < length;) {
		ssize_t got = read(file, text + done, length - done);
		if (got <= 0)
			fail("the script cannot be read");
		done += got;
	}
	close(file);
	for (size_t i = 0; i < length; i++)
		lines += text[i] == '\n';
	calls = zeroed(lines * sizeof *calls);
	for (char *line = text, *next; line < text + length; line = next) {
		next = memchr(line, '\n', text + length - line);
		next = next ? next : text + length;
		*next++ = 0;
		if (strchr(line, '#'))
			*strchr(line, '#') = 0;
		char *at = line + strspn(line, " ");
		if (!*at)
			continue;
		Call *call = &calls[call_count++];
		call->thread = number(&at);
		call->name = at += strspn(at, " ");
		at += strcspn(at, " ");
		if (*at)
			*at++ = 0;
		for (int i = 0; i < 3; i++)
			call->number[i] = number(&at);
		if (call->thread >= THREADS)
			fail("too many threads");
		if (strcmp(call->name, "trim") && strcmp(call->name, "mallopt") && strcmp(call->name, "sbrk") &&
		    call->number[0] >= slot_count)
			slot_count = call->number[0] + 1;
	}
	slots = zeroed(slot_count * sizeof *slots);
}

/* ---- The lines. */

static char out[1 << 16];
static size_t out_length;

static void flush(void)
{
	for (size_t done = 0; done < out_length;) {
		ssize_t wrote = write(1, out + done, out_length - done);
		if (wrote <= 0)
			_exit(3);
		done += wrote;
	}
	out_length = 0;
}

/* snprintf with integers and strings does not allocate either. */
static void print(const char *format, ...)
{
	va_list arguments;
	if (out_length + 256 > sizeof out)
		flush();
	va_start(arguments, format);
	out_length += vsnprintf(out + out_length, 256, format, arguments);
	va_end(arguments);
}

typedef struct {
	uintptr_t seen[SEGMENTS];
	int count;
} Numbers;

/* The place of a value among those seen so far, from 1. */
static int ordinal(Numbers *numbers, uintptr_t value)
{
	for (int i = 0; i < numbers->count; i++)
		if (numbers->seen[i] == value)
			return i + 1;
	if (numbers->count == SEGMENTS)
		fail("too many segments");
	numbers->seen[numbers->count] = value;
	return ++numbers->count;
}

static void print_place(uintptr_t payload)
{
	static Numbers arenas, segments;
	static uintptr_t first_outside;
	size_t previous = ((size_t *)payload)[-2], head = ((size_t *)payload)[-1];
	if (head & 2) {
		print("M+%zx/%lx", previous, (unsigned long)payload % 4096);
	} else if (head & 4) {
		uintptr_t segment = payload & ~(segment_bytes - 1);
		int arena = ordinal(&arenas, *(uintptr_t *)segment);
		print("a%d.h%d+%lx", arena, ordinal(&segments, segment), (unsigned long)(payload - segment));
	} else if (payload >= initial_break && payload < kernel_break(0)) {
		print("m+%lx", (unsigned long)(payload - initial_break));
	} else {
		first_outside = first_outside ? first_outside : payload;
		int below = payload < first_outside;
		print("F+%s%lx", below ? "-" : "",
		      (unsigned long)(below ? first_outside - payload : payload - first_outside));
	}
	print(" %zx", head);
}

static void print_break(void)
{
	print(" %lx", (unsigned long)(kernel_break(0) - initial_break));
}

static void tell_pointer(size_t index, const Call *call, void *payload, int error)
{
	if (marks || asks)
		return;
	print("%zu %s ", index, call->name);
	if (payload)
		print_place((uintptr_t)payload);
	else
		print("0 0");
	print_break();
	if (payload)
		print("\n");
	else
		print(" E%d\n", error);
}

static void tell_number(size_t index, const Call *call, uint64_t result)
{
	if (marks || asks)
		return;
	print("%zu %s - %lx", index, call->name, (unsigned long)result);
	print_break();
	print("\n");
}

/* ---- The calls. */

static pthread_t threads[THREADS];
static void *thread_main(void *);

static int spawn(uint64_t thread)
{
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK);
	return pthread_create(&threads[thread], &attributes, thread_main, (void *)(uintptr_t)thread);
}

/* Tells whoever traces our system calls what comes next. */
static void mark(const char *format, size_t number)
{
	char text[32];
	if (marks)
		(void)!write(-1, text, snprintf(text, sizeof text, format, number));
}

static void make(size_t index)
{
	const Call *call = &calls[index];
	const char *name = call->name;
	uint64_t first = call->number[0], second = call->number[1], third = call->number[2];
	void *got = NULL;
	mark("%zu", index);
	errno = 0;
#define IS(word) (strcmp(name, word) == 0)
	if (IS("malloc"))
		got = malloc(second);
	else if (IS("calloc"))
		got = calloc(1, second);
	else if (IS("valloc"))
		got = valloc(second);
	else if (IS("pvalloc"))
		got = pvalloc(second);
	else if (IS("memalign"))
		got = memalign(second, third);
	else if (IS("aligned_alloc"))
		got = aligned_alloc(second, third);
	else if (IS("posix_memalign")) {
		int error = posix_memalign(&got, second, third);
		got = error ? NULL : got;
		errno = error;
	} else if (IS("realloc")) {
		got = realloc(slots[first], second);
		if (!got && second) {
			tell_pointer(index, call, NULL, errno);
			return;
		}
	} else if (IS("free")) {
		free(slots[first]);
		slots[first] = NULL;
		tell_number(index, call, 0);
		return;
	} else {
		uint64_t result = IS("trim") ? (uint64_t)malloc_trim(first)
			: IS("mallopt") ? (uint64_t)mallopt((int)first, (int)second)
			: IS("sbrk") ? (uint64_t)(sbrk((intptr_t)first) == (void *)-1)
			: IS("usable") ? malloc_usable_size(slots[first])
			: IS("spawn") ? (uint64_t)spawn(first)
			: (fail("the script has a call that is not known"), 0);
		tell_number(index, call, result);
		return;
	}
	int error = errno;
	slots[first] = got;
	tell_pointer(index, call, got, error);
}

/* ---- What malloc says of itself. */

/* What mallinfo2 returns, which there is since 2.33. */
typedef struct {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
} Wide;

#define FIELDS(DO) \
	DO(arena) DO(ordblks) DO(smblks) DO(hblks) DO(hblkhd) DO(usmblks) DO(fsmblks) DO(uordblks) DO(fordblks) DO(keepcost)

/* mallinfo is deprecated, and that is what we want to see. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void ask(void)
{
	/* A stream without a buffer of its own would allocate one. Both go the same way, for their order. */
	static char buffer[1 << 16];
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	if (dup2(1, 2) != 2)
		fail("there is no second stream");
	malloc_info(0, stdout);
	fflush(stdout);
	malloc_stats();
	struct mallinfo narrow = mallinfo();
#define PRINT(field) printf("mallinfo." #field " = %d\n", narrow.field);
	FIELDS(PRINT)
#undef PRINT
	fflush(stdout);
	/* Last, since not to find something allocates. */
	Wide (*ask_wide)(void) = (Wide (*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
	if (ask_wide) {
		Wide wide = ask_wide();
#define PRINT(field) printf("mallinfo2." #field " = %zu\n", wide.field);
		FIELDS(PRINT)
#undef PRINT
	}
	fflush(stdout);
}

/* ---- The baton. */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t passed = PTHREAD_COND_INITIALIZER;
static unsigned holder;
static int leaves[THREADS];
static size_t next_call;

static void pass_to(unsigned thread)
{
	pthread_mutex_lock(&lock);
	holder = thread;
	pthread_cond_broadcast(&passed);
	pthread_mutex_unlock(&lock);
}

static void wait_for_baton(unsigned thread)
{
	pthread_mutex_lock(&lock);
	while (holder != thread)
		pthread_cond_wait(&passed, &lock);
	pthread_mutex_unlock(&lock);
}

static void join(size_t index, unsigned joiner)
{
	uint64_t thread = calls[index].number[0];
	mark("%zu", index);
	leaves[thread] = 1;
	pass_to(thread);
	/* The thread has given everything back when this returns. */
	pthread_join(threads[thread], NULL);
	leaves[thread] = 0;
	holder = joiner;
	tell_number(index, &calls[index], 0);
}

static void run(unsigned thread)
{
	for (;;) {
		wait_for_baton(thread);
		if (leaves[thread])
			return;
		while (next_call < call_count && calls[next_call].thread == thread) {
			size_t index = next_call++;
			if (strcmp(calls[index].name, "join") == 0)
				join(index, thread);
			else
				make(index);
		}
		if (next_call < call_count)
			pass_to(calls[next_call].thread);
		else if (thread == 0)
			return;
		else
			pass_to(0);
	}
}

static void *thread_main(void *thread)
{
	run((unsigned)(uintptr_t)thread);
	return NULL;
}

static void die(int signal)
{
	flush();
	_exit(128 + signal);
}

int main(int count, char **arguments)
{
	uint64_t offset = 0, wall = 0;
	int aligns = 0;
	for (int option; (option = getopt(count, arguments, "b:hw:s:kiv")) != -1;) {
		if (option == 'b')
			offset = strtoull(optarg, NULL, 0);
		else if (option == 'h')
			aligns = 1;
		else if (option == 's')
			segment_bytes = strtoull(optarg, NULL, 0);
		else if (option == 'w')
			wall = strtoull(optarg, NULL, 0);
		else if (option == 'k')
			marks = 1;
		else if (option == 'i')
			asks = 1;
		else if (option == 'v')
			return puts(gnu_get_libc_version()) < 0;
		else
			return 2;
	}
	if (optind + 1 != count)
		fail("exactly one script, please");
	initial_break = kernel_break(0);
	if (aligns)
		initial_break = (initial_break + HUGE_PAGE - 1) & -HUGE_PAGE;
	initial_break = kernel_break(initial_break + offset);
	print("# %lu\n", (unsigned long)(initial_break & 4095));
	read_script(arguments[optind]);
	void *at = (void *)((initial_break + (uintptr_t)wall) & -4096UL);
	if (wall && mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fail("the wall could not be put");
	if (kernel_break(0) != initial_break)
		fail("somebody allocated before the first call");
	mark("break %zx", initial_break);
	signal(SIGABRT, die);
	run(0);
	flush();
	if (asks)
		ask();
	_exit(0);
}
