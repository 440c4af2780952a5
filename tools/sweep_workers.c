#include "sweep_workers.h"

#include <sn_error.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- One row */

static enum sn_status compute_dense(const struct sweep_table *table, const struct sweep_cell *cell,
                                    char row[SWEEP_MAX_ROW], struct sn_error *error)
{
    const struct problem *problem = table->problem;
    double bytes = problem_dense_bytes(problem);
    struct judgement judged = { problem->judge.n ? 0 : NAN, NAN,
                                approximation_dense_top1(problem, error) };
    if (judged.top1 < 0) return SN_NO_MEMORY;
    sweep_table_print_row(cell, bytes, bytes / sizeof(float), 0, &judged, NAN, row);
    return SN_OK;
}

static enum sn_status compute(const struct sweep_table *table, const struct sweep_cell *cell,
                              char row[SWEEP_MAX_ROW], struct sn_error *error)
{
    const struct problem *problem = table->problem;
    struct approximation a;
    struct sn_fit_options options = { .budget_bytes = problem_share_bytes(problem, cell->share),
                                      .effort = problem->request->effort,
                                      .settings = problem->request->settings };
    if (!cell->type) return compute_dense(table, cell, row, error);
    enum sn_status status = approximation_run(problem, cell->type, &options, &a, error);
    if (status && status != SN_BAD_INPUT) return status;
    if (status)
        sweep_table_print_row(cell, NAN, NAN, NAN, &(struct judgement){ NAN, NAN, NAN }, NAN, row);
    else {
        sweep_table_print_row(cell, (double)a.bytes, (double)a.params, a.error, &a.judged,
                              a.seconds, row);
        approximation_free(&a);
    }
    return SN_OK;
}

/* ---- Processes */

struct worker {
    pid_t process; /* 0: none */
    int pipe;
    int cell;
};

/* The process of a cell: its row, or a zero byte and what went wrong, goes through the pipe. It
 * ends with its parent. */
static void work(const struct sweep_table *table, int cell, int pipe_end, pid_t parent)
    __attribute__((noreturn));
static void work(const struct sweep_table *table, int cell, int pipe_end, pid_t parent)
{
    char text[SWEEP_MAX_ROW] = "";
    struct sn_error error;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int failed = compute(table, &table->cells[cell], text, &error) != SN_OK;
    if (failed) snprintf(text + 1, sizeof text - 1, "%s", error.message);
    size_t n = failed ? 1 + strlen(text + 1) : strlen(text);
    _exit(write(pipe_end, text, n) == (ssize_t)n ? 0 : 1);
}

static enum sn_status start(const struct sweep_table *table, int cell, struct worker *worker,
                            struct sn_error *error)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe(ends)) return sn_fail(error, SN_IO, "cannot open a pipe: %s", strerror(errno));
    worker->process = fork();
    if (worker->process < 0)
        return sn_fail(error, SN_IO, "cannot start a process: %s", strerror(errno));
    if (!worker->process) work(table, cell, ends[1], parent);
    close(ends[1]);
    worker->pipe = ends[0];
    worker->cell = cell;
    return SN_OK;
}

/* Takes the row of a worker whose pipe has something, and writes the table. */
static enum sn_status finish(struct sweep_table *table, struct worker *worker,
                             struct sn_error *error)
{
    char text[SWEEP_MAX_ROW + 1];
    struct sweep_cell *cell = &table->cells[worker->cell];
    ssize_t n = read(worker->pipe, text, SWEEP_MAX_ROW);
    close(worker->pipe);
    waitpid(worker->process, NULL, 0);
    worker->process = 0;
    if (n < 1)
        return sn_fail(error, SN_IO, "%s at share %g: the process ended without a result",
                       cell->type ? cell->type->name : "dense", cell->share);
    text[n] = '\0';
    if (!text[0]) return sn_fail(error, SN_NO_MEMORY, "%s", text + 1);
    if (!(cell->row = strdup(text))) return sn_fail(error, SN_NO_MEMORY, "out of memory");
    return sweep_table_write(table, error);
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
        if (polls[i].revents) status = finish(table, &workers[i], error);
    return status;
}

enum sn_status sweep_workers_run(struct sweep_table *table, int n_workers, struct sn_error *error)
{
    struct worker workers[SWEEP_MAX_WORKERS] = { 0 };
    int next = 0;
    enum sn_status status = SN_OK;
    fflush(NULL); /* Nothing that is buffered may be written by two processes. */
    for (int known; !status && (known = sweep_table_n_known(table)) < table->n;) {
        command_progress((double)known / table->n, "%d of %d", known, table->n);
        for (int i = 0; i < n_workers && !status; i++) {
            while (next < table->n && table->cells[next].row) next++;
            if (!workers[i].process && next < table->n)
                status = start(table, next++, &workers[i], error);
        }
        if (!status) status = collect(table, workers, n_workers, error);
    }
    command_progress(1, " ");
    return status;
}
