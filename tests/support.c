#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double random_uniform(uint64_t *state, double from, double to)
{
    return from + (to - from) * (double)(next_random(state) >> 11) / 9007199254740992.;
}

int random_int(uint64_t *state, int from, int to)
{
    return from + (int)(next_random(state) % (uint64_t)(to - from + 1));
}

static char directory[64];
static int no_cleanup;

static void remove_directory(void)
{
    char command[96];
    if (no_cleanup) return;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command)) perror(directory);
}

const char *temporary_path(const char *name)
{
    static char path[256];
    static pid_t owner;
    if (owner != getpid() && !directory[0]) {
        owner = getpid();
        snprintf(directory, sizeof directory, "/tmp/structnet-test-%ld", (long)owner);
        mkdir(directory, 0700);
        atexit(remove_directory);
    }
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

void write_file(const char *path, const void *data, size_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(data, 1, n_bytes, file) != n_bytes || fclose(file)) abort();
}

char *read_file_bytes(const char *path, size_t *n_bytes)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file || fstat(fileno(file), &status)) abort();
    *n_bytes = (size_t)status.st_size;
    char *data = malloc(*n_bytes + 1);
    if (!data || fread(data, 1, *n_bytes, file) != *n_bytes) abort();
    fclose(file);
    return data;
}

network *net_from_text(const char *text, unsigned seed)
{
    const char *path = temporary_path("net.cfg");
    write_file(path, text, strlen(text));
    srand(seed);
    fflush(stderr);
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    network *net = parse_network_cfg((char *)path);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null);
    return net;
}

struct sn_matrix *matrix_from_text(const char *section, int n_outputs, int n_inputs,
                                   struct cfg_text **cfg, struct sn_error *error)
{
    const char *path = temporary_path("section.cfg");
    write_file(path, section, strlen(section));
    *cfg = cfg_read(path, error);
    if (!*cfg) return NULL;
    const struct cfg_section *only = &(*cfg)->sections[0];
    return sn_matrix_parse(sn_family_find(only->name), only, n_outputs, n_inputs, error);
}

int psm_reads_back(struct psm *shape, const float *words)
{
    size_t n_bytes = shape->n_storage * sizeof *shape->storage;
    void *kept = malloc(n_bytes);
    memcpy(kept, shape->storage, n_bytes);
    int same = !psm_family.unpack(&shape->matrix, words, NULL)
        && !memcmp(kept, shape->storage, n_bytes);
    free(kept);
    return same;
}

int run_in_child(void (*action)(const void *argument), const void *argument, char *text,
                 size_t size)
{
    int pipe_ends[2], status;
    temporary_path(""); /* The directory belongs to the parent. */
    fflush(NULL);
    if (pipe(pipe_ends)) abort();
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[1], STDERR_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        no_cleanup = 1; /* exit() in the child must not remove the parent's files. */
        action(argument);
        _exit(0);
    }
    close(pipe_ends[1]);
    size_t n = 0;
    ssize_t count;
    while ((count = read(pipe_ends[0], text + n, size - 1 - n)) > 0) n += (size_t)count;
    text[n] = '\0';
    close(pipe_ends[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void train_random(network *net, int n_batches, uint64_t seed, float *losses)
{
    for (int i = 0; i < n_batches; i++) {
        for (int k = 0; k < net->inputs * net->batch; k++)
            net->input[k] = (float)random_uniform(&seed, 0, 1);
        memset(net->truth, 0, sizeof(float) * (size_t)(net->truths * net->batch));
        for (int b = 0; b < net->batch; b++)
            net->truth[b * net->truths + random_int(&seed, 0, net->truths - 1)] = 1;
        losses[i] = train_network_datum(net);
    }
}
