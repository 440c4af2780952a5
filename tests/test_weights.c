/* .weights files: what is saved is what is loaded, and what is damaged is refused. */
#include "support.h"

#include <command.h>
#include <psm.h>
#include <structured_layer.h>
#include <weights_file.h>
#include <whole_file.h>

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char net_text[] =
    "[net]\nbatch=4\nheight=6\nwidth=6\nchannels=3\nlearning_rate=0.05\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
    "[sss]\noutput=30\nactivation=leaky\nbatch_normalize=1\n"
    "inputs=0,100,44\noutputs=10,0,20\ncausal=0,5\nanticausal=3,2\n"
    "[psm]\noutput=20\nactivation=leaky\nfactors=2\ninner=25\nnonzeros=101,203\n"
    "[psm]\noutput=18\nactivation=leaky\nfactors=2\ninner=21\nnonzeros=60,128\n"
    "index=8,8\nblock=4\norder=1\n"
    "[connected]\noutput=12\nactivation=leaky\nbatch_normalize=1\n"
    "[sss]\noutput=7\nactivation=linear\nstages=3\nstates=2\n"
    "[softmax]\n";

static char saved[256], again[256];

static void set_paths(void)
{
    snprintf(saved, sizeof saved, "%s", temporary_path("saved.weights"));
    snprintf(again, sizeof again, "%s", temporary_path("again.weights"));
}

/* A trained net, its outputs in another order, so that every stored array differs from its start,
 * saved. */
static network *save_trained(unsigned seed, const char *path)
{
    float losses[5];
    network *net = net_from_text(net_text, seed);
    train_random(net, 5, seed, losses);
    struct psm *psm = (struct psm *)structured_matrix(&net->layers[3]);
    for (uint32_t i = 0; i < 18; i++) psm->order[i] = (i * 5 + seed) % 18;
    psm_pack(psm, net->layers[3].weights);
    save_weights(net, (char *)path);
    return net;
}

Test(weights, save_load_save_is_byte_identical_and_predicts_the_same, .init = set_paths)
{
    network *net = save_trained(1, saved), *other = net_from_text(net_text, 99);
    load_weights(other, saved);
    save_weights(other, again);
    size_t n, m;
    char *a = read_file_bytes(saved, &n), *b = read_file_bytes(again, &m);
    cr_assert_eq(n, m);
    cr_assert(!memcmp(a, b, n));
    cr_assert_eq(*net->seen, *other->seen);
    float *x = calloc((size_t)(net->inputs * net->batch), sizeof *x);
    for (int i = 0; i < net->inputs * net->batch; i++) x[i] = (float)(i % 17) / 17;
    const float *p = network_predict(net, x), *q = network_predict(other, x);
    /* What was loaded is packed, and multiplied in another order. */
    for (int i = 0; i < net->outputs * net->batch; i++)
        cr_assert_float_eq(p[i], q[i], 1e-5 * (1 + fabs(p[i])), "output %d", i);
    free(a), free(b), free(x);
    free_network(net);
    free_network(other);
}

Test(weights, payload_is_the_fixed_format, .init = set_paths)
{
    network *net = save_trained(2, saved);
    size_t n, offset = 20 + sizeof(float) * (4 * 4 + 4 * 27);
    char *bytes = read_file_bytes(saved, &n);
    const layer *l = &net->layers[1];
    cr_assert(!memcmp(bytes + offset, l->biases, 30 * 4));
    size_t values = structured_matrix(l)->n_values;
    cr_assert(!memcmp(bytes + offset + 30 * 4, l->weights, 4 * values));
    const char *statistics = bytes + offset + 4 * (30 + values);
    cr_assert(!memcmp(statistics, l->scales, 120));
    cr_assert(!memcmp(statistics + 120, l->rolling_mean, 120));
    cr_assert(!memcmp(statistics + 240, l->rolling_variance, 120));
    offset += 4 * (4 * 30 + values);
    /* 20 biases, 304 values, then columns (u16, 102 and 204 with padding) and row lengths (20 and
     * 26). */
    cr_assert_eq(weights_layer_bytes(&net->layers[2]),
                 4 * 20 + 4 * 304 + 2 * (102 + 20 + 204 + 26));
    offset += 4 * 20 + 4 * 304;
    uint16_t column, length;
    memcpy(&column, bytes + offset, 2);
    memcpy(&length, bytes + offset + 2 * 102, 2);
    cr_assert(column < 25 && (length == 5 || length == 6), "column %d, row length %d", column,
              length);
    free(bytes);
    free_network(net);
}

Test(weights, dontloadscales_reads_a_file_without_batch_statistics, .init = set_paths)
{
    static const char with[] =
        "[net]\nbatch=2\ninputs=20\n[sss]\noutput=10\nstages=2\nstates=3\nbatch_normalize=1\n"
        "dontloadscales=1\nactivation=linear\n[softmax]\n";
    static const char without[] =
        "[net]\nbatch=2\ninputs=20\n[sss]\noutput=10\nstages=2\nstates=3\nactivation=linear\n"
        "[softmax]\n";
    network *source = net_from_text(without, 1), *net = net_from_text(with, 2);
    save_weights(source, saved);
    load_weights(net, saved);
    cr_assert(!memcmp(net->layers[0].weights, source->layers[0].weights,
                      4 * structured_matrix(&source->layers[0])->n_values));
    cr_assert_eq(net->layers[0].scales[3], 1);
    cr_assert_eq(net->layers[0].c, structured_load_words(&net->layers[0]) + 30);
    free_network(net);
    free_network(source);
}

static void load_saved(const void *text)
{
    network *net = net_from_text(text, 1);
    load_weights(net, saved);
}

Test(weights, wrong_lengths_are_refused_with_layer_expected_and_found, .init = set_paths)
{
    char message[4096], *bytes;
    size_t n;
    free_network(save_trained(3, saved));
    bytes = read_file_bytes(saved, &n);
    size_t lengths[] = { 0, 3, 19, 20, 21, n / 2, n - 4, n - 1, n + 1, n + 4 };
    char *longer = calloc(n + 4, 1);
    memcpy(longer, bytes, n);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        write_file(saved, longer, lengths[i]);
        cr_assert_eq(run_in_child(load_saved, net_text, message, sizeof message), 1, "%zu bytes",
                     lengths[i]);
        cr_assert(strstr(message, "expected") && strstr(message, "found") && strstr(message, saved),
                  "%s", message);
        if (lengths[i] >= 20) cr_assert(strstr(message, "layer"), "%s", message);
    }
    write_file(saved, bytes, n);
    cr_assert_eq(run_in_child(load_saved, net_text, message, sizeof message), 0, "%s", message);
    free(bytes), free(longer);
}

Test(weights, an_index_out_of_range_is_refused_with_the_layer, .init = set_paths)
{
    char message[4096];
    size_t n;
    network *net = save_trained(4, saved);
    char *bytes = read_file_bytes(saved, &n);
    size_t offset = 20;
    for (int i = 0; i < 2; i++) offset += weights_layer_bytes(&net->layers[i]);
    memset(bytes + offset + 4 * (20 + 304), 0xff, 2);
    write_file(saved, bytes, n);
    cr_assert_eq(run_in_child(load_saved, net_text, message, sizeof message), 1);
    cr_assert(strstr(message, "layer 2 [psm]: factor 1, row 0: column index 65535"), "%s", message);
    free(bytes);
    free_network(net);
}

static void check_saved(const void *text)
{
    char command[] = "check", cfg[256], *arguments[] = { command, cfg, saved, NULL };
    snprintf(cfg, sizeof cfg, "%s", temporary_path("pixels.cfg"));
    write_file(cfg, text, strlen(text));
    cmd_check.run(3, arguments);
}

static int count_not_finite(const char *bytes, size_t n)
{
    int count = 0;
    for (float value; n; n--, bytes += sizeof value)
        count += !isfinite((memcpy(&value, bytes, sizeof value), value));
    return count;
}

/* Scales, codes, then batch statistics, behind them another layer. */
static const char few_text[] =
    "[net]\nbatch=2\ninputs=20\n"
    "[sss]\noutput=10\nactivation=leaky\nbatch_normalize=1\nstages=1\nbits=8\n"
    "[psm]\noutput=6\nactivation=linear\nnonzeros=24\nindex=4\nbits=4\ngroup=8\n[softmax]\n";

Test(weights, damaged_values_of_few_bits_are_refused_with_the_layer, .init = set_paths)
{
    /* 10 biases, 20 bytes of scales, 200 of codes, 30 statistics; 6 biases, 8 bytes of scales, 12
     * of codes, 12 of half bytes, 12 of lengths. */
    enum {
        SCALES = 20 + 40,
        STATISTICS = SCALES + 220,
        SECOND = STATISTICS + 120,
        END = SECOND + 68
    };
    static const struct {
        size_t at, n;
        uint32_t value;
        const char *expected;
    } cases[] = {
        { SCALES + 18, 2, 0x7f80, "layer 0 [sss]: scale 9: expected 0 to 2.67939e+36, found inf" },
        { SCALES + 20 + 199, 1, 0, "layer 0 [sss]: value 199: expected -127 to 127, found -128" },
        { SECOND + 28, 2, 0xbf80, "layer 1 [psm]: scale 2: expected 0 to 2.67939e+36, found -1" },
        { SECOND + 24 + 20, 1, 0x0f, "layer 1 [psm]: factor 1, row 0: column index " },
        { STATISTICS, 4, 0x7f800000, "layer 0 [sss]: value 65 is inf, expected a finite number" },
        { SECOND, 4, 0x7fc00000, "layer 1 [psm]: value 0 is nan, expected a finite number" },
    };
    char message[4096];
    size_t n;
    float losses[5];
    network *net = net_from_text(few_text, 1);
    train_random(net, 5, 1, losses);
    save_weights(net, saved);
    char *bytes = read_file_bytes(saved, &n);
    cr_assert_eq(n, END);
    cr_assert(!memcmp(bytes + STATISTICS, net->layers[0].scales, 40));
    cr_assert(!memcmp(bytes + STATISTICS + 80, net->layers[0].rolling_variance, 40));
    memset(bytes + SCALES + 20, 0xff, 200); /* Fine codes, which would be NaN as floats. */
    memset(bytes + SECOND + 24 + 8, 0xff, 12);
    cr_assert(count_not_finite(bytes + SCALES + 20, 50) == 50);
    write_file(saved, bytes, n);
    cr_assert_eq(run_in_child(check_saved, few_text, message, sizeof message), 0, "%s", message);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        char kept[4];
        memcpy(kept, bytes + cases[c].at, 4);
        memcpy(bytes + cases[c].at, &cases[c].value, cases[c].n);
        write_file(saved, bytes, n);
        cr_assert_eq(run_in_child(check_saved, few_text, message, sizeof message), 1, "case %zu",
                     c);
        cr_assert(strstr(message, cases[c].expected), "case %zu: %s", c, message);
        memcpy(bytes + cases[c].at, kept, 4);
    }
    free(bytes);
    free_network(net);
}

Test(weights, dontloadscales_reads_few_bits_without_batch_statistics, .init = set_paths)
{
    static const char text[] = "[net]\nbatch=2\ninputs=20\n[sss]\noutput=10\nstages=1\nbits=4\n"
                               "activation=linear\n%s[softmax]\n";
    char with[256], without[256];
    snprintf(with, sizeof with, text, "batch_normalize=1\ndontloadscales=1\n");
    snprintf(without, sizeof without, text, "");
    network *source = net_from_text(without, 1), *net = net_from_text(with, 2);
    save_weights(source, saved);
    load_weights(net, saved);
    cr_assert(!memcmp(net->layers[0].binary_weights, source->layers[0].binary_weights, 4 * 210));
    cr_assert_eq(net->layers[0].scales[3], 1);
    cr_assert_eq(net->layers[0].c, source->layers[0].c + 30);
    free_network(net);
    free_network(source);
}

/* Two layers at 16 pixels; most index words of the first, as wide a gap as 8 bits hold, would be
 * NaN as floats. */
static const char pixels_text[] =
    "[net]\nbatch=1\nheight=4\nwidth=4\nchannels=4096\n"
    "[psm]\noutput=64\nsize=1\nactivation=leaky\nbatch_normalize=1\nnonzeros=1088\nindex=8\n"
    "[sss]\noutput=10\nsize=1\nactivation=linear\nstages=2\nstates=3\norder=both\n"
    "[avgpool]\n[softmax]\n";

Test(weights, check_takes_index_words_for_no_floats, .init = set_paths)
{
    char message[4096], *bytes;
    size_t n;
    network *net = net_from_text(pixels_text, 1);
    const struct sn_matrix *matrix = structured_matrix(&net->layers[0]);
    save_weights(net, saved);
    bytes = read_file_bytes(saved, &n);
    size_t indices = 20 + 4 * (64 + matrix->n_values), n_indices = matrix->n_words - 1088;
    cr_assert_gt(count_not_finite(bytes + indices, n_indices), 10);
    cr_assert_eq(run_in_child(check_saved, pixels_text, message, sizeof message), 0, "%s", message);
    free(bytes);
    free_network(net);
}

Test(weights, check_finds_every_float_that_is_not_finite, .init = set_paths)
{
    char message[4096], expected[128], *bytes;
    size_t n;
    network *net = net_from_text(pixels_text, 1);
    const struct sn_matrix *psm = structured_matrix(&net->layers[0]),
                           *sss = structured_matrix(&net->layers[1]);
    /* First and last of biases, values and batch statistics; behind those the second layer. */
    size_t statistics = 64 + psm->n_words, second = statistics + 3 * 64, last = 10 + sss->n_values;
    size_t words[] = { 0,          63,         64,     63 + psm->n_values,
                       statistics, second - 1, second, second + last - 1 };
    save_weights(net, saved);
    bytes = read_file_bytes(saved, &n);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        int layer = words[i] >= second;
        float kept, bad = i % 2 ? INFINITY : NAN;
        memcpy(&kept, bytes + 20 + 4 * words[i], sizeof kept);
        memcpy(bytes + 20 + 4 * words[i], &bad, sizeof bad);
        write_file(saved, bytes, n);
        cr_assert_eq(run_in_child(check_saved, pixels_text, message, sizeof message), 1, "%zu",
                     words[i]);
        snprintf(expected, sizeof expected, "layer %d [%s]: value %zu is ", layer,
                 layer ? "sss" : "psm", words[i] - (layer ? second : 0));
        cr_assert(strstr(message, expected), "expected %s\nfound %s", expected, message);
        memcpy(bytes + 20 + 4 * words[i], &kept, sizeof kept);
    }
    free(bytes);
    free_network(net);
}

Test(weights, a_stock_net_may_end_behind_any_layer_but_not_within, .init = set_paths)
{
    static const char stock[] =
        "[net]\nbatch=2\ninputs=20\n[connected]\noutput=10\nactivation=linear\n"
        "[connected]\noutput=5\nactivation=linear\n[softmax]\n";
    char message[4096];
    network *net = net_from_text(stock, 1);
    save_weights(net, again);
    size_t n, first = 20 + 4 * (10 + 200);
    char *bytes = read_file_bytes(again, &n);
    write_file(saved, bytes, first);
    cr_assert_eq(run_in_child(load_saved, stock, message, sizeof message), 0, "%s", message);
    write_file(saved, bytes, first + 4);
    cr_assert_eq(run_in_child(load_saved, stock, message, sizeof message), 1);
    write_file(saved, bytes, n - 1);
    cr_assert_eq(run_in_child(load_saved, stock, message, sizeof message), 1);
    free(bytes);
    free_network(net);
}

/* A net whose file takes long enough to write for a signal to hit. */
static const char big_text[] =
    "[net]\nbatch=1\ninputs=1500\n[connected]\noutput=1000\nactivation=linear\n"
    "[sss]\noutput=100\nactivation=linear\nstages=2\nstates=50\n[softmax]\n";

/* A child is killed when so many fortieths of the new file are there. */
Test(weights, kill_during_a_save_leaves_the_old_file_whole, .init = set_paths)
{
    network *net = net_from_text(big_text, 1);
    save_weights(net, saved);
    size_t n, m;
    char *before = read_file_bytes(saved, &n);
    int interrupted = 0;
    const pid_t parent = getpid();
    for (int trial = 0; trial < 40; trial++) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            freopen("/dev/null", "w", stderr);
            while (getppid() == parent) save_weights(net, saved);
            _exit(1);
        }
        char temporary[300];
        struct stat written;
        snprintf(temporary, sizeof temporary, "%s.tmp%ld", saved, (long)child);
        while (stat(temporary, &written) || written.st_size < (off_t)(n * (size_t)trial / 40))
            usleep(20);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        interrupted += !unlink(temporary);
        char *after = read_file_bytes(saved, &m);
        cr_assert(n == m && !memcmp(before, after, n), "trial %d", trial);
        free(after);
    }
    cr_assert_geq(interrupted, 6, "the signal hit the writing only %d times", interrupted);
    free(before);
    free_network(net);
}

/* A file size limit stands for a full disk: a write behind it fails. */
static void save_within_limit(const void *path)
{
    network *net = net_from_text(net_text, 1);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 4096, 4096 });
    save_weights(net, (char *)path);
}

Test(weights, a_failed_write_is_reported_and_leaves_the_old_file, .init = set_paths)
{
    char message[4096];
    size_t n;
    write_file(saved, "old", 3);
    cr_assert_eq(run_in_child(save_within_limit, saved, message, sizeof message), 1);
    cr_assert(strstr(message, "saved.weights: cannot write: File too large\n"), "%s", message);
    free(read_file_bytes(saved, &n));
    cr_assert_eq(n, 3);
    char listing[512];
    snprintf(listing, sizeof listing, "ls %s.tmp* 2> /dev/null", saved);
    cr_assert_neq(system(listing), 0, "a temporary file is left");
    cr_assert_eq(run_in_child(save_within_limit, "/nowhere/x.weights", message, sizeof message), 1);
    cr_assert(strstr(message, "/nowhere/x.weights: cannot write: No such file or directory\n"),
              "%s", message);
}

Test(whole_file, appears_when_published_and_not_before, .init = set_paths)
{
    struct whole_file out;
    struct sn_error error = { 0 };
    cr_assert_eq(whole_file_open(&out, saved, &error), SN_OK);
    fputs("new", out.file);
    cr_assert_neq(access(saved, F_OK), 0);
    cr_assert_eq(whole_file_close(&out, &error), SN_OK);
    cr_assert_neq(access(saved, F_OK), 0);
    cr_assert_eq(whole_file_publish(&out, &error), SN_OK);
    struct stat status;
    cr_assert_eq(stat(saved, &status), 0);
    mode_t mask = umask(0);
    umask(mask);
    cr_assert_eq(status.st_mode & 0777, 0666 & ~mask);
    cr_assert_eq(whole_file_open(&out, saved, &error), SN_OK);
    whole_file_discard(&out);
    size_t n;
    char *kept = read_file_bytes(saved, &n);
    cr_assert(n == 3 && !memcmp(kept, "new", 3));
    free(kept);
}

Test(whole_file, a_link_keeps_being_a_link, .init = set_paths)
{
    struct whole_file out;
    struct sn_error error = { 0 };
    struct stat status;
    write_file(saved, "old", 3);
    cr_assert_eq(symlink(saved, again), 0);
    cr_assert_eq(whole_file_open(&out, again, &error), SN_OK);
    fputs("newer", out.file);
    cr_assert(!whole_file_close(&out, &error) && !whole_file_publish(&out, &error));
    cr_assert(!lstat(again, &status) && S_ISLNK(status.st_mode));
    size_t n;
    free(read_file_bytes(saved, &n));
    cr_assert_eq(n, 5);
}

Test(whole_file, what_a_link_leads_to_survives_a_failure, .init = set_paths)
{
    struct whole_file out;
    struct sn_error error = { 0 };
    size_t n;
    write_file(saved, "old", 3);
    cr_assert_eq(symlink(saved, again), 0);
    cr_assert_eq(whole_file_open(&out, again, &error), SN_OK);
    fputs("newer", out.file);
    whole_file_discard(&out);
    free(read_file_bytes(saved, &n));
    cr_assert_eq(n, 3);
}
