/* Work on several processor cores, with results that do not depend on their number.
 *
 * OpenBLAS rounds a product differently when it shares it out between its threads, since sums at
 * the edges of a part are formed in another order. Here the parts depend on the sizes alone, and
 * each is one call of OpenBLAS with a single thread (openblas_set_num_threads(1)), which several
 * threads may make at the same time.
 *
 * Threads are started for each call and have ended when it returns, so that a process can fork
 * between calls; that takes some 20 us, so work comes in parts of a millisecond or more. Parts of
 * parts are done one after the other. */
#ifndef PANELS_H
#define PANELS_H

#include <stddef.h>

/* The number of threads, for the whole process, to be set while nothing else runs. At 0, where it
 * starts, nothing is cut into panels, and OpenBLAS may have threads of its own. */
void sn_threads_set(int n_threads);

/* The number that was set. */
int sn_threads(void);

/* Calls task(context, i) for i = 0 .. n-1, at the same time. */
void sn_tasks(size_t n, void (*task)(void *context, size_t i), void *context);

/* Calls panel(context, first, count) for consecutive parts of 0 .. n-1, at the same time: for all
 * at once where work, the multiply-adds of all, is less than 2^31, else for parts of at most 256,
 * as many as are needed, sizes multiples of 16 but for the last. */
void sn_panels(size_t n, double work, void (*panel)(void *context, size_t first, size_t count),
               void *context);

#endif
