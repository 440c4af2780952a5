/* Views of images. */
#include <pictures.h>

#include <criterion/criterion.h>
#include <stdlib.h>

enum { SIDE = 16, SIZE = 4 };

/* Values grow from left to right in the first channel, from top to bottom in the second. */
static image make_picture(void)
{
    image picture = { SIDE, SIDE, 3, calloc(SIDE * SIDE * 3, sizeof(float)) };
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            picture.data[y * SIDE + x] = (float)(10 * x) / 255.f;
            picture.data[(SIDE + y) * SIDE + x] = (float)(10 * y) / 255.f;
        }
    return picture;
}

/* Sums over the left and right half of the first channel, and of the second channel. */
struct sums {
    double left, right, down;
};

static struct sums sums_of(int resize, const struct pictures_view *view)
{
    network net = { .w = SIZE, .h = SIZE, .c = 3, .inputs = SIZE * SIZE * 3 };
    float input[SIZE * SIZE * 3];
    struct sn_error error;
    struct sums sums = { 0 };
    image picture = make_picture();
    cr_assert_eq(pictures_prepare(picture, &net, resize, view, input, &error), SN_OK);
    for (int i = 0; i < SIZE * SIZE; i++) {
        *(i % SIZE < SIZE / 2 ? &sums.left : &sums.right) += (double)input[i];
        sums.down += (double)input[SIZE * SIZE + i];
    }
    free_image(picture);
    return sums;
}

Test(pictures, views_move_across_and_down)
{
    for (int resize = 0; resize <= 8; resize += 8) {
        struct pictures_view here = { .place = { 0, 0 } }, across = { .place = { .99, 0 } },
                             down = { .place = { 0, .99 } };
        struct sums first = sums_of(resize, &here), second = sums_of(resize, &across),
                    third = sums_of(resize, &down);
        cr_expect_gt(second.left, first.left + .1);
        cr_expect_float_eq(second.down, first.down, 1e-5);
        cr_expect_gt(third.down, first.down + .1);
        cr_expect_float_eq(third.left, first.left, 1e-5);
    }
}

Test(pictures, flipped_views_swap_left_and_right)
{
    for (int resize = 0; resize <= 8; resize += 8) {
        struct pictures_view plain = { .place = { .5, .5 } },
                             flipped = { .place = { .5, .5 }, .is_flipped = 1 };
        struct sums first = sums_of(resize, &plain), second = sums_of(resize, &flipped);
        cr_expect_gt(first.right, first.left + .1);
        cr_expect_float_eq(second.left, first.right, 1e-5);
        cr_expect_float_eq(second.down, first.down, 1e-5);
    }
}
