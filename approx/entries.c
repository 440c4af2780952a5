#include "entries.h"

#include <math.h>

static const float largest = 0x1p60f;

enum sn_status sn_entries_check(const char *what, const float *values, size_t rows, size_t columns,
                                struct sn_error *error)
{
    const char *colon = *what ? ": " : "";
    for (size_t i = 0; i < rows * columns; i++) {
        if (!isfinite(values[i]))
            return sn_fail(error, SN_BAD_INPUT,
                           "%s%srow %zu, column %zu: found %g, expected a finite number", what,
                           colon, i / columns, i % columns, (double)values[i]);
        if (fabsf(values[i]) > largest)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s%srow %zu, column %zu: found %g, expected at most %g in size", what,
                           colon, i / columns, i % columns, (double)values[i], (double)largest);
    }
    return SN_OK;
}
