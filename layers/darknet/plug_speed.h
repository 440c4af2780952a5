/* Darknet's functions of plug_speed.c: __real_ is the stock one, __wrap_ is called in its place. */
#ifndef PLUG_SPEED_H
#define PLUG_SPEED_H

#include <activations.h>
#include <maxpool_layer.h>

void __real_im2col_cpu(float *data_im, int channels, int height, int width, int ksize, int stride,
                       int pad, float *data_col);
void __real_col2im_cpu(float *data_col, int channels, int height, int width, int ksize, int stride,
                       int pad, float *data_im);
void __real_forward_batchnorm_layer(layer l, network net);
void __real_backward_batchnorm_layer(layer l, network net);
void __real_activate_array(float *x, const int n, const ACTIVATION a);
void __real_gradient_array(const float *x, const int n, const ACTIVATION a, float *delta);
maxpool_layer __real_make_maxpool_layer(int batch, int h, int w, int c, int size, int stride,
                                        int padding);
void __real_fill_cpu(int n, float value, float *x, int stride);
float *__real_network_predict(network *net, float *input);

void __wrap_im2col_cpu(float *data_im, int channels, int height, int width, int ksize, int stride,
                       int pad, float *data_col);
void __wrap_col2im_cpu(float *data_col, int channels, int height, int width, int ksize, int stride,
                       int pad, float *data_im);
void __wrap_forward_batchnorm_layer(layer l, network net);
void __wrap_backward_batchnorm_layer(layer l, network net);
void __wrap_activate_array(float *x, const int n, const ACTIVATION a);
void __wrap_gradient_array(const float *x, const int n, const ACTIVATION a, float *delta);
maxpool_layer __wrap_make_maxpool_layer(int batch, int h, int w, int c, int size, int stride,
                                        int padding);
void __wrap_fill_cpu(int n, float value, float *x, int stride);
float *__wrap_network_predict(network *net, float *input);

#endif
