/* What a test program did, said by itself: one line per call, written when the program is about to
   end, or at once after say_at_once(). Nothing here calls malloc.

   A program is run as `program FILE …`: what it says goes to FILE. Lines of one thread stay in its
   order; each begins with the thread's number, as gettid has it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOM (64 << 20)

static char said[ROOM];
static size_t said_length;
static const char *said_path;

static inline int thread_number(void) { return (int)syscall(SYS_gettid); }

/* Says a whole line, or more, at once: nothing another thread says comes in between. */
static inline void say_text(const char *text, size_t length)
{
    size_t at = __atomic_fetch_add(&said_length, length, __ATOMIC_RELAXED);
    if (at + length > ROOM)
        abort();
    memcpy(said + at, text, length);
}

/* Says a short line. */
__attribute__((format(printf, 1, 2)))
static inline void say(const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof line)
        abort();
    say_text(line, (size_t)length);
}

static inline void begin(char **arguments) { said_path = arguments[1]; }

/* Writes what was said so far, behind what is in the file already. */
static inline void write_down(void)
{
    int file = open(said_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    size_t length = __atomic_exchange_n(&said_length, 0, __ATOMIC_RELAXED);
    for (size_t at = 0; at < length;) {
        ssize_t wrote = write(file, said + at, length - at);
        if (wrote < 0)
            abort();
        at += (size_t)wrote;
    }
    close(file);
}

/* The functions, each saying what it does. */

static inline void *do_malloc(size_t request)
{
    void *payload = malloc(request);
    say("%d malloc %zu = %p\n", thread_number(), request, payload);
    return payload;
}

static inline void do_free(void *payload)
{
    say("%d free %p\n", thread_number(), payload);
    free(payload);
}

static inline void *do_calloc(size_t count, size_t size)
{
    void *payload = calloc(count, size);
    say("%d calloc %zu %zu = %p\n", thread_number(), count, size, payload);
    return payload;
}

static inline void *do_realloc(void *old, size_t request)
{
    size_t before = (size_t)old;
    void *payload = realloc(old, request);
    say("%d realloc %#zx %zu = %p\n", thread_number(), before, request, payload);
    return payload;
}
