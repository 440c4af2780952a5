/* Loaded in front of a program, makes OpenBLAS take its oldest kernels, as for a processor that it
 * does not know: the first question for OPENBLAS_CORETYPE is OpenBLAS's, before the program runs.
 */
#include <string.h>

char *secure_getenv(const char *name);
char *getenv(const char *name);

char *getenv(const char *name)
{
    static char oldest[] = "Prescott";
    static int n_questions;
    char *value = secure_getenv(name);
    return !value && !strcmp(name, "OPENBLAS_CORETYPE") && !n_questions++ ? oldest : value;
}
