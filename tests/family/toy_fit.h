/* The approximation by a diagonal plus a matrix of rank one. */
#ifndef TOY_FIT_H
#define TOY_FIT_H

#include <fit.h>

/* Type toy, and the option --steps. */
extern const struct sn_fitter toy_fitter;

#endif
