/* structnet reconstruct: trains structured layers so that each block gives what a reference does.
 */
#include "command.h"
#include "image_list.h"
#include "outputs.h"
#include "pictures.h"
#include "reconstruction.h"

#include <plug_errors.h>

#include <cjson/cJSON.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command cmd_reconstruct = {
    .name = "reconstruct",
    .run = run,
    .summary = "trains structured layers to give what another net gives",
    .usage =
        "usage: structnet reconstruct CFG WEIGHTS LIST --reference CFG WEIGHTS -o FILE\n"
        "       [OPTION]...\n"
        "\n"
        "Writes WEIGHTS with other values in the structured layers: block by block they are\n"
        "trained so that a block gives what the same block gives in the reference, the net\n"
        "that they were fitted in, and then all together so that the outputs are those of the\n"
        "reference. Patterns and scales of few bits stay. No labels. A block is a residual one,\n"
        "or two structured layers of a chain, and what lies between. A tenth of the images is\n"
        "held out: where training does not lower their error, it is taken back.\n"
        "\n"
        "LIST names images, one path per line; of a .data file it is the train list. Memory\n"
        "grows with the images. Run structnet calibrate afterwards where the net has batch\n"
        "normalisation. Repeats exactly, whatever the number of cores.\n"
        "\n"
        "  --reference CFG WEIGHTS   the net as it was\n"
        "  -o FILE         the new .weights\n"
        "  --images N      of LIST, N images spread evenly, instead of all\n"
        "  --epochs N      for each block (default 8)\n"
        "  --together N    epochs of all blocks together (default 4; 0: none)\n"
        "  --rate R        of Adam at first, over the root mean square of a layer's values\n"
        "                  (default 0.02)\n"
        "  --batch N       images of a step (default 8)\n" PICTURES_RESIZE_HELP
        "  --seed N        of the order of the images (default 0)\n"
        "  --json          one object instead of the table\n"
};

struct request {
    struct reconstruction_request own;
    const char *list, *output;
    int n_images, json;
};

/* --reference takes two arguments, of which getopt_long knows the first. */
static void read_reference(struct request *request, char **argv)
{
    request->own.reference_cfg = optarg;
    request->own.reference_weights = argv[optind];
    if (!argv[optind++]) command_usage_error(&cmd_reconstruct, "--reference: expected CFG WEIGHTS");
}

static void take_option(struct request *request, int option, char **argv)
{
    const struct command *command = &cmd_reconstruct;
    struct reconstruction_request *own = &request->own;
    switch (option) {
    case 'e': read_reference(request, argv); break;
    case 'i':
        request->n_images = command_whole_number(command, "--images", optarg, 2, 100000000);
        break;
    case 'E': own->n_epochs = command_whole_number(command, "--epochs", optarg, 0, 1000000); break;
    case 't':
        own->n_together = command_whole_number(command, "--together", optarg, 0, 1000000);
        break;
    case 'R': own->rate = command_number(command, "--rate", optarg, 1e-9, 1e3); break;
    case 'b': own->batch = command_whole_number(command, "--batch", optarg, 1, 1 << 16); break;
    case 'r':
        own->resize = command_whole_number(command, "--resize", optarg, 1, PICTURES_MAX_SIZE);
        break;
    case 's':
        own->seed = (uint64_t)command_whole_number(command, "--seed", optarg, 0, 2147483647);
        break;
    case 'o': request->output = optarg; break;
    case 'j': request->json = 1; break;
    default: command_other_option(command, option);
    }
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "reference", 1, 0, 'e' }, { "images", 1, 0, 'i' },
                                             { "epochs", 1, 0, 'E' },    { "together", 1, 0, 't' },
                                             { "rate", 1, 0, 'R' },      { "batch", 1, 0, 'b' },
                                             { "resize", 1, 0, 'r' },    { "seed", 1, 0, 's' },
                                             { "output", 1, 0, 'o' },    { "json", 0, 0, 'j' },
                                             { "help", 0, 0, 'h' },      { 0 } };
    const struct command *command = &cmd_reconstruct;
    struct request request = {
        .own = { .n_epochs = 8, .n_together = 4, .rate = .02, .batch = 8, .holdout = .1 }
    };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;)
        take_option(&request, option, argv);
    command_check_arguments(command, argc, 3, 3);
    if (!request.own.reference_cfg)
        command_usage_error(command, "expected --reference CFG WEIGHTS");
    if (!request.output) command_usage_error(command, "expected -o FILE");
    request.own.cfg = argv[optind];
    request.own.weights = argv[optind + 1];
    request.list = argv[optind + 2];
    return request;
}

static enum sn_status write_file(const struct request *request,
                                 const struct reconstruction *reconstruction,
                                 struct sn_error *error)
{
    const struct reconstruction_request *own = &request->own;
    const char *inputs[] = { own->cfg,           own->weights,
                             own->reference_cfg, own->reference_weights,
                             request->list,      NULL };
    struct outputs outputs;
    outputs_begin(&outputs, inputs);
    FILE *file = outputs_open(&outputs, request->output, error);
    if (!file || reconstruction_write(reconstruction, file, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    return outputs_publish(&outputs, error);
}

static void print_json(const struct reconstruction *found, double seconds)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "images", found->n);
    cJSON_AddNumberToObject(root, "held_out_images", found->n_held);
    cJSON *blocks = cJSON_AddArrayToObject(root, "blocks");
    for (int i = 0; i < found->n_blocks; i++) {
        const struct reconstruction_block *block = &found->blocks[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "first", block->first);
        cJSON_AddNumberToObject(item, "last", block->end - 1);
        cJSON_AddNumberToObject(item, "error_before", block->before);
        cJSON_AddNumberToObject(item, "error", block->after);
        cJSON_AddItemToArray(blocks, item);
    }
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static void print_result(const struct request *request, const struct reconstruction *found,
                         double seconds)
{
    if (request->json) {
        print_json(found, seconds);
        return;
    }
    printf("images   %d, %d held out\n", found->n, found->n_held);
    for (int i = 0; i < found->n_blocks; i++)
        printf("layers   %d to %d, error %.5g, before %.5g\n", found->blocks[i].first,
               found->blocks[i].end - 1, found->blocks[i].after, found->blocks[i].before);
    printf("seconds  %.3f\nfile     %s\n", seconds, request->output);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct reconstruction reconstruction;
    struct lines images;
    struct sn_error error;
    double start = command_seconds();
    command_use_threads(1);
    if (image_list_read(request.list, "train", &images, &error)) sn_die(&error);
    image_list_thin(&images, request.n_images);
    request.own.images = &images;
    if (reconstruction_open(&reconstruction, &request.own, &error)
        || reconstruction_run(&reconstruction, &error)
        || write_file(&request, &reconstruction, &error))
        sn_die(&error);
    print_result(&request, &reconstruction, command_seconds() - start);
    reconstruction_close(&reconstruction);
    lines_free(&images);
    return 0;
}
