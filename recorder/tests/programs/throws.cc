// Exceptions through frames that call malloc, and what operator new asks.
extern "C" {
#include "said.h"
}
#include <stdexcept>
#include <string>
#include <vector>

static int deep(int depth)
{
    std::vector<std::string> strings(3, std::string(100, 'x'));
    if (depth == 0)
        throw std::runtime_error("at the bottom");
    return deep(depth - 1) + static_cast<int>(strings.size());
}

int main(int, char **arguments)
{
    begin(arguments);
    int caught = 0;
    for (int i = 0; i < 200; i++) {
        try {
            deep(20);
        } catch (const std::exception &) {
            caught++;
        }
    }
    say("0 caught %d\n", caught);
    write_down();
    return 0;
}
