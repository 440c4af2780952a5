#include "steps.h"

#include "command.h"

#include <ranks.h>
#include <whole_file.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void add_word(struct step *step, const char *format, va_list arguments)
{
    char *word = NULL;
    if (step->n == STEPS_MAX_WORDS) return;
    step->words[step->n++] = vasprintf(&word, format, arguments) < 0 ? NULL : word;
}

void steps_add(struct step *step, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add_word(step, format, arguments);
    va_end(arguments);
}

void steps_words(struct step *step, const char *const words[])
{
    for (; *words; words++) steps_add(step, "%s", *words);
}

void steps_option(struct step *step, const char *name, const char *format, ...)
{
    va_list arguments;
    steps_add(step, "%s", name);
    va_start(arguments, format);
    add_word(step, format, arguments);
    va_end(arguments);
}

static int has_all_words(const struct step *step)
{
    for (int i = 0; i < step->n; i++)
        if (!step->words[i]) return 0;
    return step->n < STEPS_MAX_WORDS;
}

static void free_words(struct step *step)
{
    while (step->n) free(step->words[--step->n]);
}

enum sn_status steps_path(const struct steps *steps, const char *name, const char *suffix,
                          char path[STEPS_MAX_PATH], struct sn_error *error)
{
    if (snprintf(path, STEPS_MAX_PATH, "%s/%s.%s", steps->folder, name, suffix) < STEPS_MAX_PATH)
        return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: a path of more than %d bytes", steps->folder,
                   STEPS_MAX_PATH - 1);
}

/* ---- Text of a command line */

/* A word as a shell takes it, quoted where it must be (free()); NULL without memory. */
static char *quote(const char *word)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=,:+@%";
    char *text = malloc(4 * strlen(word) + 3), *end = text;
    if (!text) return NULL;
    int is_plain = *word && !word[strspn(word, plain)];
    if (!is_plain) *end++ = '\'';
    for (; *word; word++) end += sprintf(end, *word == '\'' ? "'\\''" : "%c", *word);
    if (!is_plain) *end++ = '\'';
    *end = '\0';
    return text;
}

char *steps_join(const struct step *step)
{
    char *text = NULL;
    size_t size;
    int failed = !has_all_words(step);
    FILE *file = failed ? NULL : open_memstream(&text, &size);
    if (!file) return NULL;
    if (!step->is_other) fputs("structnet ", file);
    for (int i = 0; i < step->n; i++) {
        char *word = quote(step->words[i]);
        failed |= !word;
        if (word) fprintf(file, "%s%s", i ? " " : "", word);
        free(word);
    }
    if (!fclose(file) && !failed) return text;
    free(text);
    return NULL;
}

/* All of a file from its beginning (free()); NULL when it cannot be read. */
static char *read_all(FILE *file)
{
    char *text = NULL;
    size_t size;
    FILE *copy = open_memstream(&text, &size);
    if (!copy) return NULL;
    rewind(file);
    for (int c; (c = getc(file)) != EOF;) putc(c, copy);
    int failed = ferror(file) | fclose(copy);
    if (!failed) return text;
    free(text);
    return NULL;
}

/* ---- Records */

static const char *string_of(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItem(object, key));
    return text ? text : "";
}

static cJSON *read_record(const struct steps *steps, const char *name)
{
    char path[STEPS_MAX_PATH];
    struct sn_error error;
    FILE *file = steps_path(steps, name, "json", path, &error) ? NULL : fopen(path, "r");
    char *text = file ? read_all(file) : NULL;
    cJSON *record = text ? cJSON_Parse(text) : NULL;
    free(text);
    if (file) fclose(file);
    return record;
}

static enum sn_status write_record(const struct steps *steps, const char *name, const cJSON *record,
                                   struct sn_error *error)
{
    char path[STEPS_MAX_PATH];
    struct whole_file out = { 0 };
    char *text = cJSON_Print(record);
    enum sn_status status = text ? steps_path(steps, name, "json", path, error)
                                 : sn_no_memory(error, "a record");
    if (!status) status = whole_file_open(&out, path, error);
    if (!status) {
        fprintf(out.file, "%s\n", text);
        status = whole_file_close(&out, error);
    }
    if (!status) status = whole_file_publish(&out, error);
    cJSON_free(text);
    return status;
}

static int is_record_of(const cJSON *record, const struct step *step, const char *command)
{
    return !strcmp(string_of(record, "command"), command)
        && (!step->output || !access(step->output, F_OK) || cJSON_HasObjectItem(record, "error"));
}

/* The record of the step (cJSON_Delete), or NULL where it must be run. */
static cJSON *find_record(const struct steps *steps, const struct step *step, const char *command)
{
    cJSON *record = read_record(steps, step->name);
    if (record && is_record_of(record, step, command)) return record;
    cJSON_Delete(record);
    return NULL;
}

/* What rank 0 knows; files may appear at other ranks at other times. */
static int agree(const struct steps *steps, int value)
{
    if (!steps->is_alone) ranks_copy(&value, sizeof value, 0);
    return value;
}

int steps_is_done(const struct steps *steps, const struct step *step)
{
    char *command = steps_join(step);
    cJSON *record = command ? find_record(steps, step, command) : NULL;
    int is_done = record != NULL;
    cJSON_Delete(record);
    free(command);
    return agree(steps, is_done);
}

int steps_has_file(const struct steps *steps, const char *path)
{
    return agree(steps, !access(path, F_OK));
}

int steps_n_run(const struct steps *steps) { return ranks_sum(steps->n_run); }

/* ---- Processes */

/* Programs that stand beside this one are found before others of their names. */
static void look_beside(void)
{
    static char *path;
    char self[STEPS_MAX_PATH];
    const char *before = getenv("PATH");
    ssize_t n = path ? -1 : readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0) return;
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    if (asprintf(&path, "%s%s%s", self, before ? ":" : "", before ? before : "") < 0) path = NULL;
    else setenv("PATH", path, 1);
}

/* The command in the place of this process, which ends with its parent. */
static void become(const struct step *step, FILE *out, FILE *err, pid_t parent)
    __attribute__((noreturn));
static void become(const struct step *step, FILE *out, FILE *err, pid_t parent)
{
    char *arguments[STEPS_MAX_WORDS + 3] = { "structnet" };
    char **words = step->is_other ? arguments : arguments + 1;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    memcpy(words, step->words, (size_t)step->n * sizeof *words);
    if (!step->is_other) words[step->n] = "--json";
    dup2(out ? fileno(out) : STDERR_FILENO, STDOUT_FILENO);
    if (err) dup2(fileno(err), STDERR_FILENO);
    if (step->is_other) execvp(*words, words);
    else execv("/proc/self/exe", arguments);
    _exit(127);
}

/* Runs a command; its status as waitpid() gives it, -1 when it did not start. */
static int run(const struct step *step, FILE *out, FILE *err)
{
    int status;
    if (step->is_other) look_beside();
    fflush(NULL); /* Nothing that is buffered may be written by two processes. */
    pid_t parent = getpid(), process = fork();
    if (!process) become(step, out, err, parent);
    if (process < 0) return -1;
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return status;
}

/* The last line of text, which goes; behind warnings and the like an error is what ends a command.
 */
static const char *last_line(char *text)
{
    size_t n = strlen(text);
    while (n && text[n - 1] == '\n') text[--n] = '\0';
    const char *before = strrchr(text, '\n');
    return before ? before + 1 : text;
}

/* What a failed command said, as one line. */
static enum sn_status fail(const struct step *step, int status, FILE *err, struct sn_error *error)
{
    char *text = err ? read_all(err) : NULL;
    const char *program = step->is_other ? "" : "structnet ";
    if (text && *text) sn_fail(error, SN_BAD_INPUT, "%s", last_line(text));
    else if (status != -1 && WIFSIGNALED(status))
        sn_fail(error, SN_IO, "%s%s: ended by signal %d", program, step->words[0],
                WTERMSIG(status));
    else sn_fail(error, SN_IO, "%s%s: did not end well", program, step->words[0]);
    free(text);
    return error->code;
}

/* The record of a run (cJSON_Delete); NULL with error filled. */
static cJSON *take_record(const struct step *step, const char *command, int status, FILE *out,
                          FILE *err, struct sn_error *error)
{
    cJSON *record = cJSON_CreateObject();
    char *text = step->is_other ? strdup("{}") : read_all(out);
    cJSON *result = !status && text ? cJSON_Parse(text) : NULL;
    free(text);
    cJSON_AddStringToObject(record, "command", command);
    if (result) cJSON_AddItemToObject(record, "result", result);
    else if (fail(step, status, err, error) != SN_BAD_INPUT || !step->may_fail) {
        cJSON_Delete(record);
        return NULL;
    } else cJSON_AddStringToObject(record, "error", error->message);
    return record;
}

static cJSON *make_record(const struct steps *steps, const struct step *step, const char *command,
                          struct sn_error *error)
{
    /* Of a command that shows its progress: that stands on stderr, of other programs on stdout. */
    int is_seen = step->is_long && isatty(STDERR_FILENO);
    int is_out_seen = is_seen && step->is_other, is_err_seen = is_seen && !step->is_other;
    FILE *out = is_out_seen ? NULL : tmpfile(), *err = is_err_seen ? NULL : tmpfile();
    cJSON *record = NULL;
    if ((!out && !is_out_seen) || (!err && !is_err_seen))
        sn_fail(error, SN_IO, "cannot make a temporary file: %s", strerror(errno));
    else record = take_record(step, command, run(step, out, err), out, err, error);
    if (out) fclose(out);
    if (err) fclose(err);
    if (record && write_record(steps, step->name, record, error)) {
        cJSON_Delete(record);
        return NULL;
    }
    return record;
}

/* The record of the step, which this rank or rank 0 makes where it is not there. */
static cJSON *need_record(struct steps *steps, const struct step *step, const char *command,
                          struct sn_error *error)
{
    int is_maker = steps->is_alone || !ranks_own();
    cJSON *record = is_maker ? find_record(steps, step, command) : NULL;
    if (is_maker && !record) {
        record = make_record(steps, step, command, error);
        steps->n_run++;
    }
    if (steps->is_alone) return record;
    ranks_wait();
    if (!is_maker && !(record = find_record(steps, step, command)))
        sn_fail(error, SN_IO, "%s: expected the record of %s, which rank 0 wrote, found none",
                steps->folder, step->name);
    return record;
}

enum sn_status steps_run(struct steps *steps, struct step *step, cJSON **result,
                         struct sn_error *error)
{
    char *command = steps_join(step);
    cJSON *record = command ? need_record(steps, step, command, error) : NULL;
    *result = NULL;
    if (!command) sn_no_memory(error, "a command line");
    free(command);
    free_words(step);
    if (!record) return error->code;
    *result = cJSON_DetachItemFromObject(record, "result");
    if (!*result) sn_fail(error, SN_BAD_INPUT, "%s", string_of(record, "error"));
    cJSON_Delete(record);
    return SN_OK;
}

char *steps_command(const struct steps *steps, const char *name)
{
    cJSON *record = read_record(steps, name);
    char *command = record ? strdup(string_of(record, "command")) : NULL;
    cJSON_Delete(record);
    return command;
}

double steps_number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : (double)NAN;
}
