/* Says that it has more rights than its caller, as the kernel would, before it calls malloc for the first time. */
#include <elf.h>
#include <stdlib.h>

extern char **environ;

int main(void)
{
    char **end = environ;
    while (*end)
        end++;
    for (Elf64_auxv_t *entry = (Elf64_auxv_t *)(end + 1); entry->a_type != AT_NULL; entry++)
        if (entry->a_type == AT_SECURE)
            entry->a_un.a_val = 1;
    for (int i = 0; i < 100; i++)
        free(malloc(100));
    return 6;
}
