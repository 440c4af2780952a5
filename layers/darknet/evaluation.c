#include "evaluation.h"

#include <image.h>
#include <string.h>

void evaluation_crop(const network *net, image decoded, float *input)
{
    image cropped = center_crop_image(decoded, net->w, net->h);
    memcpy(input, cropped.data, (size_t)net->inputs * sizeof *input);
    free_image(cropped);
}

int evaluation_rank(const float *output, int n, int class)
{
    int ahead = 0;
    for (int i = 0; i < n; i++) ahead += i != class && !(output[i] < output[class]);
    return ahead;
}
