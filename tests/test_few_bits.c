/* Values of few bits: levels, rows, the stored form against one written bit by bit, and files. */
#include "support.h"

#include <levels.h>
#include <sss.h>
#include <stored.h>

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int few[] = { 1, 2, 3, 4, 8 };
enum { N_FEW = 5 };

/* The level that a code of so many bits stands for, from the text of levels.h. */
static double documented_level(int bits, int code)
{
    static const int levels[][8] = { [1] = { 1 },
                                     [2] = { 1, 3 },
                                     [3] = { 14, 45, 79, 127 },
                                     [4] = { 6, 18, 31, 44, 58, 75, 96, 127 } };
    int k = code - (1 << (bits - 1));
    return bits == 8 ? k : k >= 0 ? levels[bits][k] : -levels[bits][-1 - k];
}

Test(few_bits, levels_are_the_documented_ones)
{
    for (int i = 0; i < N_FEW; i++)
        for (int code = few[i] == 8; code < 1 << few[i]; code++) {
            float level = sn_level_of(few[i], (uint32_t)code);
            cr_assert_eq(level, documented_level(few[i], code));
            cr_assert_eq((int)sn_level_code(few[i], level), code);
            cr_assert_leq(fabsf(level), sn_level_most(few[i]));
        }
    for (int bits = -1; bits < 40; bits++)
        cr_assert_eq(sn_bits_are_few(bits),
                     bits == 1 || bits == 2 || bits == 3 || bits == 4 || bits == 8);
}

Test(few_bits, the_nearest_level_is_as_near_as_any)
{
    uint64_t seed = 1;
    for (int i = 0; i < N_FEW; i++)
        for (int trial = 0; trial < 2000; trial++) {
            double most = documented_level(few[i], (1 << few[i]) - 1), least = INFINITY;
            float ratio = (float)random_uniform(&seed, -1.3 * most, 1.3 * most);
            if (trial % 4 == 0) ratio = rintf(2 * ratio) / 2; /* Levels, and halfway between. */
            for (int code = few[i] == 8; code < 1 << few[i]; code++)
                least = fmin(least, fabs((double)ratio - documented_level(few[i], code)));
            float found = sn_level_near(few[i], ratio);
            cr_assert_eq(fabs((double)ratio - (double)found), least, "%d bits, %g: %g", few[i],
                         (double)ratio, (double)found);
        }
}

Test(few_bits, what_is_no_level_is_rounded_to_one_or_to_nan)
{
    for (int i = 0; i < N_FEW; i++) {
        float most = sn_level_most(few[i]);
        cr_assert_eq(sn_level_round(few[i], FLT_MAX, 1), most);
        cr_assert_eq(sn_level_round(few[i], -FLT_MAX, FLT_MIN), -most * FLT_MIN);
        cr_assert_eq(sn_level_round(few[i], 3, 0), 0);
        cr_assert(isnan(sn_level_round(few[i], INFINITY, 1)));
        cr_assert(isnan(sn_level_round(few[i], NAN, 0)));
    }
}

/* The two bfloat16 numbers around a value are those with its upper half and the next one. */
Test(few_bits, scales_are_rounded_to_the_nearest_bfloat16)
{
    static const float exact[] = { 0, 1, -2.5f, 0x1p-133f, 0x1.fep127f, INFINITY };
    uint64_t seed = 2;
    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        cr_assert_eq(sn_bfloat_round(exact[i]), exact[i]);
    cr_assert(isnan(sn_bfloat_round(NAN)));
    cr_assert_eq(sn_bfloat_round(0x1.01p0f), 1, "of two as near the even one");
    cr_assert_eq(sn_bfloat_round(0x1.03p0f), 0x1.04p0f);
    for (int trial = 0; trial < 2000; trial++) {
        float value = (float)(random_uniform(&seed, .5, 1)
                              * pow(2, random_uniform(&seed, -120, 120)));
        float low = value, high, found = sn_bfloat_round(value);
        uint32_t bits;
        memcpy(&bits, &low, 4);
        bits &= 0xffff0000;
        memcpy(&low, &bits, 4);
        bits += 0x10000;
        memcpy(&high, &bits, 4);
        cr_assert(found == low || found == high);
        cr_assert_leq(fabsf(found - value), fminf(value - low, high - value));
    }
}

/* ---- Rows */

static void check_rows(const struct sn_matrix *matrix, size_t n_rows, const uint32_t *expected)
{
    uint32_t map[32];
    cr_assert_eq(matrix->family->rows(matrix, NULL), n_rows);
    cr_assert_eq(matrix->family->rows(matrix, map), n_rows);
    for (size_t i = 0; i < matrix->n_values; i++)
        cr_assert_eq(map[i], expected[i], "value %zu: row %u, expected %u", i, map[i], expected[i]);
}

/* Stage 0 has D 1 x 2, B 1 x 2 and G 1 x 2, stage 1 D 2 x 1, C 2 x 1 and F 2 x 1. */
Test(few_bits, rows_of_sss_go_through_the_blocks_of_a_stage)
{
    static const int inputs[] = { 2, 1 }, outputs[] = { 1, 2 }, causal[] = { 1 },
                     anticausal[] = { 2 };
    static const uint32_t expected[] = { 0, 0, 1, 1, 0, 0, 2, 3, 2, 3, 4, 5 };
    struct sss *shape = sss_new(2, inputs, outputs, causal, anticausal, NULL);
    check_rows(&shape->matrix, 6, expected);
    free(shape);
}

/* 5 x 3 in blocks of 4: the second group has one row; 3 x 4: the group lacks one. */
Test(few_bits, rows_of_psm_that_do_not_exist_count_as_the_last_one)
{
    static const int sizes[] = { 5, 3, 4 }, nonzeros[] = { 12, 4 };
    static const uint32_t starts[] = { 0, 2, 3, 0, 1 };
    static const uint32_t expected[] = { 0, 1, 2, 3, 0, 1, 2, 3, 4, 4, 4, 4, 5, 6, 7, 7 };
    struct psm_layout layout = { .n_factors = 2, .sizes = sizes, .nonzeros = nonzeros, .block = 4 };
    struct psm *shape = psm_new(&layout, NULL);
    memcpy(shape->row_starts, starts, sizeof starts);
    check_rows(&shape->matrix, 8, expected);
    free(shape);
}

/* ---- The stored form */

static const struct {
    const char *section;
    int m, n;
} shapes[] = {
    { "[sss]\nstages=1\n", 5, 7 },
    { "[sss]\nstages=3\nstates=2\norder=both\n", 11, 13 },
    { "[sss]\ninputs=0,9,4\noutputs=5,0,6\ncausal=3,0\nanticausal=2,4\n", 11, 13 },
    { "[psm]\nnonzeros=40\n", 11, 13 },
    { "[psm]\nnonzeros=33\nindex=1\norder=1\n", 11, 13 },
    { "[psm]\nfactors=2\ninner=9\nnonzeros=44,36\nindex=8,1\nblock=4\norder=1\n", 11, 13 },
    { "[psm]\nfactors=3\ninner=9,40\nnonzeros=30,31,50\nindex=4,4,32\nescapes=0,7,0\n", 11, 13 },
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static uint64_t draws;

static float draw(float from, float to) { return (float)random_uniform(&draws, from, to); }

static struct sn_matrix *shape_with(int which, int bits, int group)
{
    char text[256];
    struct cfg_text *cfg;
    struct sn_error error = { 0 };
    snprintf(text, sizeof text, "%sbits=%d\ngroup=%d\n", shapes[which].section, bits, group);
    struct sn_matrix *matrix = matrix_from_text(text, shapes[which].m, shapes[which].n, &cfg,
                                                &error);
    cr_assert(matrix, "%s", error.message);
    cfg_free(cfg);
    return matrix;
}

/* A fresh matrix in both forms, with its scale map. */
struct both {
    struct sn_matrix *matrix;
    uint32_t *map;
    float *words;
    char *stored;
};

static struct both both_new(int which, int bits, int group)
{
    struct both b = { .matrix = shape_with(which, bits, group) };
    b.map = malloc((b.matrix->n_values + 1) * sizeof *b.map);
    b.words = calloc(b.matrix->n_words + 1, sizeof *b.words);
    b.stored = malloc(b.matrix->n_bytes + 1);
    cr_assert(!sn_matrix_init(b.matrix, b.map, b.words, draw, NULL));
    sn_store(b.matrix, b.map, b.words, b.stored);
    return b;
}

static void both_free(struct both *b)
{
    free(b->matrix), free(b->map), free(b->words), free(b->stored);
}

static void for_each_form(void (*test)(struct both *b))
{
    for (int which = 0; which < N_SHAPES; which++)
        for (int i = 0; i < 2 * N_FEW; i++) {
            struct both b = both_new(which, few[i / 2], i % 2 ? 8 : 0);
            test(&b);
            both_free(&b);
        }
}

/* Puts random scales and codes before the structure of the stored form, one bit after the other,
 * and checks that restoring gives their products, and storing these the same bytes. */
static void check_stored(struct both *b)
{
    const struct sn_matrix *matrix = b->matrix;
    size_t n = matrix->n_values, bits = (size_t)matrix->bits;
    size_t codes_at = (2 * matrix->n_scales + 3) / 4 * 4,
           structure_at = codes_at + ((n * bits + 7) / 8 + 3) / 4 * 4;
    float *scales = malloc((matrix->n_scales + 1) * sizeof *scales);
    int *codes = malloc((n + 1) * sizeof *codes);
    char *again = malloc(matrix->n_bytes + 1);
    cr_assert_eq(structure_at + 4 * (matrix->n_words - n - matrix->n_scales), matrix->n_bytes);
    memset(b->stored, 0, structure_at);
    for (size_t k = 0; k < matrix->n_scales; k++) {
        uint32_t upper = (uint32_t)random_int(&draws, 0x3000, 0x4fff), wide = upper << 16;
        memcpy(&scales[k], &wide, 4);
        b->stored[2 * k] = (char)(upper & 255);
        b->stored[2 * k + 1] = (char)(upper >> 8);
    }
    for (size_t i = 0; i < n; i++) {
        codes[i] = random_int(&draws, bits == 8, (1 << bits) - 1);
        for (size_t k = 0; k < bits; k++)
            if (codes[i] >> k & 1)
                b->stored[codes_at + (i * bits + k) / 8] |= (char)(1 << (i * bits + k) % 8);
    }
    struct sn_error error = { 0 };
    uint32_t *map = malloc((n + 1) * sizeof *map);
    cr_assert(!sn_restore(b->matrix, b->stored, map, b->words, &error), "%s", error.message);
    cr_assert(!memcmp(map, b->map, n * sizeof *map));
    for (size_t i = 0; i < n; i++) {
        if (matrix->group) cr_assert_eq(map[i], i / 8);
        cr_assert_lt(map[i], matrix->n_scales);
        cr_assert_eq(b->words[i],
                     (float)(documented_level((int)bits, codes[i]) * (double)scales[map[i]]));
    }
    cr_assert(!memcmp(b->words + n, scales, matrix->n_scales * sizeof *scales));
    sn_store(matrix, map, b->words, again);
    cr_assert(!memcmp(again, b->stored, matrix->n_bytes));
    free(scales), free(codes), free(again), free(map);
}

Test(few_bits, the_stored_form_is_the_one_written_bit_by_bit) { for_each_form(check_stored); }

static void check_rounding(struct both *b)
{
    const struct sn_matrix *matrix = b->matrix;
    size_t n = matrix->n_values, bytes = 4 * matrix->n_words;
    float *rounded = malloc(bytes + 1), *restored = malloc(bytes + 1);
    for (size_t i = 0; i < n; i++) b->words[i] *= (float)random_uniform(&draws, -2, 2);
    sn_round(matrix, b->map, b->words, rounded);
    sn_store(matrix, b->map, b->words, b->stored);
    cr_assert(!sn_restore(b->matrix, b->stored, b->map, restored, NULL));
    cr_assert(!memcmp(rounded, restored, bytes), "what is stored is not what is rounded");
    sn_round(matrix, b->map, b->words, b->words);
    cr_assert(!memcmp(rounded, b->words, bytes), "in place");
    free(rounded), free(restored);
}

Test(few_bits, what_is_stored_is_what_is_rounded) { for_each_form(check_rounding); }

/* The mean square under a scale is the drawn values', but for the rounding of the scale to 8 bits.
 */
static void check_start(struct both *b)
{
    const struct sn_matrix *matrix = b->matrix;
    uint64_t kept = draws;
    float *drawn = calloc(matrix->n_words + 1, sizeof *drawn);
    double *squares = calloc(2 * matrix->n_scales + 1, sizeof *squares);
    matrix->family->init(b->matrix, drawn, draw, NULL);
    draws = kept;
    cr_assert(!sn_matrix_init(b->matrix, b->map, b->words, draw, NULL));
    for (size_t i = 0; i < matrix->n_values; i++) {
        if (drawn[i] == 0) continue;
        squares[2 * b->map[i]] += (double)drawn[i] * (double)drawn[i];
        squares[2 * b->map[i] + 1] += (double)b->words[i] * (double)b->words[i];
        cr_assert(drawn[i] * b->words[i] >= 0);
    }
    for (size_t k = 0; k < matrix->n_scales; k++)
        cr_assert_float_eq(squares[2 * k + 1], squares[2 * k], .01 * squares[2 * k]);
    free(drawn), free(squares);
}

Test(few_bits, a_fresh_start_keeps_the_mean_square_of_every_scale) { for_each_form(check_start); }

/* The output variance of make_connected_layer, over many starts. */
Test(few_bits, a_fresh_start_has_the_output_variance_of_connected)
{
    enum { DRAWS = 3000 };
    for (int which = 0; which < N_SHAPES; which++)
        for (int i = 0; i < N_FEW; i++) {
            struct both b = both_new(which, few[i], i % 2 ? 16 : 0);
            float x[16], y[16], states[256];
            double sum = 0;
            cr_assert_lt(b.matrix->n_states, 256);
            for (int k = 0; k < DRAWS; k++) {
                for (int j = 0; j < b.matrix->n_inputs; j++) x[j] = sqrtf(3) * draw(-1, 1);
                memset(y, 0, sizeof y);
                cr_assert(!sn_matrix_init(b.matrix, b.map, b.words, draw, NULL));
                sn_multiply(b.matrix, b.words, 1, x, y, states);
                for (int j = 0; j < b.matrix->n_outputs; j++) sum += (double)y[j] * (double)y[j];
            }
            /* Three starts of products of three factors leave 4 % of noise. */
            cr_assert_float_eq(sum / DRAWS / b.matrix->n_outputs, 2. / 3, .08,
                               "%s%d bits: variance %g", shapes[which].section, few[i],
                               sum / DRAWS / b.matrix->n_outputs);
            both_free(&b);
        }
}

/* ---- Heads, byte by byte */

static const struct {
    const char *keys;
    int m, n;
    size_t n_bytes; /* behind header and bias */
    unsigned char bytes[24];
    float dense[40];
} golden[] = {
    /* Scales 1/2 and 2; levels 6 -6 127, -127 18 -18. */
    { "[sss]\noutput=2\nactivation=linear\nstages=1\nbits=4\n",
      2,
      3,
      8,
      { 0x00, 0x3f, 0x00, 0x40, 0x78, 0x0f, 0x69, 0 },
      { 3, -3, 63.5f, -254, 36, -36 } },
    /* A scale of 1/4; 127, -127, 0. */
    { "[sss]\noutput=1\nactivation=linear\nstages=1\nbits=8\n",
      1,
      3,
      8,
      { 0x80, 0x3e, 0, 0, 0xff, 0x01, 0x80, 0 },
      { 31.75f, -31.75f, 0 } },
    /* One scale, 3/2; levels 127, -127, 14 in columns 17; 0, 3. */
    { "[psm]\noutput=2\nactivation=linear\nfactors=1\nnonzeros=3\nindex=4\nescapes=1\nbits=3\n"
      "group=8\n",
      2,
      20,
      16,
      { 0xc0, 0x3f, 0, 0, 0x07, 0x01, 0, 0, 0x2f, 0x20, 0, 0, 1, 0, 2, 0 },
      { [17] = 190.5f, [20] = -190.5f, [23] = 21 } },
    /* Scales 1 and 4; signs -, + + in columns 9; 0, 8. */
    { "[psm]\noutput=2\nactivation=linear\nfactors=1\nnonzeros=3\nindex=1\nbits=1\n",
      2,
      10,
      12,
      { 0x80, 0x3f, 0x80, 0x40, 0x06, 0, 0, 0, 0, 2, 1, 1 },
      { [9] = -1, [10] = 4, [18] = 4 } },
};
enum { N_GOLDEN = sizeof golden / sizeof *golden, HEADER = 20, MOST = 64 };

static char cfg_path[256], weights_path[256], again_path[256];

static void set_paths(void)
{
    snprintf(cfg_path, sizeof cfg_path, "%s", temporary_path("head.cfg"));
    snprintf(weights_path, sizeof weights_path, "%s", temporary_path("head.weights"));
    snprintf(again_path, sizeof again_path, "%s", temporary_path("again.weights"));
}

/* The files of a golden head; returns the length of the weights in bytes[MOST]. */
static size_t write_golden(int which, unsigned char *bytes)
{
    static const float bias[] = { 1, -2 };
    size_t bias_bytes = 4 * (size_t)golden[which].m;
    char cfg[512];
    int n = snprintf(cfg, sizeof cfg, "[net]\nbatch=1\ninputs=%d\n\n%s", golden[which].n,
                     golden[which].keys);
    write_file(cfg_path, cfg, (size_t)n);
    memset(bytes, 0, MOST);
    bytes[4] = 2; /* Version 0.2.0, no image seen. */
    memcpy(bytes + HEADER, bias, bias_bytes);
    memcpy(bytes + HEADER + bias_bytes, golden[which].bytes, golden[which].n_bytes);
    write_file(weights_path, bytes, HEADER + bias_bytes + golden[which].n_bytes);
    return HEADER + bias_bytes + golden[which].n_bytes;
}

static void check_same_files(const struct sn_head *head, const unsigned char *bytes, size_t n_bytes)
{
    size_t n, n_keys;
    FILE *cfg = fopen(again_path, "w"), *weights = fopen(weights_path, "wb");
    cr_assert(!sn_head_write(head, cfg, weights, NULL));
    fclose(cfg), fclose(weights);
    char *found = read_file_bytes(weights_path, &n);
    cr_assert(n == n_bytes && !memcmp(found, bytes, n));
    free(found);
    char *expected_cfg = read_file_bytes(cfg_path, &n),
         *found_cfg = read_file_bytes(again_path, &n_keys);
    cr_assert(n == n_keys && !memcmp(expected_cfg, found_cfg, n), "%.*s", (int)n_keys, found_cfg);
    free(expected_cfg), free(found_cfg);
}

Test(few_bits, heads_are_the_bytes_written_by_hand, .init = set_paths)
{
    for (int g = 0; g < N_GOLDEN; g++) {
        struct sn_head head;
        struct sn_error error = { 0 };
        unsigned char bytes[MOST];
        float dense[40];
        size_t n = write_golden(g, bytes);
        cr_assert(!sn_head_read(cfg_path, weights_path, &head, &error), "%s", error.message);
        cr_assert_eq(head.matrix->n_bytes, golden[g].n_bytes);
        cr_assert(!sn_dense(head.matrix, head.words, dense, NULL));
        for (int i = 0; i < golden[g].m * golden[g].n; i++)
            cr_assert_eq(dense[i], golden[g].dense[i], "head %d, entry %d: %g", g, i,
                         (double)dense[i]);
        check_same_files(&head, bytes, n);
        sn_head_free(&head);
    }
}

Test(few_bits, damaged_heads_are_refused, .init = set_paths)
{
    static const struct {
        const char *expected;
        size_t at; /* behind the bias */
        int which;
        uint16_t value;
    } cases[] = {
        { "scale 1: expected 0 to 2.67939e+36, found inf", 2, 0, 0x7f80 },
        { "scale 1: expected 0 to 2.67939e+36, found nan", 2, 0, 0x7fc0 },
        { "scale 0: expected 0 to 2.67939e+36, found -1", 0, 0, 0xbf80 },
        { "scale 0: expected 0 to 2.67939e+36, found 4.25353e+37", 0, 0, 0x7e00 },
        { "scale 0: expected 0 to 2.67939e+36, found 3.38953e+38", 0, 1, 0x7f7f },
        { "value 1: expected -127 to 127, found -128", 5, 1, 0x8000 },
        { "factor 1, row 0: expected at most 1 escapes, found more", 8, 2, 0xffff },
        { "factor 1, row 1: length 2, expected at most 0", 12, 2, 3 },
        { "factor 1: bitmaps hold 2, expected 3 nonzeros", 8, 3, 0 },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct sn_head head;
        struct sn_error error = { 0 };
        unsigned char bytes[MOST];
        size_t n = write_golden(cases[c].which, bytes);
        memcpy(bytes + HEADER + 4 * (size_t)golden[cases[c].which].m + cases[c].at, &cases[c].value,
               2);
        write_file(weights_path, bytes, n);
        cr_assert_eq(sn_head_read(cfg_path, weights_path, &head, &error), SN_BAD_INPUT, "case %zu",
                     c);
        cr_assert(strstr(error.message, cases[c].expected), "%s", error.message);
        cr_assert(!head.matrix && !head.words && !head.bias);
        for (int more = -1; more < 2; more += 2) {
            write_golden(cases[c].which, bytes);
            write_file(weights_path, bytes, (size_t)((int)n + more));
            cr_assert_eq(sn_head_read(cfg_path, weights_path, &head, &error), SN_BAD_INPUT);
            cr_assert(strstr(error.message, "found another length"), "%s", error.message);
        }
    }
}

/* A value that training has made infinite or NaN does not become a level in a file. */
static void check_not_finite(struct both *b)
{
    struct sn_error error = { 0 };
    char expected[64];
    size_t at = b->matrix->n_values / 2;
    b->words[at] = b->matrix->bits % 2 ? NAN : INFINITY;
    sn_store(b->matrix, b->map, b->words, b->stored);
    cr_assert_eq(sn_restore(b->matrix, b->stored, b->map, b->words, &error), SN_BAD_INPUT);
    snprintf(expected, sizeof expected, "scale %u: expected 0 to ", b->map[at]);
    cr_assert(strstr(error.message, expected) && strstr(error.message, "nan"), "%s", error.message);
}

Test(few_bits, values_that_are_not_finite_are_stored_as_damage) { for_each_form(check_not_finite); }

Test(few_bits, sizes_that_overflow_are_refused)
{
    static const int bits[] = { 1, 8 };
    struct sn_error error = { 0 };
    int size = 1100000000, one = 1;
    struct sss *column = sss_new(1, &one, &size, NULL, NULL, &error);
    struct sn_matrix before = column->matrix;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(sn_matrix_set_bits(&column->matrix, bits[i], 0, &error), SN_BAD_INPUT);
        cr_assert_str_eq(error.message, "more than 2147483647 values, scales and indices");
        cr_assert(!memcmp(&before, &column->matrix, sizeof before));
        cr_assert(!sn_matrix_set_bits(&column->matrix, bits[i], 1 << 20, &error));
        cr_assert_eq(column->matrix.n_scales, 1050);
        cr_assert_eq(column->matrix.n_bytes,
                     2100 + ((size_t)size * (size_t)bits[i] / 8 + 3) / 4 * 4);
        cr_assert(!sn_matrix_set_bits(&column->matrix, 32, 0, &error));
        cr_assert(!memcmp(&before, &column->matrix, sizeof before));
    }
    cr_assert_eq(sn_matrix_set_bits(&column->matrix, 5, 0, &error), SN_BAD_INPUT);
    cr_assert_eq(sn_matrix_set_bits(&column->matrix, 32, 8, &error), SN_BAD_INPUT);
    cr_assert_eq(sn_matrix_set_bits(&column->matrix, 4, 7, &error), SN_BAD_INPUT);
    free(column);
}
