#include "sweep_workers.h"

#include "sweep_time.h"

#include <ranks.h>
#include <sn_error.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- One row */

/* What a process says when it is about to measure time, and what it is told then. */
static const char READY = '\1';

/* The ends of a process's pipes. */
struct line {
    int to_parent, from_parent;
};

/* Waits until the others stand still. */
static int await_turn(const struct line *line)
{
    char answer;
    return write(line->to_parent, &READY, 1) == 1 && read(line->from_parent, &answer, 1) == 1;
}

static enum sn_status compute(const struct sweep_table *table, const struct sweep_cell *cell,
                              const struct line *line, char row[SWEEP_MAX_ROW],
                              struct sn_error *error)
{
    const struct problem *problem = table->problem;
    struct approximation a;
    struct sn_fit_options options = { .budget_bytes = cell->share > 0
                                          ? problem_share_bytes(problem, cell->share)
                                          : 0,
                                      .bits = cell->bits,
                                      .effort = problem->request->effort,
                                      .settings = problem->request->settings };
    enum sn_status status = approximation_run(problem, cell->type, &options, &a, error);
    if (status && status != SN_BAD_INPUT) return status;
    if (status) {
        sweep_table_print_row(cell, NULL, NAN, row);
        return SN_OK;
    }
    if (await_turn(line)) sweep_table_print_row(cell, &a, sweep_product_us(&a.fit), row);
    else status = sn_fail(error, SN_IO, "the parent process does not answer");
    approximation_free(&a);
    return status;
}

/* ---- Processes */

struct worker {
    pid_t process; /* 0: none */
    int pipe;      /* from it */
    int turn;      /* to it */
    int cell;
};

/* The process of a cell: READY, then its row, or a zero byte and what went wrong, go through the
 * line. It ends with its parent. */
static void work(const struct sweep_table *table, int cell, const struct line *line, pid_t parent)
    __attribute__((noreturn));
static void work(const struct sweep_table *table, int cell, const struct line *line, pid_t parent)
{
    char text[SWEEP_MAX_ROW] = "";
    struct sn_error error;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int failed = compute(table, &table->cells[cell], line, text, &error) != SN_OK;
    if (failed) snprintf(text + 1, sizeof text - 1, "%s", error.message);
    size_t n = failed ? 1 + strlen(text + 1) : strlen(text);
    _exit(write(line->to_parent, text, n) == (ssize_t)n ? 0 : 1);
}

static enum sn_status start(const struct sweep_table *table, int cell, struct worker *worker,
                            struct sn_error *error)
{
    int up[2], down[2];
    pid_t parent = getpid();
    if (pipe(up)) return sn_fail(error, SN_IO, "cannot open a pipe: %s", strerror(errno));
    if (pipe(down)) return sn_fail(error, SN_IO, "cannot open a pipe: %s", strerror(errno));
    worker->process = fork();
    if (worker->process < 0)
        return sn_fail(error, SN_IO, "cannot start a process: %s", strerror(errno));
    if (!worker->process) work(table, cell, &(struct line){ up[1], down[0] }, parent);
    close(up[1]);
    close(down[0]);
    worker->pipe = up[0];
    worker->turn = down[1];
    worker->cell = cell;
    return SN_OK;
}

static void signal_others(const struct worker *workers, int n, int chosen, int signal)
{
    for (int i = 0; i < n; i++)
        if (i != chosen && workers[i].process) kill(workers[i].process, signal);
}

/* Reads the row of workers[i], which may be READY first: then the others stand still until it has
 * measured its time. The length of the text. */
static ssize_t read_row(const struct worker *workers, int n, int i, char text[SWEEP_MAX_ROW])
{
    const struct worker *worker = &workers[i];
    ssize_t length = read(worker->pipe, text, SWEEP_MAX_ROW);
    if (length != 1 || text[0] != READY) return length;
    signal_others(workers, n, i, SIGSTOP);
    length = write(worker->turn, &READY, 1) == 1 ? read(worker->pipe, text, SWEEP_MAX_ROW) : -1;
    signal_others(workers, n, i, SIGCONT);
    return length;
}

/* Takes the row of workers[i], whose pipe has something, and writes the table. */
static enum sn_status finish(struct sweep_table *table, struct worker *workers, int n, int i,
                             struct sn_error *error)
{
    char text[SWEEP_MAX_ROW + 1];
    struct worker *worker = &workers[i];
    struct sweep_cell *cell = &table->cells[worker->cell];
    ssize_t length = read_row(workers, n, i, text);
    close(worker->pipe);
    close(worker->turn);
    waitpid(worker->process, NULL, 0);
    worker->process = 0;
    if (length < 1)
        return sn_fail(error, SN_IO,
                       "%s in %d bits at share %g: the process ended without a result",
                       cell->type->name, cell->bits, cell->share);
    text[length] = '\0';
    if (!text[0]) return sn_fail(error, SN_NO_MEMORY, "%s", text + 1);
    if (!(cell->row = strdup(text))) return sn_fail(error, SN_NO_MEMORY, "out of memory");
    return ranks_own() ? SN_OK : sweep_table_write(table, error);
}

/* Waits until some workers have something to say. */
static enum sn_status collect(struct sweep_table *table, struct worker *workers, int n,
                              struct sn_error *error)
{
    struct pollfd polls[SWEEP_MAX_WORKERS];
    enum sn_status status = SN_OK;
    for (int i = 0; i < n; i++)
        polls[i] = (struct pollfd){ workers[i].process ? workers[i].pipe : -1, POLLIN, 0 };
    if (poll(polls, (nfds_t)n, -1) < 0)
        return errno == EINTR ? SN_OK : sn_fail(error, SN_IO, "poll: %s", strerror(errno));
    for (int i = 0; i < n && !status; i++)
        if (polls[i].revents) status = finish(table, workers, n, i, error);
    return status;
}

/* The first row from number i on that is not known and this rank's to compute, or end. */
static int next_own(const struct sweep_table *table, int i, int end)
{
    while (i < end && (table->cells[i].row || i % ranks_count() != ranks_own())) i++;
    return i;
}

/* Computes this rank's of the rows from start on. */
static enum sn_status run_own(struct sweep_table *table, int start_at, int end, int n_workers,
                              struct sn_error *error)
{
    struct worker workers[SWEEP_MAX_WORKERS] = { 0 };
    int next = next_own(table, start_at, end);
    enum sn_status status = SN_OK;
    for (int n_left = 0; !status && (next < end || n_left);) {
        for (int i = 0; i < n_workers && !status; i++) {
            if (workers[i].process || next == end) continue;
            status = start(table, next, &workers[i], error);
            next = next_own(table, next + 1, end);
        }
        int known = sweep_table_n_known(table);
        command_progress((double)known / table->n, "%d of %d", known, table->n);
        if (!status) status = collect(table, workers, n_workers, error);
        n_left = 0;
        for (int i = 0; i < n_workers; i++) n_left += workers[i].process != 0;
    }
    return status;
}

/* Gives every rank the rows that the others computed. */
static enum sn_status share_rows(struct sweep_table *table, int start_at, int end,
                                 struct sn_error *error)
{
    for (int i = start_at; ranks_count() > 1 && i < end; i++) {
        struct sweep_cell *cell = &table->cells[i];
        char row[SWEEP_MAX_ROW] = "";
        if (cell->row) snprintf(row, sizeof row, "%s", cell->row);
        ranks_copy(row, sizeof row, i % ranks_count());
        if (!cell->row && !(cell->row = strdup(row)))
            return sn_fail(error, SN_NO_MEMORY, "out of memory");
    }
    return ranks_count() == 1 || ranks_own() ? SN_OK : sweep_table_write(table, error);
}

enum sn_status sweep_workers_run(struct sweep_table *table, int n_workers, struct sn_error *error)
{
    int n = ranks_count() > 1 ? n_workers * ranks_count() : table->n, end;
    enum sn_status status = SN_OK;
    fflush(NULL); /* Nothing that is buffered may be written by two processes. */
    for (int i = 0; i < table->n && !status; i = end) {
        end = i + n < table->n ? i + n : table->n;
        status = run_own(table, i, end, n_workers, error);
        if (!status) status = share_rows(table, i, end, error);
    }
    command_progress(1, " ");
    return status;
}
