#include "psm_order.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

/* similarity[i, l] = sum_j w_ij^2 w_lj^2: how much of their energy two rows have in the same
 * columns. */
static void row_similarity(const float *w, int m, int n, float *squares, float *similarity)
{
    for (size_t i = 0; i < (size_t)m * (size_t)n; i++) squares[i] = w[i] * w[i];
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, m, n, 1, squares, n, 0, similarity, m);
    for (size_t i = 0; i < (size_t)m; i++)
        for (size_t l = 0; l < i; l++)
            similarity[i * (size_t)m + l] = similarity[l * (size_t)m + i];
}

/* Groups of block rows, one after the other: the row of most energy that is left, then those which
 * agree best with the group so far. The last rows make the group that is not whole. */
static void group_rows(const float *similarity, int m, int block, uint32_t *order, char *taken)
{
    for (int i = 0; i < m; i++) {
        int start = i / block * block, best = -1;
        float most = -1;
        for (int l = 0; l < m; l++) {
            if (taken[l]) continue;
            float sum = start == i ? similarity[(size_t)l * (size_t)m + (size_t)l] : 0;
            for (int k = start; k < i; k++)
                sum += similarity[(size_t)order[k] * (size_t)m + (size_t)l];
            if (sum > most) most = sum, best = l;
        }
        taken[best] = 1;
        order[i] = (uint32_t)best;
    }
}

enum sn_status psm_order_rows(float *w, int m, int n, int block, uint32_t *order,
                              struct sn_error *error)
{
    size_t rows = (size_t)m, columns = (size_t)n;
    float *squares = malloc(rows * columns * sizeof *squares),
          *similarity = malloc(rows * rows * sizeof *similarity);
    char *taken = calloc(rows, 1);
    enum sn_status status = SN_OK;
    if (!squares || !similarity || !taken) status = sn_no_memory(error, "a PSM approximation");
    else {
        row_similarity(w, m, n, squares, similarity);
        group_rows(similarity, m, block, order, taken);
        memcpy(squares, w, rows * columns * sizeof *w);
        for (size_t i = 0; i < rows; i++)
            memcpy(w + i * columns, squares + order[i] * columns, columns * sizeof *w);
    }
    free(squares);
    free(similarity);
    free(taken);
    return status;
}
