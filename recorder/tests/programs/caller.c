/* A library with a function that calls another. Built with -DROOM=…, so that it is not the same twice. */
#ifndef ROOM
#define ROOM 8
#endif

void call(void (*function)(void));

void call(void (*function)(void))
{
    volatile char room[ROOM];
    room[0] = 1;
    for (int i = 0; i < room[0] * 2; i++)
        function();
    __asm__ volatile("" ::: "memory");
}
