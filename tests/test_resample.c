/* The preparation of images. tests/parity.py compares it with torchvision itself. */
#include <resample.h>

#include <criterion/criterion.h>
#include <stdlib.h>

/* A picture of bytes (37 k^2 + 11 k) mod 256, k counting pixel by pixel. free_image releases it. */
static image make_picture(int w, int h)
{
    image picture = {
        .w = w, .h = h, .c = 3, .data = calloc((size_t)w * (size_t)h * 3, sizeof(float))
    };
    for (int k = 0; k < w * h * 3; k++)
        picture.data[k % 3 * w * h + k / 3] = (float)((37 * k * k + 11 * k) % 256) / 255.f;
    return picture;
}

static void check(int shorter, int w, int h, const unsigned char *expected)
{
    struct sn_error error;
    float output[128];
    image picture = make_picture(7, 5);
    cr_assert_eq(resample_crop(picture, shorter, w, h, NULL, output, &error), SN_OK);
    for (int i = 0; i < 3 * w * h; i++)
        cr_assert_eq(output[i], expected[i] / 255.f, "N = %d, value %d: %g, expected %d", shorter,
                     i, (double)output[i] * 255, expected[i]);
    free_image(picture);
}

/* From 7 x 5 pixels; the expected bytes are those of Pillow 9.4 and torchvision 0.14. */
Test(resample, shrinks_as_pillow)
{
    check(3, 2, 3,
          (const unsigned char[]){ 99, 110, 64, 122, 90, 73, 125, 179, 77, 101, 102, 51, 184, 175,
                                   124, 126, 120, 105 });
}

Test(resample, enlarges_as_pillow)
{
    check(6, 6, 5,
          (const unsigned char[]){ 89,  116, 65,  50,  71,  63,  89,  115, 100, 121, 177, 168, 132,
                                   83,  61,  121, 169, 113, 138, 55,  38,  91,  119, 102, 119, 74,
                                   61,  60,  91,  176, 110, 106, 170, 237, 228, 191, 124, 119, 110,
                                   129, 155, 154, 154, 101, 50,  80,  146, 155, 174, 89,  43,  66,
                                   111, 139, 145, 104, 81,  50,  50,  118, 204, 171, 205, 243, 204,
                                   136, 195, 197, 159, 148, 145, 112, 135, 148, 113, 114, 149, 129,
                                   84,  117, 121, 114, 129, 129, 95,  122, 146, 113, 84,  123 });
}

/* The centre of a long line, black before its middle and white from there on, is the mean of both:
 * sizes beyond an int do not wrap around, and what the crop drops costs nothing. */
Test(resample, extreme_shapes, .timeout = 20)
{
    static const int shapes[][3] = {
        { 2000000, 1, 100000 }, { 1, 2000000, 100000 }, { 2, 1, 100000 }, { 1000, 998, 1 }
    };
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        struct sn_error error;
        float output[3];
        int w = shapes[k][0], h = shapes[k][1];
        image picture = {
            .w = w, .h = h, .c = 3, .data = calloc((size_t)w * (size_t)h * 3, sizeof(float))
        };
        for (int i = 0; i < 3 * w * h; i++) picture.data[i] = i % (w * h) >= w * h / 2;
        cr_assert_eq(resample_crop(picture, shapes[k][2], 1, 1, NULL, output, &error), SN_OK);
        for (int c = 0; c < 3; c++)
            cr_assert_eq(output[c], 128 / 255.f, "shape %zu: %g", k, (double)output[c] * 255);
        free_image(picture);
    }
}

/* A place takes the same pixels as a wider crop that begins at the edge holds there. */
Test(resample, cuts_out_at_a_place)
{
    enum { W = 9, H = 7, ACROSS = 3, DOWN = 2 };
    struct sn_error error;
    float whole[3 * W * H], part[3 * 4 * 4];
    image picture = make_picture(7, 5);
    struct resample_place start = { 0, 0 }, place = { 3.5 / (W - 4 + 1), 2.5 / (H - 4 + 1) };
    cr_assert_eq(resample_crop(picture, H, W, H, &start, whole, &error), SN_OK);
    cr_assert_eq(resample_crop(picture, H, 4, 4, &place, part, &error), SN_OK);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 4; y++)
            for (int x = 0; x < 4; x++)
                cr_assert_eq(part[(c * 4 + y) * 4 + x], whole[(c * H + y + DOWN) * W + x + ACROSS]);
    free_image(picture);
}
