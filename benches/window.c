/* A program whose heap is worth looking at: `window CALLS`.

   Sizes as programs ask for them, most of them small; a live set that swells and shrinks, so that the
   program break goes up and down; some requests above the mmap threshold; some reallocations; and some
   thousands of stacks. The same calls every time. */
#include <stdint.h>
#include <stdlib.h>

#define SLOTS (1 << 16)

static void *slots[SLOTS];
static uint64_t state = 88172645463325252ull;

static uint32_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

static size_t request(uint32_t random)
{
    uint32_t kind = random & 1023, more = random >> 10;
    if (kind < 700) return 8 + more % 120;
    if (kind < 950) return 64 + more % 960;
    if (kind < 1015) return 1024 + more % 15360;
    if (kind < 1023) return 16384 + more % 114688;
    return 131072 + more % 1048576;
}

/* Two functions that call each other: the bits say which is next. */
static void *one(unsigned left, uint32_t bits, size_t bytes);
static void *other(unsigned left, uint32_t bits, size_t bytes);

#define FRAME(name)                                                                  \
    static __attribute__((noinline)) void *name(unsigned left, uint32_t bits, size_t bytes) \
    {                                                                                \
        void *payload = left == 0 ? malloc(bytes) : (bits & 1 ? one : other)(left - 1, bits >> 1, bytes); \
        __asm__ volatile("" : "+r"(payload));                                       \
        return payload;                                                              \
    }
FRAME(one)
FRAME(other)

int main(int count, char **arguments)
{
    uint64_t calls = count > 1 ? strtoull(arguments[1], 0, 10) : 1000000;
    for (uint64_t made = 0; made < calls;) {
        /* From an eighth of the slots to all of them and back, thirty-two times. */
        uint64_t wave = made * 32 * 2 / calls, within = made * 32 * 2 % calls * 7 / calls;
        uint32_t used = SLOTS / 8 * (1 + (wave % 2 ? 7 - within : within)) - 1;
        uint32_t random = next(), slot = next() & (SLOTS - 1);
        if (slots[slot] && (slot > used || random & 1)) {
            free(slots[slot]);
            slots[slot] = 0;
            made++;
        } else if (slots[slot] && (random & 14) == 0) {
            slots[slot] = realloc(slots[slot], request(next()));
            made++;
        } else if (!slots[slot] && slot <= used) {
            slots[slot] = one(4 + (random >> 8) % 8, random >> 16, request(next()));
            made++;
        }
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++) free(slots[slot]);
    return 0;
}
