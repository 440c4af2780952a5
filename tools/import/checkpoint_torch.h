/* What the two formats that hold pickles share. */
#ifndef CHECKPOINT_TORCH_H
#define CHECKPOINT_TORCH_H

#include "checkpoint.h"
#include "pickle.h"

/* Adds the tensors that root holds to the checkpoint; their storages have their bytes. SN_BAD_INPUT
 * when a tensor lies outside its storage, dicts are nested too deeply, or there is no tensor. */
enum sn_status checkpoint_add_tensors(struct checkpoint *checkpoint, struct pickle_value *root,
                                      struct sn_error *error);

#endif
