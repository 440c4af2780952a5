/* The time of a product. */
#ifndef SWEEP_TIME_H
#define SWEEP_TIME_H

#include <structnet.h>

/* Microseconds of one product of a fit's matrix with one vector, the median of some rounds of warm
 * ones. NAN when memory runs out. Takes some hundredths of a second. */
double sweep_product_us(const struct sn_fit *fit);

#endif
