#include "psm_peel.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct ratio {
    double value, error;
    int index, bucket;
};

/* What is left of W, seen by rows or by columns: line i, place j is left[i*line + j*place]. */
struct view {
    double *left;
    size_t line, place;
    int n_lines, n_places;
    int side; /* where a line's coefficient lies in an atom: 0 in a, 1 in b */
};

struct peel {
    struct psm_atoms *atoms;
    struct view views[2];
    int *order[2];        /* which row, column of W is left's row i, column j */
    int most_ratios;      /* max(m, n) */
    struct ratio *ratios; /* so many, and as many again to sort them */
    int *bucket_ends;     /* most_ratios + 1 */
    double *saved;        /* two atoms */
    uint64_t work;        /* about the nanoseconds spent */
    double freed;         /* entries that atoms freed, as shares of all that are not zero */
    double share;         /* 1 / nonzeros of W */
    int *counts;          /* m+n */
    int *support;         /* max(m, n) */
    double zero;          /* entries up to this are rounding errors */
    double rounding;      /* the error of an entry */
    double small;         /* entries up to this have ratios that are too inexact to start from */
    double least_small;   /* what small falls to */
};

static double *entry(const struct view *view, int line, int place)
{
    return view->left + (size_t)line * view->line + (size_t)place * view->place;
}

static int count_nonzeros(const double *values, size_t count)
{
    int nonzeros = 0;
    for (size_t i = 0; i < count; i++) nonzeros += values[i] != 0;
    return nonzeros;
}

static int compare_ratios(const void *a, const void *b)
{
    const struct ratio *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* In ascending order; most often there is but a handful. */
static void sort_handful(struct ratio *ratios, int count)
{
    enum { HANDFUL = 16 };
    if (count > HANDFUL) {
        qsort(ratios, (size_t)count, sizeof *ratios, compare_ratios);
        return;
    }
    for (int i = 1; i < count; i++) {
        struct ratio ratio = ratios[i];
        int j = i;
        for (; j > 0 && ratios[j - 1].value > ratio.value; j--) ratios[j] = ratios[j - 1];
        ratios[j] = ratio;
    }
}

/* In ascending order, by as many buckets, to which a function assigns them that spreads ratios of
 * like entries about evenly. */
static void sort_ratios(struct peel *peel, int count)
{
    struct ratio *ratios = peel->ratios, *spare = ratios + peel->most_ratios;
    int *end = peel->bucket_ends, first = 0;
    memset(end, 0, ((size_t)count + 1) * sizeof *end);
    for (int i = 0; i < count; i++) {
        double value = ratios[i].value, spread = (1 + value / (1 + fabs(value))) / 2;
        ratios[i].bucket = (int)(spread * (count - 1));
        end[ratios[i].bucket + 1]++;
    }
    for (int i = 1; i < count; i++) end[i] += end[i - 1];
    for (int i = 0; i < count; i++) spare[end[ratios[i].bucket]++] = ratios[i];
    for (int i = 0; i < count; first = end[i++]) sort_handful(spare + first, end[i] - first);
    memcpy(ratios, spare, (size_t)count * sizeof *ratios);
}

/* The longest run of peel->ratios[count] that are equal within their errors; sorts them. Returns
 * its length, *first its start. */
static int longest_run(struct peel *peel, int count, int *first)
{
    struct ratio *ratios = peel->ratios;
    int best = 0;
    peel->work += 32 * (uint64_t)count;
    sort_ratios(peel, count);
    for (int i = 0, start = 0; i < count; i++) {
        if (i && ratios[i].value - ratios[i - 1].value > ratios[i].error + ratios[i - 1].error)
            start = i;
        if (i + 1 - start <= best) continue;
        best = i + 1 - start;
        *first = start;
    }
    return best;
}

/* The ratio of the run that is known best. */
static double sharpest(const struct ratio *run, int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (run[i].error / fabs(run[i].value) < run[best].error / fabs(run[best].value)) best = i;
    return run[best].value;
}

/* support <- where values[n] is not zero. Returns the length. */
static int find_support(const double *values, int n, int *support)
{
    int count = 0;
    for (int j = 0; j < n; j++)
        if (values[j] != 0) support[count++] = j;
    return count;
}

/* left(line, .) -= coefficient * other(.), which has count places, peel->support. Returns how many
 * entries became zero, less those that ceased to be. */
static int subtract_line(struct peel *peel, const struct view *view, int line, double coefficient,
                         const double *other, int count)
{
    int freed = 0;
    peel->work += (uint64_t)count;
    for (int k = 0; k < count; k++) {
        int j = peel->support[k];
        double *x = entry(view, line, j);
        freed -= fabs(*x) <= peel->zero;
        *x -= coefficient * other[j];
        freed += fabs(*x) <= peel->zero;
    }
    return freed;
}

/* Subtracts atom p (sign 1) or puts it back (sign -1). */
static int subtract_atom(struct peel *peel, int p, double sign)
{
    const double *a = psm_atoms_side(peel->atoms, p, 0), *b = psm_atoms_side(peel->atoms, p, 1);
    int freed = 0, count = find_support(b, peel->atoms->n, peel->support);
    for (int i = 0; i < peel->atoms->m; i++)
        if (a[i] != 0) freed += subtract_line(peel, &peel->views[0], i, sign * a[i], b, count);
    return freed;
}

/* 1 when subtracting coefficient * other from a line spoils an entry that is zero: hardly any atom
 * covers one. */
static int spoils(struct peel *peel, const struct view *view, int line, double coefficient,
                  const double *other, int count)
{
    peel->work += (uint64_t)count;
    for (int k = 0; k < count; k++) {
        int j = peel->support[k];
        if (fabs(coefficient * other[j]) > 3 * peel->zero
            && fabs(*entry(view, line, j)) <= peel->zero)
            return 1;
    }
    return 0;
}

/* Joins to the atom every line of the view on which at least so many of the atom's places agree
 * about the coefficient, and subtracts it there, if that frees as many entries. Returns how many it
 * frees. */
static int join_lines(struct peel *peel, const struct view *view, double *own, const double *other,
                      int least)
{
    int freed = 0, n_places = find_support(other, view->n_places, peel->support);
    /* Small entries agree by chance. */
    double floor = least > 1 ? 1000 * peel->rounding : peel->zero;
    peel->work += (uint64_t)view->n_lines * (uint64_t)(n_places + 1);
    for (int i = 0; i < view->n_lines; i++) {
        int count = 0, first = 0;
        if (own[i] != 0) continue;
        for (int k = 0; k < n_places; k++) {
            int j = peel->support[k];
            double x = *entry(view, i, j);
            if (fabs(x) > floor)
                peel->ratios[count++] = (struct ratio){ .value = x / other[j],
                                                        .error = peel->rounding / fabs(other[j]),
                                                        .index = j };
        }
        int run = longest_run(peel, count, &first);
        if (run < least) continue;
        double coefficient = sharpest(peel->ratios + first, run);
        if (spoils(peel, view, i, coefficient, other, n_places)) continue;
        own[i] = coefficient;
        int more = subtract_line(peel, view, i, own[i], other, n_places);
        if (more < least) {
            subtract_line(peel, view, i, -own[i], other, n_places);
            own[i] = 0;
        } else freed += more;
    }
    return freed;
}

/* Joins lines of both views until none is left to join. Returns how many entries that frees. */
static int grow(struct peel *peel, int p, int least)
{
    int freed = 0;
    for (int last = 1; last;) {
        last = 0;
        for (int side = 0; side < 2; side++)
            last += join_lines(peel, &peel->views[side], psm_atoms_side(peel->atoms, p, side),
                               psm_atoms_side(peel->atoms, p, !side), least);
        freed += last;
    }
    return freed;
}

/* An atom seen on lines i and l, where their ratios agree. Returns 1 when one was taken, 0 when
 * there is none, -1 without memory.
 *
 * An atom of s lines and t places has s+t-1 parameters. Each entry that it frees beyond these is a
 * coincidence that a wrong atom has one chance in some 1e5 to meet; proof of them are asked for. */
static int take_atom(struct peel *peel, const struct view *view, int i, int l, int least, int proof)
{
    struct ratio *ratios = peel->ratios;
    int count = 0, first = 0;
    peel->work += (uint64_t)view->n_places / 4;
    for (int j = 0; j < view->n_places; j++) {
        double x = *entry(view, i, j), y = *entry(view, l, j);
        if (fabs(x) <= peel->small || fabs(y) <= peel->small) continue;
        ratios[count++] = (struct ratio){ .value = y / x,
                                          .error = peel->rounding * (1 + fabs(y / x)) / fabs(x),
                                          .index = j };
    }
    if (count < least) return 0;
    int run = longest_run(peel, count, &first);
    if (run < least) return 0;
    int p = psm_atoms_append(peel->atoms);
    if (p < 0) return -1;
    double *own = psm_atoms_side(peel->atoms, p, view->side),
           *other = psm_atoms_side(peel->atoms, p, !view->side);
    for (int r = first; r < first + run; r++)
        other[ratios[r].index] = *entry(view, i, ratios[r].index);
    own[i] = 1;
    own[l] = sharpest(ratios + first, run);
    int freed = subtract_atom(peel, p, 1) + grow(peel, p, 2);
    if (freed >= count_nonzeros(psm_atoms_side(peel->atoms, p, 0), psm_atoms_length(peel->atoms))
            - 1 + proof) {
        peel->freed += freed * peel->share;
        return 1;
    }
    subtract_atom(peel, p, -1);
    peel->atoms->n_atoms--;
    return 0;
}

/* The fewest equal ratios that are worth a look: two, unless chance makes many such pairs. */
static int least_run(const struct view *view) { return view->n_places <= 256 ? 2 : 3; }

/* W is no sparse product when its atoms are too many, which also would take the memory of more than
 * four copies of a large W; and chance, in matrices of few values, must not cost minutes, nor much
 * where atoms are rare. Products
 * of up to 1000 x 1000 were found with less work than this. */
static int given_up(const struct peel *peel)
{
    double m = peel->atoms->m, n = peel->atoms->n, limit = fmin(fmax(1.5e9, 1000 * m * n), 1e10);
    double most_atoms = fmin(m + n, fmax(1000, 2 * m * n / (m + n)));
    int is_hopeless = (double)peel->work > limit / 8 && peel->freed < .02;
    return is_hopeless || (double)peel->work > limit || peel->atoms->n_atoms > most_atoms;
}

/* All pairs of lines. Returns the number of atoms taken or -1. */
static int sweep(struct peel *peel, const struct view *view, int proof)
{
    int taken = 0;
    for (int i = 0; i < view->n_lines; i++)
        for (int l = i + 1; l < view->n_lines; l++)
            for (int one = 1; one && !given_up(peel); taken += one) {
                one = take_atom(peel, view, i, l, least_run(view), proof);
                if (one < 0) return -1;
            }
    return taken;
}

/* Some pairs of lines, spread evenly. Returns 1 at the first atom, 0 when there is none, -1 without
 * memory. */
static int probe(struct peel *peel, const struct view *view)
{
    enum { PAIRS = 2000 };
    uint64_t state = 1;
    for (int pair = 0; pair < PAIRS && view->n_lines > 1; pair++) {
        int picked[2];
        for (int k = 0; k < 2; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            picked[k] = (int)((state >> 33) % (uint64_t)(view->n_lines - k));
        }
        picked[1] += picked[1] >= picked[0];
        int one = take_atom(peel, view, picked[0], picked[1], least_run(view), 2);
        if (one) return one;
    }
    return 0;
}

/* Two finds that agree on a side are parts of one atom: q joins p on that side, and the other side
 * is found anew. Returns 1 when that leaves no more entries than before; then q is the last atom
 * and zero. */
static int merge(struct peel *peel, int p, int q, int side)
{
    size_t length = psm_atoms_length(peel->atoms);
    int count = 0, first = 0, n_lines = peel->views[side].n_lines;
    peel->work += (uint64_t)n_lines;
    double *own = psm_atoms_side(peel->atoms, p, side),
           *joining = psm_atoms_side(peel->atoms, q, side);
    for (int i = 0; i < n_lines; i++)
        if (own[i] != 0 && joining[i] != 0)
            peel->ratios[count++] = (struct ratio){ .value = own[i] / joining[i],
                                                    .error = 1e-5 * fabs(own[i] / joining[i]),
                                                    .index = i };
    if (longest_run(peel, count, &first) < 2) return 0;
    double scale = peel->ratios[first].value;
    double *atoms[2] = { psm_atoms_side(peel->atoms, p, 0), psm_atoms_side(peel->atoms, q, 0) };
    int freed = subtract_atom(peel, p, -1) + subtract_atom(peel, q, -1);
    for (int k = 0; k < 2; k++)
        memcpy(peel->saved + (size_t)k * length, atoms[k], length * sizeof(double));
    for (int i = 0; i < n_lines; i++)
        if (own[i] == 0) own[i] = scale * joining[i];
    memset(psm_atoms_side(peel->atoms, p, !side), 0,
           (size_t)peel->views[side].n_places * sizeof(double));
    memset(atoms[1], 0, length * sizeof(double));
    if (freed + grow(peel, p, 2) >= 0) {
        double *last = psm_atoms_side(peel->atoms, peel->atoms->n_atoms - 1, 0);
        if (last != atoms[1]) memcpy(atoms[1], last, length * sizeof(double));
        peel->atoms->n_atoms--;
        return 1;
    }
    subtract_atom(peel, p, -1);
    for (int k = 0; k < 2; k++)
        memcpy(atoms[k], peel->saved + (size_t)k * length, length * sizeof(double));
    subtract_atom(peel, p, 1);
    subtract_atom(peel, q, 1);
    return 0;
}

static int merge_all(struct peel *peel)
{
    int merged = 0;
    for (int p = 0; p < peel->atoms->n_atoms; p++)
        for (int q = p + 1; q < peel->atoms->n_atoms && !given_up(peel);) {
            int one = merge(peel, p, q, 0) || merge(peel, p, q, 1);
            merged += one;
            q += !one;
        }
    return merged;
}

/* Sweeps by rows and by columns, then lets the atoms grow into what became visible, while that
 * takes anything. */
static int sweep_all(struct peel *peel)
{
    for (int proof = 2; proof > 0 && !given_up(peel);) {
        int change = 0;
        for (int side = 0; side < 2; side++) {
            int taken = sweep(peel, &peel->views[side], proof);
            if (taken < 0) return -1;
            change += taken;
        }
        for (int p = 0; p < peel->atoms->n_atoms && !given_up(peel); p++)
            change += grow(peel, p, 2);
        change += merge_all(peel);
        if (change) continue;
        /* Then by smaller entries, whose ratios agree by chance more often; then by less proof. */
        if (peel->small > peel->least_small) peel->small = peel->least_small;
        else proof--;
    }
    /* A place that another atom hides on all lines but one. It costs no more than an entry that is
     * left. */
    for (int p = 0; p < peel->atoms->n_atoms && !given_up(peel); p++) grow(peel, p, 1);
    return 0;
}

/* The entries that are left become atoms, a unit vector times a line: the longest line first, a row
 * or a column. */
static int append_left(struct peel *peel)
{
    /* Of the entries left in each row, in each column. */
    int *counts[2] = { peel->counts, peel->counts + peel->atoms->m };
    memset(peel->counts, 0, psm_atoms_length(peel->atoms) * sizeof *peel->counts);
    for (int i = 0; i < peel->atoms->m; i++)
        for (int j = 0; j < peel->atoms->n; j++)
            if (fabs(*entry(&peel->views[0], i, j)) > peel->zero) counts[0][i]++, counts[1][j]++;
    for (;;) {
        int most = 0, line = 0, side = 0;
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < peel->views[s].n_lines; i++)
                if (counts[s][i] > most) most = counts[s][i], line = i, side = s;
        if (!most) return 0;
        int p = psm_atoms_append(peel->atoms);
        if (p < 0) return -1;
        psm_atoms_side(peel->atoms, p, side)[line] = 1;
        for (int j = 0; j < peel->views[side].n_places; j++) {
            double *x = entry(&peel->views[side], line, j);
            if (fabs(*x) <= peel->zero) continue;
            psm_atoms_side(peel->atoms, p, !side)[j] = *x;
            *x = 0;
            counts[!side][j]--;
        }
        counts[side][line] = 0;
    }
}

/* order <- 0 .. n-1, shuffled by a seed other than 0. */
static void shuffle(int *order, int n, uint64_t seed)
{
    uint64_t state = seed;
    for (int i = 0; i < n; i++) order[i] = i;
    for (int i = n - 1; i > 0 && seed; i--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        int other = (int)((state >> 33) % (uint64_t)(i + 1)), swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
}

/* Atoms of left become atoms of W. */
static void restore_order(struct peel *peel)
{
    for (int p = 0; p < peel->atoms->n_atoms; p++)
        for (int side = 0; side < 2; side++) {
            double *values = psm_atoms_side(peel->atoms, p, side);
            int n = peel->views[side].n_lines;
            memcpy(peel->saved, values, (size_t)n * sizeof *values);
            for (int i = 0; i < n; i++) values[peel->order[side][i]] = peel->saved[i];
        }
}

static int peel_new(struct peel *peel, const float *w, int m, int n, unsigned seed,
                    struct psm_atoms *atoms)
{
    size_t size = (size_t)m * (size_t)n, nonzeros = 0;
    double energy = 0, *left = malloc(size * sizeof *left);
    *atoms = (struct psm_atoms){ .m = m, .n = n };
    *peel = (struct peel){ .atoms = atoms };
    peel->views[0] = (struct view){ left, (size_t)n, 1, m, n, 0 };
    peel->views[1] = (struct view){ left, 1, (size_t)n, n, m, 1 };
    peel->most_ratios = m > n ? m : n;
    peel->ratios = malloc(2 * (size_t)peel->most_ratios * sizeof *peel->ratios);
    peel->bucket_ends = malloc(((size_t)peel->most_ratios + 1) * sizeof *peel->bucket_ends);
    peel->saved = malloc(2 * psm_atoms_length(atoms) * sizeof *peel->saved);
    peel->counts = malloc(psm_atoms_length(atoms) * sizeof *peel->counts);
    peel->support = malloc((size_t)(m > n ? m : n) * sizeof *peel->support);
    peel->order[0] = calloc((size_t)m, sizeof(int));
    peel->order[1] = calloc((size_t)n, sizeof(int));
    if (!left || !peel->ratios || !peel->bucket_ends || !peel->saved || !peel->counts
        || !peel->support || !peel->order[0] || !peel->order[1])
        return 0;
    shuffle(peel->order[0], m, seed);
    shuffle(peel->order[1], n, 2 * (uint64_t)seed);
    for (size_t k = 0; k < size; k++) {
        left[k] = (double)w[(size_t)peel->order[0][k / (size_t)n] * (size_t)n
                            + (size_t)peel->order[1][k % (size_t)n]];
        energy += left[k] * left[k];
        nonzeros += left[k] != 0;
    }
    double scale = nonzeros ? sqrt(energy / (double)nonzeros) : 0;
    peel->share = nonzeros ? 1 / (double)nonzeros : 0;
    peel->rounding = 3e-7 * scale;
    peel->zero = 1e-5 * scale;
    peel->small = .02 * scale;
    peel->least_small = 3e-4 * scale;
    return 1;
}

enum psm_peel_result psm_peel(const float *w, int m, int n, unsigned seed, struct psm_atoms *atoms)
{
    struct peel peel;
    enum psm_peel_result result = PSM_PEEL_NO_MEMORY;
    if (!peel_new(&peel, w, m, n, seed, atoms)) goto done;
    int found = 0;
    for (int side = 0; side < 2 && !found; side++) found = probe(&peel, &peel.views[side]);
    if (found < 0
        || (found && (sweep_all(&peel) < 0 || (!given_up(&peel) && append_left(&peel) < 0))))
        goto done;
    result = found && !given_up(&peel) ? PSM_PEEL_WHOLE : PSM_PEEL_NONE;
    if (result == PSM_PEEL_WHOLE) restore_order(&peel);
done:
    free(peel.views[0].left);
    free(peel.ratios);
    free(peel.bucket_ends);
    free(peel.saved);
    free(peel.counts);
    free(peel.support);
    free(peel.order[0]);
    free(peel.order[1]);
    if (result == PSM_PEEL_NO_MEMORY) psm_atoms_free(atoms);
    return result;
}
