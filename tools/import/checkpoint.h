/* PyTorch checkpoints and safetensors files, read without running anything that they contain.
 *
 *   zip          PyTorch >= 1.6: an archive of uncompressed entries NAME/data.pkl (a pickle) and
 *                NAME/data/KEY (storages)
 *   legacy       before: the pickles of a magic number, of the protocol 1001, of a description of
 *                the system, of the object and of the list of storage keys; then for each key its
 *                number of elements (int64) and the elements
 *   safetensors  length of the header (uint64), header (JSON), elements
 *
 * All three are little-endian. Tensors stay in the mapped file and are converted when they are
 * read, since a checkpoint may be larger than the memory that is free. Sources: PyTorch,
 * torch/serialization.py; github.com/huggingface/safetensors. */
#ifndef CHECKPOINT_H
#define CHECKPOINT_H

#include "arena.h"
#include "tensor.h"

/* A name without the parts that DataParallel, torch.compile and Lightning put into it: _orig_mod,
 * module and model. */
struct plain_name {
    const char *name;
    const struct tensor *tensor;
};

struct checkpoint {
    const char *path;
    const char *format; /* "zip", "legacy" or "safetensors" */
    const char *key;    /* of the outermost dict, what the state dict was read from; or NULL */
    char others[256];   /* what else of it could have been read: "KEY, KEY"; or "" */
    int n_tensors;
    int n_state_dict;              /* of them, first, are those of the state dict */
    struct tensor *tensors;        /* in the order of the file */
    const struct tensor **by_name; /* n_tensors, sorted */
    struct plain_name *by_plain;   /* n_state_dict, sorted */
    const unsigned char *bytes;    /* the whole file */
    size_t n_bytes;
    int mapped; /* bytes is a mapping of ours */
    struct arena arena;
};

/* Maps the file and finds its tensors: those of the state dict under their own names, any others
 * under their whole path of dict keys, joined by dots. The state dict is the dict under key when
 * that is not NULL, under "state_dict", "model" or "model_state_dict" when that holds tensors, else
 * the dict that holds most tensors directly, anywhere. Objects of other programs are passed over.
 * SN_IO when path cannot be read, SN_BAD_INPUT when it is not one of the formats, is damaged, holds
 * a whole module instead of a state dict, or nothing under key. key is borrowed. The caller ends
 * with checkpoint_close. */
enum sn_status checkpoint_open(const char *path, const char *key, struct checkpoint *checkpoint,
                               struct sn_error *error);

/* Whether the path ends as checkpoints do: .pth, .pt, .th, .bin, .ckpt, .tar or .safetensors. */
int checkpoint_is_named(const char *path);

/* checkpoint_open for a file in memory, which is borrowed. */
enum sn_status checkpoint_parse(const char *path, const char *key, const unsigned char *bytes,
                                size_t n_bytes, struct checkpoint *checkpoint,
                                struct sn_error *error);

/* Legal on a zeroed struct. */
void checkpoint_close(struct checkpoint *checkpoint);

/* Brings the whole file into memory with one call instead of a page fault every few pages: for
 * callers who read it all. */
void checkpoint_read_ahead(const struct checkpoint *checkpoint);

/* The tensor of that name, or NULL. */
const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name);

/* The tensor of the state dict with that plain name, or NULL when there is none or several. */
const struct tensor *checkpoint_find_plain(const struct checkpoint *checkpoint, const char *name);

/* For the readers of the formats: appends a tensor, whose name must be new. tensor is copied; name
 * is borrowed. */
enum sn_status checkpoint_add(struct checkpoint *checkpoint, const struct tensor *tensor,
                              struct sn_error *error);

enum sn_status checkpoint_read_zip(struct checkpoint *checkpoint, struct sn_error *error);
enum sn_status checkpoint_read_legacy(struct checkpoint *checkpoint, struct sn_error *error);
enum sn_status checkpoint_read_safetensors(struct checkpoint *checkpoint, struct sn_error *error);

#endif
