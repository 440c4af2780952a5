/* Longer work as steps, each of which is a command of structnet, or of a program beside it, in a
 * process of its own, as a user would give it: what a step needs of memory ends with it, and the
 * commands can be shown.
 *
 * A step has a name, and FOLDER/NAME.json records its command line and what it printed. The same
 * step is not run again as long as the record has the same command line; whoever chooses the folder
 * sees to it that files of the same names have the same bytes.
 *
 * Over several ranks (ranks.h), which must all see the folder, all call for the same steps in the
 * same order; rank 0 runs those that are not there. */
#ifndef STEPS_H
#define STEPS_H

#include <cjson/cJSON.h>
#include <sn_error.h>

enum { STEPS_MAX_WORDS = 48, STEPS_MAX_PATH = 4096 };

struct steps {
    const char *folder;
    int is_alone; /* this rank runs steps itself that no other one calls for at the same time */
    int n_run;    /* steps that this rank ran as they were not there */
};

struct step {
    const char *name;
    const char *output; /* a file without which it is run again; NULL: none */
    int may_fail;       /* a failure is its result, and recorded like one */
    int is_long;        /* it shows its own progress */
    int is_other;       /* the words are a whole command line, of a program that may stand beside
                         * structnet; what it prints is progress, its result an empty object */
    int n;
    char *words[STEPS_MAX_WORDS + 1]; /* the command and its arguments, free(); NULL: no memory */
};

/* Adds a word of the command line, the command's name first, or the program's. */
void steps_add(struct step *step, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Adds words up to a NULL; an option and the word behind it. */
void steps_words(struct step *step, const char *const words[]);
void steps_option(struct step *step, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A number of what a command printed, NaN where it printed none. */
double steps_number(const cJSON *object, const char *key);

/* Runs the command, of structnet with --json, unless its record is there, and frees the words.
 * *result is the object that it printed (cJSON_Delete), or NULL when it failed and may: error has
 * the command's own line then. SN_IO, SN_NO_MEMORY; SN_BAD_INPUT with that line when it may not
 * fail. */
enum sn_status steps_run(struct steps *steps, struct step *step, cJSON **result,
                         struct sn_error *error);

/* Whether steps_run would only read the record. */
int steps_is_done(const struct steps *steps, const struct step *step);

/* Whether a file is there, for rank 0 where there are several. */
int steps_has_file(const struct steps *steps, const char *path);

/* How many steps all ranks ran. */
int steps_n_run(const struct steps *steps);

/* The command line of a step, and the one that the record of a step has, as a shell takes them
 * (free()); NULL without memory, or without a record. */
char *steps_join(const struct step *step);
char *steps_command(const struct steps *steps, const char *name);

/* Writes FOLDER/NAME.suffix. SN_BAD_INPUT when it is too long. */
enum sn_status steps_path(const struct steps *steps, const char *name, const char *suffix,
                          char path[STEPS_MAX_PATH], struct sn_error *error);

#endif
