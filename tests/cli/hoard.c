/* Keeps all that it is given: so many blocks. */
#include <stdlib.h>

int main(int count, char **arguments)
{
    long wanted = count > 1 ? atol(arguments[1]) : 0;
    for (long i = 0; i < wanted; i++)
        if (!malloc(24))
            return 1;
    return 7;
}
