/* Parallel regions of one thread, without a team.
 *
 * "if (threads > 1)" on a parallel region makes GCC call GOMP_parallel for one thread: the runtime then allocates a team and
 * frees it again, a quarter of a microsecond around kernels that often take less. This definition, which every module with
 * kernels links for itself, calls the body at once; everything else is what libgomp's own function does. Inside a region
 * (level > 0) the runtime is asked as before, since the body may ask for its thread's number. */
#if defined(_OPENMP) && defined(__GNUC__) && !defined(__clang__)
#include <omp.h>

void GOMP_parallel_start(void (*body)(void *), void *data, unsigned threads);
void GOMP_parallel_end(void);
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);

void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags) {
    (void)flags;                                          /* proc_bind, which nothing here uses */
    if (threads == 1 && omp_get_level() == 0) { body(data); return; }
    GOMP_parallel_start(body, data, threads);
    body(data);
    GOMP_parallel_end();
}
#else
typedef int rt_no_region;
#endif
