#include "panels.h"

#include <pthread.h>
#include <stdatomic.h>

enum { MOST_THREADS = 64 };

static int n_threads;
static _Thread_local int is_within; /* a task */

int sn_threads(void) { return n_threads; }

void sn_threads_set(int n) { n_threads = n < MOST_THREADS ? n : MOST_THREADS; }

struct team {
    size_t n;
    atomic_size_t next;
    void (*task)(void *context, size_t i);
    void *context;
};

static void *work(void *argument)
{
    struct team *team = argument;
    is_within = 1;
    for (size_t i; (i = atomic_fetch_add(&team->next, 1)) < team->n;) team->task(team->context, i);
    is_within = 0;
    return NULL;
}

/* A thread that cannot be started leaves its part to the others. */
void sn_tasks(size_t n, void (*task)(void *context, size_t i), void *context)
{
    struct team team = { .n = n, .task = task, .context = context };
    pthread_t threads[MOST_THREADS];
    int n_started = 0;
    if (n < 2 || n_threads < 2 || is_within) {
        for (size_t i = 0; i < n; i++) task(context, i);
        return;
    }
    while (n_started < n_threads - 1 && (size_t)n_started < n - 1
           && !pthread_create(&threads[n_started], NULL, work, &team))
        n_started++;
    work(&team);
    while (n_started) pthread_join(threads[--n_started], NULL);
}

struct panels {
    size_t n, size;
    void (*panel)(void *context, size_t first, size_t count);
    void *context;
};

static void run_panel(void *argument, size_t i)
{
    const struct panels *panels = argument;
    size_t first = i * panels->size, left = panels->n - first;
    panels->panel(panels->context, first, left < panels->size ? left : panels->size);
}

void sn_panels(size_t n, double multiply_adds,
               void (*panel)(void *context, size_t first, size_t count), void *context)
{
    enum { MOST = 256, MULTIPLE = 16 };
    size_t count = (n + MOST - 1) / MOST;
    if (!n_threads || multiply_adds < 0x1p31 || count < 2) {
        panel(context, 0, n);
        return;
    }
    size_t size = ((n + count - 1) / count + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
    struct panels panels = { n, size, panel, context };
    sn_tasks((n + size - 1) / size, run_panel, &panels);
}
