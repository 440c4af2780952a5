#include "sss_eigen.h"
#include "sss_subspace.h"

#include <lapacke.h>
#include <string.h>

/* Of dsyevr: blocks of 64 for the reduction to a tridiagonal matrix; 10 n integers, and 2 n for its
 * supports. */
size_t sss_eigen_work(size_t order) { return (64 + 6) * order; }
size_t sss_eigen_integers(size_t order) { return 12 * order; }

/* The last vectors and values of ascending ones first. */
static void descend(double *vectors, double *values, int count, int order)
{
    for (int low = 0, high = count - 1; low < high; low++, high--) {
        double *a = vectors + (size_t)low * (size_t)order,
               *b = vectors + (size_t)high * (size_t)order;
        double value = values[low];
        values[low] = values[high];
        values[high] = value;
        for (int j = 0; j < order; j++) {
            double entry = a[j];
            a[j] = b[j];
            b[j] = entry;
        }
    }
}

/* Inverse iteration, which LAPACK takes for some of the vectors, makes close ones orthogonal one by
 * one: it is for few of them. */
enum sn_status sss_eigen(double *a, int order, int wanted, double *values, double *vectors,
                         double *work, int *integers, struct sn_error *error)
{
    enum { LARGE = 1024, FEW = 6 };
    int some = order > LARGE && wanted <= order / FEW, found = 0;
    enum sn_status status = SN_OK;
    if (some) status = sss_subspace(a, order, wanted, values, vectors, &found, error);
    if (status || found) return status;
    /* Upper in row-major is lower in column-major, where eigenvectors come out as columns: our
     * rows. */
    int count = some ? wanted : order;
    if (LAPACKE_dsyevr_work(LAPACK_COL_MAJOR, 'V', some ? 'I' : 'A', 'L', order, a, order, 0, 0,
                            order - count + 1, order, 0, &found, values, vectors, order,
                            integers + 10 * (size_t)order, work,
                            (lapack_int)sss_eigen_work((size_t)order), integers, 10 * order)
        || found < count)
        return sn_fail(error, SN_BAD_INPUT, "the eigenvalues of a %d x %d matrix did not converge",
                       order, order);
    descend(vectors, values, count, order);
    return SN_OK;
}
