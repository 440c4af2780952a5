#include "command.h"

#include <panels.h>
#include <plug_errors.h>
#include <ranks.h>

#include <cblas.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void command_other_option(const struct command *command, int option)
{
    if (option != 'h') exit(2);
    if (!ranks_own()) {
        fputs(command->usage, stdout);
        if (command->print_options) command->print_options();
        if (command->usage_end) fputs(command->usage_end, stdout);
    }
    command_ranks_go();
    exit(0);
}

void command_print_option(int column, const char *name, const char *text)
{
    printf("%s%*s", name, column - (int)strlen(name), "");
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\n");
        n += text[n] == '\n';
        printf("%.*s", (int)n, text);
        if (text[n]) printf("%*s", column, "");
    }
    putchar('\n');
}

void command_check_arguments(const struct command *command, int argc, int minimum, int maximum)
{
    int n = argc - optind;
    if (n < minimum || n > maximum)
        command_usage_error(command, "expected %d to %d arguments, found %d", minimum, maximum, n);
}

void command_usage_error(const struct command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "structnet %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "; see 'structnet %s --help'\n", command->name);
    va_end(arguments);
    exit(2);
}

double command_number(const struct command *command, const char *option, const char *text,
                      double minimum, double maximum)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= minimum && value <= maximum))
        command_usage_error(command, "%s: expected a number from %g to %g, found '%s'", option,
                            minimum, maximum, text);
    return value;
}

int command_whole_number(const struct command *command, const char *option, const char *text,
                         int minimum, int maximum)
{
    double value = command_number(command, option, text, minimum, maximum);
    if (value != floor(value))
        command_usage_error(command, "%s: expected a whole number, found '%s'", option, text);
    return (int)value;
}

void command_use_threads(int n_processes)
{
    int n = openblas_get_num_threads() / n_processes;
    openblas_set_num_threads(1);
    sn_threads_set(n > 1 ? n : 1);
}

void command_ranks_begin(void)
{
    ranks_begin();
    command_ranks_await();
}

void command_ranks_await(void)
{
    if (ranks_own()) ranks_wait();
}

void command_ranks_go(void)
{
    if (!ranks_own()) ranks_wait();
}

double command_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void command_print_json(cJSON *root)
{
    char *text = cJSON_Print(root);
    puts(text ? text : "null");
    cJSON_free(text);
    cJSON_Delete(root);
}

void command_progress(double done, const char *format, ...)
{
    enum { WIDTH = 40 };
    static int shown = -1;
    static double shown_at;
    if (!isatty(STDERR_FILENO)) return;
    int filled = (int)(fmin(1, fmax(0, done)) * WIDTH);
    char text[80];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (done >= 1) {
        fprintf(stderr, "\r%*s\r", WIDTH + (int)sizeof text, "");
        shown = -1;
    } else if (filled != shown || command_seconds() - shown_at > .5) {
        fprintf(stderr, "\r[%.*s%*s] %3.0f %% %s  ", filled,
                "########################################", WIDTH - filled, "", 100 * done, text);
        shown = filled;
        shown_at = command_seconds();
    }
}
