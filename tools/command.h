/* The subcommands of structnet. Each takes argv[0] = its name, prints its result on stdout, and
 * returns the exit status: 0, or 2 after a wrong use. Errors leave through sn_die with status 1. */
#ifndef COMMAND_H
#define COMMAND_H

#include <cjson/cJSON.h>
#include <getopt.h>

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;         /* one line for the list of commands */
    const char *usage;           /* what --help prints: this, */
    void (*print_options)(void); /* what is not known before the program runs, */
    const char *usage_end;       /* and this; the last two may be NULL */
};

extern const struct command cmd_approx, cmd_bench, cmd_calibrate, cmd_check, cmd_compress, cmd_eval,
    cmd_export, cmd_features, cmd_import, cmd_info, cmd_reconstruct, cmd_run, cmd_sweep, cmd_tune;

/* Handles the option that getopt_long returned when the command does not know it: --help prints the
 * usage on stdout and exits with 0, anything else, about which getopt_long has printed a line,
 * exits with 2. */
void command_other_option(const struct command *command, int option) __attribute__((noreturn));

/* Exits with 2 unless between minimum and maximum arguments follow the options. */
void command_check_arguments(const struct command *command, int argc, int minimum, int maximum);

/* A paragraph of --help: the name of an option in its column, and the lines of text in theirs, the
 * column of the text behind a name. */
void command_print_option(int column, const char *name, const char *text);

/* Ends with one line and status 2. */
void command_usage_error(const struct command *command, const char *format, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* The argument of an option as a number within [minimum, maximum]; anything else is a wrong use. */
double command_number(const struct command *command, const char *option, const char *text,
                      double minimum, double maximum);

int command_whole_number(const struct command *command, const char *option, const char *text,
                         int minimum, int maximum);

/* Shares the threads that OpenBLAS would use (OPENBLAS_NUM_THREADS, or all cores) out between so
 * many processes. Each uses them in panels (panels.h), so that results do not depend on them. */
void command_use_threads(int n_processes);

/* Begins the ranks of mpirun (ranks.h), and await. */
void command_ranks_begin(void);

/* What is wrong for all ranks is said by rank 0: the others wait in await until it comes to go, or
 * ends all. */
void command_ranks_await(void);
void command_ranks_go(void);

/* Seconds since some moment in the past, on a clock that never jumps. */
double command_seconds(void);

/* What --json prints: root on stdout, which is deleted. */
void command_print_json(cJSON *root);

/* A bar on stderr, when that is a terminal: done in 0..1 and a short text behind it. done >= 1
 * erases it. */
void command_progress(double done, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
