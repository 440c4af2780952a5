/* Every byte of small valid files set to 0 and 255 and with its lowest or highest bit turned, and
 * every length that is too short: what reads the file takes it, or says why not in one line and
 * makes nothing. */
#include "attempt.h"
#include "memory_file.h"
#include "support.h"

#include <checkpoint.h>
#include <npy.h>
#include <plug_tree.h>
#include <task.h>
#include <weights_file.h>

#include <criterion/criterion.h>
#include <limits.h>
#include <network.h>
#include <parser.h>
#include <plug_errors.h>
#include <stdlib.h>
#include <string.h>

/* Reads path, and uses what it holds. After a failure nothing of it is left. */
typedef enum sn_status reader(const char *path, struct sn_error *error);

struct file {
    const char *name;
    reader *read;
    const char *bytes;
    size_t size;
    int needs_all; /* every shorter file is refused */
};

/* What the reader reads, for those that need no file. */
static const char *current;
static size_t n_current;

static enum sn_status read_current(const struct file *file, const char *bytes, size_t size,
                                   struct sn_error *error)
{
    current = bytes;
    n_current = size;
    return file->read(memory_file(0, bytes, size), error);
}

static enum sn_status read_damaged(const struct file *file, const char *bytes, size_t size,
                                   const char *what, size_t at)
{
    struct sn_error error = { 0 };
    const char *path = memory_file(0, "", 0);
    enum sn_status status = read_current(file, bytes, size, &error);
    cr_expect_eq(status, error.code, "%s, %s %zu: status %d, code %d", file->name, what, at, status,
                 error.code);
    if (!status) return SN_OK;
    cr_expect(!strncmp(error.message, path, strlen(path)) && sn_is_printable(error.message),
              "%s, %s %zu: '%s'", file->name, what, at, error.message);
    return status;
}

static void damage(const struct file *file)
{
    struct sn_error error = { 0 };
    char *bytes = malloc(file->size + 1);
    memcpy(bytes, file->bytes, file->size);
    cr_assert_eq(read_current(file, bytes, file->size, &error), SN_OK, "%s: %s", file->name,
                 error.message);
    for (size_t i = 0; i < file->size; i++) {
        const char as_it_was = bytes[i],
                   others[] = { 0, (char)255, (char)(as_it_was ^ 1), (char)(as_it_was ^ 128) };
        for (size_t k = 0; k < sizeof others; k++) {
            bytes[i] = others[k];
            read_damaged(file, bytes, file->size, "byte", i);
        }
        bytes[i] = as_it_was;
        enum sn_status status = read_damaged(file, bytes, i, "length", i);
        cr_expect(status || !file->needs_all, "%s: length %zu was taken", file->name, i);
    }
    free(bytes);
}

static void damage_text(const char *name, reader *read, const char *text)
{
    damage(&(struct file){ name, read, text, strlen(text), 0 });
}

static void damage_file(const char *path, reader *read)
{
    size_t size;
    char *bytes = read_file_bytes(path, &size);
    damage(&(struct file){ path, read, bytes, size, 1 });
    free(bytes);
}

/* ---- What ends the process where it is wrong */

/* The message of an attempt: its last line, without the name of the program. */
static enum sn_status attempt_message(void (*use)(const void *argument), const void *argument,
                                      struct sn_error *error)
{
    static const char opening[] = "darknet: ";
    char text[1 << 13];
    int status = attempt(use, argument, text, sizeof text);
    if (!status) return SN_OK;
    size_t n = strlen(text);
    if (n && text[n - 1] == '\n') text[n - 1] = '\0';
    const char *line = strrchr(text, '\n');
    line = line ? line + 1 : text;
    cr_expect_eq(status, 1);
    cr_expect(!strncmp(line, opening, strlen(opening)), "'%s'", line);
    return sn_fail(error, SN_BAD_INPUT, "%s", line + strlen(opening));
}

static void run_net(const void *path)
{
    network *net = parse_network_cfg((char *)path);
    network_predict(net, net->input);
    free_network(net);
}

static enum sn_status read_net(const char *path, struct sn_error *error)
{
    return attempt_message(run_net, path, error);
}

static const char net_text[] =
    "[net]\nbatch=1\nheight=4\nwidth=4\nchannels=2\nlearning_rate=.1\npolicy=steps\nsteps=1,2\n"
    "scales=.1,.1\n"
    "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[route]\nlayers=-1,0\n[maxpool]\nsize=2\nstride=2\n"
    "[psm]\nsize=1\nfilters=4\nnonzeros=9\nindex=1\nactivation=relu\n[relu6]\n"
    "[sss]\noutput=6\ninputs=8,0,8\noutputs=2,3,1\ncausal=2,1\nanticausal=1,2\norder=both\n"
    "[psm]\noutput=5\nfactors=2\ninner=4\nnonzeros=8,9\nindex=8,16\nbits=4\n"
    "[sss]\noutput=4\nstages=2\nstates=1\nbits=8\n[softmax]\n";

Test(damage, cfg) { damage_text("a cfg", read_net, net_text); }

static char cfg_path[256];

static void load_path(const void *path)
{
    network *net = parse_network_cfg(cfg_path);
    load_weights(net, (char *)path);
    network_predict(net, net->input);
    free_network(net);
}

static enum sn_status read_weights(const char *path, struct sn_error *error)
{
    return attempt_message(load_path, path, error);
}

static char head_cfg_path[256];

static enum sn_status read_head(const char *path, struct sn_error *error)
{
    struct sn_head head;
    enum sn_status status = sn_head_read(head_cfg_path, path, &head, error);
    cr_expect(!status == !!head.matrix);
    sn_head_free(&head);
    return status;
}

Test(damage, heads)
{
    char path[256];
    network *net = net_from_text("[net]\ninputs=6\n[psm]\noutput=5\nfactors=2\ninner=4\n"
                                 "nonzeros=8,9\nindex=8,16\nbits=4\nactivation=linear\n",
                                 1);
    strcpy(path, temporary_path("head.weights"));
    save_weights(net, path);
    free_network(net);
    strcpy(head_cfg_path, temporary_path("net.cfg"));
    damage_file(path, read_head);
}

/* Numbers that overflow where Darknet multiplies them by ten. */
Test(damage, versions)
{
    static const int versions[][2] = {
        { -1, 2 },    { 0, -1 },   { INT_MAX, 2 }, { 0, INT_MAX }, { INT_MIN, INT_MIN },
        { 10000, 0 }, { 0, 10000 }
    };
    char path[256], *bytes;
    size_t size;
    network *net = net_from_text(net_text, 1);
    strcpy(path, temporary_path("net.weights"));
    save_weights(net, path);
    bytes = read_file_bytes(path, &size);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        struct sn_error error = { 0 };
        memcpy(bytes, versions[i], sizeof versions[i]);
        write_file(path, bytes, size);
        cr_expect_eq(weights_check_length(net, path, 0, net->n, 1, &error), SN_BAD_INPUT);
        cr_expect(strstr(error.message, ": header: expected a version such as 0.2, found "), "'%s'",
                  error.message);
    }
    free(bytes);
    free_network(net);
}

Test(damage, weights)
{
    char path[256];
    network *net = net_from_text(net_text, 1);
    strcpy(path, temporary_path("net.weights"));
    save_weights(net, path);
    free_network(net);
    strcpy(cfg_path, temporary_path("net.cfg"));
    damage_file(path, read_weights);
}

/* ---- Arrays */

static volatile float sink; /* so that all values are read */

static enum sn_status read_floats(const char *path, struct sn_error *error)
{
    struct npy npy;
    enum sn_status status = npy_read(path, &npy, error);
    cr_expect(!status == !!npy.values);
    for (size_t i = 0; i < npy.n_values; i++) sink += npy.values[i];
    free(npy.values);
    return status;
}

static enum sn_status read_integers(const char *path, struct sn_error *error)
{
    struct npy npy;
    enum sn_status status = npy_read_integers(path, &npy, error);
    cr_expect(!status == !!npy.integers);
    for (size_t i = 0; i < npy.n_values; i++) sink += (float)npy.integers[i];
    free(npy.integers);
    return status;
}

Test(damage, arrays)
{
    static const char zeros[6 * 8];
    static const struct {
        const char *descr;
        size_t n_bytes;
        reader *read;
    } kinds[] = { { "<f4", 24, read_floats },
                  { "<f8", 48, read_floats },
                  { "<i4", 24, read_integers },
                  { "<i8", 48, read_integers } };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        char path[256];
        strcpy(path, temporary_path("array.npy"));
        FILE *file = fopen(path, "wb");
        npy_write_header(file, kinds[k].descr, 2, (const size_t[]){ 2, 3 });
        fwrite(zeros, 1, kinds[k].n_bytes, file);
        fclose(file);
        damage_file(path, kinds[k].read);
    }
}

/* ---- Checkpoints */

static enum sn_status read_checkpoint(const char *path, struct sn_error *error)
{
    struct checkpoint checkpoint;
    enum sn_status status = checkpoint_parse(path, NULL, (const unsigned char *)current, n_current,
                                             &checkpoint, error);
    if (status) return status;
    for (int i = 0; i < checkpoint.n_tensors; i++) {
        const struct tensor *tensor = &checkpoint.tensors[i];
        float value;
        for (size_t k = 0; k < tensor->n_elements; k++) tensor_floats(tensor, k, 1, &value);
    }
    checkpoint_close(&checkpoint);
    return SN_OK;
}

Test(damage, safetensors) { damage_file("tests/checkpoints/plain.safetensors", read_checkpoint); }

Test(damage, zip) { damage_file("tests/checkpoints/zip2.pth", read_checkpoint); }

Test(damage, legacy) { damage_file("tests/checkpoints/legacy2.pth", read_checkpoint); }

/* ---- Lists */

static char labels_path[256], images_path[256];

/* Messages may begin with any of the three files, or an image. */
static enum sn_status read_task(const char *path, struct sn_error *error)
{
    struct task task;
    struct lines images;
    int *class;
    struct sn_error found = { 0 };
    enum sn_status status = task_open(path, &task, &found);
    if (!status) status = task_read_labels(&task, &found);
    if (!status) status = task_images(&task, "valid", &images, &class, &found);
    if (!status) {
        for (int i = 0; i < images.n; i++) cr_expect(class[i] >= 0 && class[i] < task.n_classes);
        lines_free(&images);
        free(class);
    }
    task_free(&task);
    if (!status) return SN_OK;
    cr_expect(found.message[0]);
    return sn_fail(error, status, "%s%.800s",
                   strncmp(found.message, path, strlen(path)) ? path : "", found.message);
}

static enum sn_status read_as(char *place, const char *path, struct sn_error *error)
{
    char usual[256], text[1024];
    strcpy(usual, place);
    strcpy(place, path);
    snprintf(text, sizeof text, "classes=3\nlabels=%s\nvalid=%s\n", labels_path, images_path);
    struct sn_error found = { 0 };
    enum sn_status status = read_task(memory_file(1, text, strlen(text)), &found);
    strcpy(place, usual);
    return status ? sn_fail(error, status, "%s %.800s", path, found.message) : SN_OK;
}

static enum sn_status read_labels(const char *path, struct sn_error *error)
{
    return read_as(labels_path, path, error);
}

static enum sn_status read_images(const char *path, struct sn_error *error)
{
    return read_as(images_path, path, error);
}

static enum sn_status read_classes(const char *path, struct sn_error *error)
{
    return plug_check_tree(path, 3, error);
}

Test(damage, lists)
{
    static const char labels[] = "man\n/woman/\nmaple_tree\n",
                      images[] = "a/man/1.png\na/woman/2.png\r\nb/maple_tree_3.png\n";
    char data[1024];
    strcpy(labels_path, temporary_path("labels.txt"));
    strcpy(images_path, temporary_path("images.txt"));
    write_file(labels_path, labels, strlen(labels));
    write_file(images_path, images, strlen(images));
    snprintf(data, sizeof data, "classes = 3\n# all\nlabels = %s\nvalid=%s\n", labels_path,
             images_path);
    damage_text("labels", read_labels, labels);
    damage_text("a list of images", read_images, images);
    damage_text("a .data file", read_task, data);
    damage_text("a tree", read_classes, "a -1\nbee 0\nc 0\n");
}
