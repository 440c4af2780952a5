/* structnet: one binary, one subcommand per file cmd_*.c. */
#include "command.h"

#include <isa.h>
#include <plug_blas.h>
#include <plug_errors.h>
#include <structnet.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command *const commands[] = { &cmd_approx, &cmd_bench,       &cmd_calibrate,
                                                  &cmd_check,  &cmd_compress,    &cmd_eval,
                                                  &cmd_export, &cmd_features,    &cmd_import,
                                                  &cmd_info,   &cmd_reconstruct, &cmd_run,
                                                  &cmd_sweep,  &cmd_tune };
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(FILE *file)
{
    fprintf(file, "usage: structnet COMMAND [OPTION]... [ARGUMENT]...\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(file, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(file, "\n\"structnet COMMAND --help\" explains a command.\n");
}

/* Names of files stand in messages, in tables, in exported C and in what gnuplot reads. */
static void check_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct sn_error error;
        if (sn_is_printable(argv[i])) continue;
        sn_fail(&error, SN_BAD_INPUT, "argument %d: expected no control characters, found '%s'", i,
                argv[i]);
        fprintf(stderr, "structnet: %s\n", error.message);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    char program[64];
    const char *name = argc > 1 ? argv[1] : "";
#ifdef M_MMAP_THRESHOLD
    /* Matrices go back to the system as they are freed. The limit that glibc sets itself would rise
     * with the first of them, and those that follow would leave gaps in the heap. */
    mallopt(M_MMAP_THRESHOLD, 1 << 22);
#endif
    check_arguments(argc, argv);
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {
        fprintf(stderr, "structnet: standard output: cannot write: %s\n", strerror(errno));
        return 1; /* A file that is opened would take its place. */
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
        print_usage(stdout);
        return 0;
    }
    if (!strcmp(name, "--version")) {
        printf("structnet %s\nOpenBLAS core %s\nkernels %s\n", structnet_version(),
               plug_blas_core(), sn_kernels()->name);
        return 0;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i]->name, name)) continue;
        snprintf(program, sizeof program, "structnet %s", name);
        sn_program = argv[1] = program; /* getopt_long takes it from there. */
        int status = commands[i]->run(argc - 1, argv + 1);
        if (!fflush(stdout) && !ferror(stdout)) return status;
        fprintf(stderr, "%s: standard output: cannot write\n", program);
        return 1;
    }
    if (argc > 1) fprintf(stderr, "structnet: unknown command '%s'\n", name);
    print_usage(stderr);
    return 2;
}
