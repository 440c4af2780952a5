/* The kernel of dense_kernel.h. This file is compiled once for each instruction set, with KERNEL as
 * the name of what it offers. */
#include "dense_kernel.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL dense_plain
#endif

/* All ones in the first n lanes; n from 1 to 8. */
static const int32_t ones[2 * LANES] = { -1, -1, -1, -1, -1, -1, -1, -1 };
INLINE ivec first_lanes(size_t n) { return *(const ivec *)(ones + LANES - n); }

/* sums += a column of some vectors times x. */
INLINE void add_column(int bits, size_t vectors, const char *values,
                       const struct lanes_levels *levels, float x, vec *sums)
{
    size_t eight = lanes_bytes(bits), k = 0;
    for (; k + 2 <= vectors; k += 2) {
        vec pair[2];
        lanes_pair(bits, values + k * eight, levels, pair);
        sums[k] += pair[0] * x;
        sums[k + 1] += pair[1] * x;
    }
    for (; k < vectors; k++) sums[k] += lanes_of(bits, values + k * eight, levels) * x;
}

/* One strip of some vectors of rows, the last of which may have fewer rows than lanes. A sum waits
 * for the one before it, so that a few columns have sums of their own. */
INLINE void strip(int bits, size_t vectors, size_t chains, const struct dense_block *w,
                  const float *x, float *y, int adds)
{
    size_t step = bits == 32 ? 4 * w->rows : vectors * lanes_bytes(bits), j = 0;
    const char *values = w->values;
    vec sums[8] = { 0 };
    for (; j + chains <= w->columns; j += chains)
        for (size_t c = 0; c < chains; c++, values += step)
            add_column(bits, vectors, values, w->levels, x[j + c], sums + c * vectors);
    for (; j < w->columns; j++, values += step)
        add_column(bits, vectors, values, w->levels, x[j], sums);
    for (size_t k = 0; k < vectors; k++) {
        for (size_t c = 1; c < chains; c++) sums[k] += sums[c * vectors + k];
        if (bits != 32) sums[k] *= *(const vec *)(w->scales + k * LANES);
        if (k + 1 == vectors) sums[k] = (vec)((ivec)sums[k] & first_lanes(w->rows - k * LANES));
        if (adds) sums[k] += *(const vec *)(y + k * LANES);
        *(vec *)(y + k * LANES) = sums[k];
    }
}

/* The strips of a block for one number of bits, which is a constant here. */
INLINE void multiply_bits(int bits, const struct dense_block *w, const float *x, float *y, int adds)
{
    struct dense_block left = *w;
    for (size_t rows = w->rows, height; rows; rows -= height) {
        left.rows = height = rows < DENSE_STRIP ? rows : DENSE_STRIP;
        if (height > 24) strip(bits, 4, 2, &left, x, y, adds);
        else if (height > 16) strip(bits, 3, 2, &left, x, y, adds);
        else if (height > 8) strip(bits, 2, 4, &left, x, y, adds);
        else strip(bits, 1, 4, &left, x, y, adds);
        left.values += dense_bytes(bits, left.rows, left.columns);
        if (bits != 32) left.scales += left.rows;
        y += left.rows;
    }
}

static void multiply(const struct dense_block *w, const float *x, float *y, int adds)
{
    struct dense_block local = *w;
    const struct lanes_levels levels = *w->levels; /* which no output overlaps */
    local.levels = &levels;
    if (w->bits == 32) multiply_bits(32, &local, x, y, adds);
    else if (w->bits == 8) multiply_bits(8, &local, x, y, adds);
    else if (w->bits == 4) multiply_bits(4, &local, x, y, adds);
    else if (w->bits == 3) multiply_bits(3, &local, x, y, adds);
    else if (w->bits == 2) multiply_bits(2, &local, x, y, adds);
    else multiply_bits(1, &local, x, y, adds);
}

const struct dense_kernel KERNEL = { multiply };
