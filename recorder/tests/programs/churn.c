/* Many threads, a few at a time: stacks and thread pointers are used again and again. Destructors and
   thread-local clean-up call malloc after everything else. */
#include "said.h"

static pthread_key_t key;

static void last_words(void *value)
{
    do_free(value);
    do_free(do_malloc(70));
}

static void *work(void *unused)
{
    (void)unused;
    pthread_setspecific(key, do_malloc(33));
    do_free(do_malloc(50));
    return NULL;
}

int main(int count, char **arguments)
{
    int batches = count > 2 ? atoi(arguments[2]) : 200;
    int at_once = count > 3 ? atoi(arguments[3]) : 8;
    pthread_t *thread = calloc((size_t)at_once, sizeof *thread);
    pthread_attr_t small;
    begin(arguments);
    pthread_key_create(&key, last_words);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    for (int i = 0; i < batches; i++) {
        int made = 0;
        while (made < at_once && pthread_create(&thread[made], &small, work, NULL) == 0)
            made++;
        for (int j = 0; j < made; j++)
            pthread_join(thread[j], NULL);
    }
    write_down();
    return 0;
}
