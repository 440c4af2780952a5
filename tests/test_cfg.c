/* Every mistake in a cfg ends in one line with file, line, section, key, expected and found, and
 * status 1. */
#include "support.h"

#include <labels.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void parse(const void *text) { net_from_text(text, 1); }

/* Darknet's chatter goes to /dev/null in net_from_text, and so would the message: parse without
 * silence. */
static void parse_aloud(const void *text)
{
    const char *path = temporary_path("bad.cfg");
    write_file(path, text, strlen(text));
    parse_network_cfg((char *)path);
}

static const char head[] = "[net]\nbatch=1\ninputs=20\n";

/* What follows head, from line 4 on, and what the message must contain. */
static const struct {
    const char *text, *expected;
} mistakes[] = {
    { "[sss]\noutput=10\nactivation=linear\nstages=2\nstates=-1\n",
      ":8: [sss] states: expected a whole number of at least 0, found '-1'" },
    { "[sss]\noutput=10\nactivation=linear\nstages=2\nstates=1.5\n",
      ":8: [sss] states: expected a whole number of at least 0, found '1.5'" },
    { "[sss]\noutput=10\nactivation=linear\nstages=2\n",
      ":4: [sss] states: expected a size, or the lists" },
    { "[sss]\noutput=10\nactivation=linear\n",
      ":4: [sss] stages: expected a number or the list inputs, found none" },
    { "[sss]\noutput=10\nactivation=linear\nstages=0\n",
      ":7: [sss] stages: expected a whole number of at least 1, found '0'" },
    { "[sss]\noutput=10\nactivation=linear\ninputs=10,5,4\nstates=1\n",
      ":7: [sss] inputs: sum is 19, expected 20" },
    { "[sss]\noutput=10\nactivation=linear\ninputs=10,10\noutputs=9,2\nstates=1\n",
      ":8: [sss] outputs: sum is 11, expected 10" },
    { "[sss]\noutput=10\nactivation=linear\ninputs=10,-5,15\nstates=1\n",
      ":7: [sss] inputs: expected a whole number of at least 0, found '-5'" },
    { "[sss]\noutput=10\nactivation=linear\ninputs=10,10\noutputs=10\nstates=1\n",
      ":8: [sss] outputs: expected 2 values, found 1" },
    { "[sss]\noutput=10\nactivation=linear\nstages=3\ncausal=1\nanticausal=1,2\n",
      ":8: [sss] causal: expected 2 values, found 1" },
    { "[sss]\noutput=10\nactivation=linear\nstages=3\nstates=99999999\n",
      "[sss] states: more than 2147483647 values" },
    { "[sss]\noutput=10\nactivation=linear\nstages=2\nstates=1\nstages=3\n",
      ":9: [sss] stages: already given in line 7" },
    { "[sss]\noutput=10\nactivation=linear\nstages=2\nstate=1\n", ":8: [sss] state: unknown key" },
    { "[sss]\noutput=10\nactivation=linera\nstages=1\n",
      ":6: [sss] activation: unknown activation 'linera'" },
    { "[sss]\nactivation=linear\nstages=1\n",
      ":4: [sss] output: expected the number of outputs, found none" },
    { "[sss]\noutput=ten\nactivation=linear\nstages=1\n",
      ":5: [sss] output: expected a whole number of at least 1, found 'ten'" },
    { "[psm]\noutput=10\nactivation=linear\nfactors=2\nnonzeros=5,5\n",
      "[psm] inner: expected 1 value, found 0" },
    { "[psm]\noutput=10\nactivation=linear\nfactors=2\ninner=5\nnonzeros=5\n",
      ":9: [psm] nonzeros: expected 2 values, found 1" },
    { "[psm]\noutput=10\nactivation=linear\nfactors=1\nnonzeros=201\n",
      ":8: [psm] nonzeros: factor 1: 201 nonzeros, expected at most 10 x 20" },
    { "[psm]\noutput=10\nactivation=linear\nfactors=1\n",
      ":4: [psm] nonzeros: expected one count per factor, found none" },
    { "[psm]\noutput=10\nactivation=linear\nfactors=1\nstages=3\nnonzeros=4\n",
      ":8: [psm] stages: unknown key" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nblock=3\n",
      ":8: [psm] block: expected 1, 4 or 8, found 3" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nblock=0\n",
      ":8: [psm] block: expected a whole number of at least 1, found '0'" },
    { "[psm]\noutput=10\nactivation=linear\nblock=4\nnonzeros=13\n",
      ":8: [psm] nonzeros: factor 1: expected a multiple of block=4, found 13" },
    { "[psm]\noutput=10\nactivation=linear\nblock=8\nnonzeros=328\n",
      ":8: [psm] nonzeros: factor 1: 328 nonzeros, expected at most 16 x 20" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nindex=7\n",
      ":8: [psm] index: factor 1: expected 1, 4, 8, 16 or 32, found 7" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nindex=0\n",
      ":8: [psm] index: expected a whole number of at least 1, found '0'" },
    { "[psm]\noutput=10\nactivation=linear\ninner=9\nnonzeros=12,12\nindex=8\n",
      ":9: [psm] index: expected 2 values, found 1" },
    { "[psm]\noutput=10\nactivation=linear\ninner=70000\nnonzeros=12,12\nindex=16,16\n",
      ":9: [psm] index: factor 1: expected 1, 4, 8 or 32 at a width of 70000, found 16" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nindex=8\nescapes=3\n",
      ":9: [psm] escapes: factor 1: expected 0 to 0 with index=8, found 3" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nindex=4\nescapes=11\n",
      ":9: [psm] escapes: factor 1: expected 0 to 10 with index=4, found 11" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nindex=4\nescapes=1,2\n",
      ":9: [psm] escapes: expected 1 value, found 2" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\nbits=5\n",
      ":8: [psm] bits: expected 1, 2, 3, 4, 8 or 32, found 5" },
    { "[sss]\noutput=10\nactivation=linear\nstages=1\nbits=16\n",
      ":8: [sss] bits: expected 1, 2, 3, 4, 8 or 32, found 16" },
    { "[sss]\noutput=10\nactivation=linear\nstages=1\nbits=eight\n",
      ":8: [sss] bits: expected a whole number of at least 1, found 'eight'" },
    { "[sss]\noutput=10\nactivation=linear\nstages=1\ngroup=64\n",
      ":8: [sss] group: expected bits=1, 2, 3, 4 or 8 with it, found 32" },
    { "[sss]\noutput=10\nactivation=linear\nstages=1\nbits=8\ngroup=7\n",
      ":9: [sss] group: expected 0 or 8 to 1048576, found 7" },
    { "[sss]\noutput=10\nactivation=linear\nstages=1\nbits=8\ngroup=-8\n",
      ":9: [sss] group: expected a whole number of at least 0, found '-8'" },
    { "[psm]\noutput=10\nactivation=linear\nnonzeros=12\norder=2\n",
      ":8: [psm] order: expected 0 or 1, found 2" },
    { "[ssss]\noutput=10\n", ":4: [ssss]: unknown section, expected a layer" },
    { "[net]\noutput=10\n", ":4: [net]: unknown section, expected a layer" },
    { "[connected]\noutput\n", ":5: expected key=value, found 'output'" },
    { "", "expected at least one layer, found none" },
};

Test(cfg, mistakes_are_named)
{
    char text[1024], message[4096];
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        snprintf(text, sizeof text, "%s%s", head, mistakes[i].text);
        cr_assert_eq(run_in_child(parse_aloud, text, message, sizeof message), 1, "%s\n%s", text,
                     message);
        const char *line = strstr(message, "darknet: /");
        cr_assert(line && strstr(line, mistakes[i].expected), "expected %s\nfound %s",
                  mistakes[i].expected, message);
        cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1, "more than one line: %s", line);
        cr_assert(line == message || line[-1] == '\n', "not on a line of its own: %s", message);
    }
}

Test(cfg, the_first_section_must_be_net)
{
    char message[4096];
    cr_assert_eq(run_in_child(parse_aloud, "[sss]\noutput=1\n", message, sizeof message), 1);
    cr_assert(strstr(message, ":1: [sss]: expected [net] first"), "%s", message);
    cr_assert_eq(run_in_child(parse_aloud, "batch=1\n", message, sizeof message), 1);
    cr_assert(strstr(message, ":1: expected [net], found 'batch=1'"), "%s", message);
    cr_assert_eq(run_in_child(parse_aloud, "", message, sizeof message), 1);
    cr_assert(strstr(message, "expected a Darknet cfg, found no section"), "%s", message);
}

Test(cfg, comments_blanks_and_both_forms_are_read)
{
    static const char *const fine[] = {
        "[sss]\noutput = 10  # ten\nactivation=linear ; what else\n"
        "stages=2   # equal\nstates = 3\n",
        "[sss] # ours\noutput=10\nactivation=linear\n"
        "inputs=7, 0, 13\noutputs = 0,4 ,6\ncausal=1,0\nanticausal=0,2\n",
        "[sss]\noutput=10\nactivation=linear\nstages=3\nstates=9\ncausal=1,0\n",
        "[psm]\noutput=10\nactivation=linear\nnonzeros=7\n",
    };
    char text[1024], message[4096];
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        snprintf(text, sizeof text, "%s%s", head, fine[i]);
        cr_assert_eq(run_in_child(parse, text, message, sizeof message), 0, "%s\n%s", text,
                     message);
    }
}

Test(labels, a_label_is_a_directory_or_a_word_of_the_file_name)
{
    static char *names[] = {
        "cat", "/dog/", "U+0041", "wood_rabbit", "n01440764", "rabbit", "a/b"
    };
    struct lines lines = { names, 7 };
    struct labels *labels = labels_new(&lines, 7, "labels", NULL);
    static const struct {
        const char *path;
        int class;
    } cases[] = {
        { "test/cat/0001.jpg", 0 },
        { "dog/0001.jpg", 1 },
        { "/data/dogs/train/cat_7.png", 0 },
        { "/home/cat/photos/dog/1.jpg", 1 }, /* the innermost directory counts */
        { "cat/dog/x/1.jpg", 1 },
        { "cat/x/1_dog.jpg", 1 },
        { "a/b/1.png", 6 },
        { "b/1.png", -1 },
        { "/a/U+0041/12.png", 2 },
        { "x/3_wood_rabbit.png", 3 },
        { "val/n01440764_10026.JPEG", 4 },
        { "n01440764/n01440764_10026.JPEG", 4 },
        { "dog.png", 1 },
        { "cat", 0 },
        { "cats/1.png", -1 },
        { "x/concat.png", -1 },
        { "x/1.png", -1 },
        { "dog/cat.png", -1 },
        { "x/cat-dog.png", -1 },
        { "dog/x/1.png", 1 },
        { "x/rabbit_2.png", 5 },
        { "", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sn_error error = { 0 };
        int class = -1;
        enum sn_status status = labels_of_path(labels, cases[i].path, &class, &error);
        cr_assert_eq(status != SN_OK, cases[i].class < 0, "%s: %d", cases[i].path, class);
        cr_assert_eq(class, cases[i].class, "%s: %d", cases[i].path, class);
        cr_assert_eq(error.message[0] != 0, cases[i].class < 0);
    }
    labels_free(labels);
}

/* Layers for which Darknet makes some of their arrays on a GPU alone, and one that takes the height
 * for the width. */
Test(cfg, every_layer_that_is_accepted_trains)
{
    static const char *const layers[] = {
        "[batchnorm]\n",
        "[crnn]\nhidden_filters=2\noutput_filters=3\nactivation=leaky\n[maxpool]\nstride=2\n",
        "[local]\nfilters=2\nsize=3\npad=1\nactivation=leaky\n",
        "[reorg]\nstride=2\n[reorg]\nstride=2\nreverse=1\n",
        "[reorg]\nextra=3\n",
        "[rnn]\noutput=300\nactivation=leaky\n",
        "[maxpool]\nsize=2\nstride=2\n",
        "[activation]\nactivation=leaky\n",
        "[relu6]\n",
        "[crop]\ncrop_height=3\ncrop_width=3\n[avgpool]\n",
        "[crop]\ncrop_height=3\ncrop_width=3\n[convolutional]\nfilters=3\n[route]\nlayers=0\n",
    };
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        char text[512];
        float loss;
        snprintf(text, sizeof text,
                 "[net]\nbatch=2\nheight=4\nwidth=6\nchannels=4\nlearning_rate=.01\n%s"
                 "[connected]\noutput=3\nactivation=linear\n[softmax]\n",
                 layers[i]);
        network *net = net_from_text(text, 1);
        train_random(net, 1, 1, &loss);
        cr_expect(isfinite(loss), "%s", layers[i]);
        free_network(net);
    }
}
