#include "approx.h"

#include <stdlib.h>
#include <string.h>

sn_fit_function *sn_fit_find(const struct sn_family *family)
{
#define FAMILY(x) if (!strcmp(family->name, #x)) return x##_fit;
#include "families.def"
#undef FAMILY
    return NULL;
}

void sn_fit_free(struct sn_fit *fit)
{
    free(fit->matrix);
    free(fit->words);
    memset(fit, 0, sizeof *fit);
}
