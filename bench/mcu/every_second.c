/* every_second BYTES: of stdin's records of so many bytes the second, the fourth and so on. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t n = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    char *record = n ? malloc(n) : NULL;
    if (!record) {
        fprintf(stderr, "usage: every_second BYTES\n");
        return 2;
    }
    for (size_t i = 0; fread(record, 1, n, stdin) == n; i++)
        if (i % 2) fwrite(record, 1, n, stdout);
    free(record);
    return ferror(stdin) || fflush(stdout) ? 1 : 0;
}
