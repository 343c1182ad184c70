// Eight threads that do all at once what a recorder that comes and goes could break: they allocate, load and
// unload a library, fork, throw. Until standard input ends, or so many rounds; says "fine" if nothing was wrong.
#include <dlfcn.h>
#include <pthread.h>
#include <stdexcept>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

static volatile bool is_over;
static volatile bool is_wrong;
static const char *library;

static void wrong(const char *what)
{
    is_wrong = true;
    fprintf(stderr, "wrong: %s\n", what);
}

static int fall(int depth)
{
    std::vector<std::string> strings(3, std::string(100, 'x'));
    if (depth == 0)
        throw std::runtime_error("at the bottom");
    return fall(depth - 1) + static_cast<int>(strings.size());
}

static void allocate(unsigned *state)
{
    unsigned char *held[32] = {};
    for (int i = 0; i < 400; i++) {
        *state = *state * 1664525 + 1013904223;
        unsigned place = (*state >> 8) % 32, size = (*state >> 13) % 3000 + 1;
        if (held[place] && held[place][0] != place)
            wrong("memory was written to");
        if (*state >> 31) {
            held[place] = static_cast<unsigned char *>(realloc(held[place], size));
        } else {
            free(held[place]);
            held[place] = static_cast<unsigned char *>(*state & 64 ? calloc(1, size) : malloc(size));
        }
        held[place][0] = static_cast<unsigned char>(place);
    }
    for (unsigned char *one : held)
        free(one);
}

static void load()
{
    void *handle = dlopen(library, RTLD_NOW);
    if (!handle)
        return wrong(dlerror());
    auto call = reinterpret_cast<void *(*)(size_t)>(dlsym(handle, "allocate_in_library"));
    free(call(100));
    dlclose(handle);
}

static void multiply()
{
    pid_t child = fork();
    if (child == 0) {
        void *one = malloc(77);
        free(one);
        _exit(one ? 7 : 8);
    }
    int status = 0;
    if (child > 0 && (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7))
        wrong("a child did not end as it should");
}

static void *hustle(void *number)
{
    unsigned long which = reinterpret_cast<unsigned long>(number);
    unsigned state = static_cast<unsigned>(which * 7919 + 1);
    for (unsigned long round = 0; !is_over; round++) {
        allocate(&state);
        if (which % 4 == 1 && round % 8 == 0)
            load();
        if (which % 4 == 2 && round % 32 == 0)
            multiply();
        if (which % 4 == 3) {
            try {
                fall(10);
                wrong("nothing was thrown");
            } catch (const std::exception &) {
            }
        }
    }
    return nullptr;
}

int main(int, char **arguments)
{
    library = arguments[1];
    pthread_t all[8];
    for (unsigned long i = 0; i < 8; i++)
        pthread_create(&all[i], nullptr, hustle, reinterpret_cast<void *>(i));
    printf("ready\n");
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0)
        ;
    is_over = true;
    for (pthread_t one : all)
        pthread_join(one, nullptr);
    printf("%s\n", is_wrong ? "wrong" : "fine");
    return is_wrong;
}
