#include "psm_divide.h"
#include "psm_atoms.h"

#include <stdlib.h>
#include <string.h>

/* S = A B, atom by atom. The last three have rows+columns elements, the rows' first. */
struct division {
    const struct psm_sparse *s;
    int inner;
    int divided;         /* whether any part of S was more than copied */
    float *left, *right; /* A^T (inner x rows), B (inner x columns) */
    int *part;           /* of each row and column: the first row that entries join it to */
    int *where;          /* their places in their parts */
    int *members;        /* the rows, then the columns, of one part */
};

static void division_free(struct division *d)
{
    free(d->left);
    free(d->right);
    free(d->part);
    free(d->where);
    free(d->members);
}

/* Appends more lines of zeros. */
static int lengthen(float **lines, int n_lines, int more, int length)
{
    size_t total = (size_t)n_lines + (size_t)more, size = (size_t)length * sizeof **lines;
    if (total > INT32_MAX || total + 1 > SIZE_MAX / size) return 0;
    float *longer = realloc(*lines, (total + 1) * size);
    if (!longer) return 0;
    *lines = longer;
    memset(longer + (size_t)n_lines * (size_t)length, 0, (size_t)more * size);
    return 1;
}

static int root_of(int *part, int i)
{
    while (part[i] != i) i = part[i] = part[part[i]];
    return i;
}

/* Joins the row and the column of every entry; the lower number leads. */
static void find_parts(const struct psm_sparse *s, int *part)
{
    int n = s->rows + s->columns;
    for (int i = 0; i < n; i++) part[i] = i;
    for (int i = 0; i < s->rows; i++)
        for (uint32_t q = s->start[i]; q < s->start[i + 1]; q++) {
            int a = root_of(part, i), b = root_of(part, s->rows + (int)s->column[q]);
            part[a > b ? a : b] = a > b ? b : a;
        }
    for (int i = 0; i < n; i++) part[i] = root_of(part, i);
}

static int division_new(struct division *d, const struct psm_sparse *s)
{
    size_t n = (size_t)s->rows + (size_t)s->columns;
    *d = (struct division){ .s = s };
    if (n > INT32_MAX) return 0;
    d->part = calloc(n, sizeof *d->part);
    d->where = malloc(n * sizeof *d->where);
    d->members = malloc(n * sizeof *d->members);
    if (!d->part || !d->where || !d->members || !lengthen(&d->left, 0, 0, s->rows)
        || !lengthen(&d->right, 0, 0, s->columns))
        return 0;
    find_parts(s, d->part);
    return 1;
}

/* Lists the members of a part. size receives its rows and columns. */
static void list_members(struct division *d, int part, int size[2])
{
    int count = 0, rows = d->s->rows, n = rows + d->s->columns;
    size[0] = 0;
    for (int i = 0; i < n; i++) {
        if (i == rows) size[0] = count;
        if (d->part[i] != part) continue;
        d->where[i] = count - (i < rows ? 0 : size[0]);
        d->members[count++] = i;
    }
    size[1] = count - size[0];
}

/* The part as a dense matrix, to be freed. */
static float *gather(const struct division *d, const int size[2])
{
    const struct psm_sparse *s = d->s;
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): a part has an entry. */
    float *dense = calloc((size_t)size[0] * (size_t)size[1], sizeof *dense);
    for (int k = 0; dense && k < size[0]; k++)
        for (uint32_t q = s->start[d->members[k]]; q < s->start[d->members[k] + 1]; q++)
            dense[(size_t)k * (size_t)size[1] + (size_t)d->where[s->rows + (int)s->column[q]]] =
                s->value[q];
    return dense;
}

/* The entry of atom p in row or column k of the part. */
static float *side_at(const struct division *d, const int size[2], int p, int k)
{
    const struct psm_sparse *s = d->s;
    size_t member = (size_t)d->members[k], atom = (size_t)p;
    return k < size[0] ? &d->left[atom * (size_t)s->rows + member]
                       : &d->right[atom * (size_t)s->columns + member - (size_t)s->rows];
}

/* Makes the part its own product with the identity, which stands on the thinner side. */
static void copy_part(const struct division *d, const float *dense, const int size[2])
{
    int tall = size[0] > size[1];
    for (int i = 0; i < size[0]; i++)
        for (int j = 0; j < size[1]; j++) {
            int p = d->inner + (tall ? j : i);
            float *copy = side_at(d, size, p, tall ? i : size[0] + j);
            *side_at(d, size, p, tall ? size[0] + j : i) = 1;
            *copy = dense[(size_t)i * (size_t)size[1] + (size_t)j];
        }
}

static void copy_atoms(const struct division *d, const struct psm_atoms *atoms, const int size[2])
{
    size_t length = (size_t)size[0] + (size_t)size[1];
    for (int p = 0; p < atoms->n_atoms; p++)
        for (size_t k = 0; k < length; k++)
            *side_at(d, size, d->inner + p, (int)k) = (float)atoms->sides[(size_t)p * length + k];
}

/* Divides one part if that takes fewer values than its product with the identity. 0 when memory
 * runs out. */
static int divide_part(struct division *d, int part, struct psm_budget budget)
{
    int size[2], fine = 0;
    list_members(d, part, size);
    size_t n_values = 0, thin = (size_t)(size[0] < size[1] ? size[0] : size[1]);
    for (int k = 0; k < size[0]; k++)
        n_values += d->s->start[d->members[k] + 1] - d->s->start[d->members[k]];
    float *dense = gather(d, size);
    struct psm_atoms atoms = { 0 };
    enum psm_peel_result found = dense ? psm_atoms_find(dense, size[0], size[1], budget, &atoms)
                                       : PSM_PEEL_NO_MEMORY;
    if (found == PSM_PEEL_NO_MEMORY) goto done;
    int divided = found == PSM_PEEL_WHOLE && psm_atoms_size(&atoms).values < n_values + thin;
    int more = divided ? atoms.n_atoms : (int)thin;
    fine = lengthen(&d->left, d->inner, more, d->s->rows)
        && lengthen(&d->right, d->inner, more, d->s->columns);
    if (!fine) goto done;
    if (divided) copy_atoms(d, &atoms, size);
    else copy_part(d, dense, size);
    d->inner += more;
    d->divided |= divided;
done:
    psm_atoms_free(&atoms);
    free(dense);
    return fine;
}

int psm_divide(const struct psm_sparse *s, struct psm_budget budget, struct psm_sparse halves[2])
{
    struct division d;
    int fine = division_new(&d, s);
    for (int i = 0; fine && i < s->rows; i++)
        if (d.part[i] == i && s->start[i + 1] > s->start[i]) fine = divide_part(&d, i, budget);
    if (fine && d.divided) {
        struct psm_strided left = { d.left, s->rows, d.inner, 1, (size_t)s->rows };
        struct psm_strided right = { d.right, d.inner, s->columns, (size_t)s->columns, 1 };
        fine = psm_sparse_new(&halves[0], &left, 1) && psm_sparse_new(&halves[1], &right, 1);
    }
    division_free(&d);
    return fine;
}
