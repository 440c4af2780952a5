/* Darknet's activations (micro_float.h) without a library of mathematics. */
#include "micro_float.h"

/* e^x - 1. With x = k log(2) + r, |r| <= log(2) / 2, it is 2^k (e^r - 1) + 2^k - 1, and e^r - 1 is
 * its Taylor polynomial of degree 7, relative error 1.5e-8. The halves of log(2) are such that k
 * times the first is exact (Cody and Waite, Software Manual for the Elementary Functions, 1980). */
static float minus_one(float x)
{
    union {
        uint32_t bits;
        float number;
    } power;
    if (!(x < 88)) x = 88;
    if (x < -87) x = -87;
    int k = (int)(x * 1.44269504f + (x < 0 ? -.5f : .5f));
    float r = x - (float)k * .693359375f + (float)k * 2.12194440e-4f, p = 1 / 5040.f;
    p = p * r + 1 / 720.f;
    p = p * r + 1 / 120.f;
    p = p * r + 1 / 24.f;
    p = p * r + 1 / 6.f;
    p = p * r + .5f;
    p = p * r * r + r;
    power.bits = (uint32_t)(k + 127) << 23;
    return power.number * p + (power.number - 1);
}

static float floor_of(float x)
{
    float whole = (float)(int32_t)x;
    return whole > x ? whole - 1 : whole;
}

float sn_micro_float_logistic(float x) { return 1 / (2 + minus_one(-x)); }

float sn_micro_float_loggy(float x)
{
    float e = minus_one(-x);
    return -e / (2 + e);
}

float sn_micro_float_tanh(float x)
{
    float e = minus_one(2 * x);
    return e / (2 + e);
}

float sn_micro_float_elu(float x) { return x < 0 ? minus_one(x) : x; }

float sn_micro_float_selu(float x) { return 1.0507f * (x < 0 ? 1.6732f * minus_one(x) : x); }

float sn_micro_float_relie(float x) { return x > 0 ? x : .01f * x; }

float sn_micro_float_ramp(float x) { return x > 0 ? 1.1f * x : .1f * x; }

float sn_micro_float_leaky(float x) { return x > 0 ? x : .1f * x; }

float sn_micro_float_plse(float x)
{
    return x < -4 ? .01f * (x + 4) : x > 4 ? .01f * (x - 4) + 1 : .125f * x + .5f;
}

float sn_micro_float_stair(float x)
{
    float n = floor_of(x), half = floor_of(x / 2);
    return n - 2 * half > 0 ? x - n + half : half;
}

float sn_micro_float_lhtan(float x) { return x < 0 ? .001f * x : x > 1 ? .001f * (x - 1) + 1 : x; }
