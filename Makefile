# structnet. Targets: all (default), demo, example-alexnet CHECKPOINT= IMAGES=, example-scratch, test, browser, parity, fuzz, arm, bench, bench-pixels, bench-guard, lint, test-long, asan, valgrind, coverage, install PREFIX=, clean, deps. See README.md.

CC = gcc
OBJCOPY = objcopy
PREFIX = /usr/local
BUILD = build

CFLAGS = -O2 -g
WARNINGS = -Wall -Wextra -Wshadow -Wmissing-prototypes
SANITIZE =

# libstructnet is C11 and sees no header of Darknet's. The other files see those as system headers: their warnings are not
# ours to mend. Darknet calls exit(0) after its error messages; -Dexit sends those to plug_exit, which leaves with status 1, as do
# -Dmalloc and the like where there is no memory; -Drand gives it random numbers that can repeat.
LIBRARY_FLAGS = -std=c11 $(CFLAGS) $(WARNINGS) $(SANITIZE) -fPIC -fvisibility=hidden -Ilayers -Iapprox
OUR_FLAGS = -std=c11 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS) $(SANITIZE) -Ilayers -Ilayers/darknet -Iapprox -Itools -Itools/import -Itools/export \
	-isystem darknet/include -isystem darknet/src
# Darknet adds offsets to null pointers that it then does not follow.
DARKNET_FLAGS = -O3 -ffast-math -g -w $(SANITIZE) $(if $(SANITIZE),-fno-sanitize=pointer-overflow) -Idarknet/include -Idarknet/src \
	-Dexit=plug_exit -Drand=plug_rand -Dsrand=plug_srand -Dmalloc=plug_malloc -Dcalloc=plug_calloc -Drealloc=plug_realloc
WRAP = $(addprefix -Wl$(comma)--wrap=,gemm gemm_cpu error im2col_cpu col2im_cpu forward_batchnorm_layer backward_batchnorm_layer \
	free_network fill_cpu network_predict activate_array gradient_array make_maxpool_layer load_image load_image_color)
# What tests/scarce_memory.c and tests/attempt.c take the place of.
SCARCE = $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc free strdup realpath asprintf LAPACKE_dsyevr exit)
comma = ,
LIBS = -lopenblas -lm -pthread
TOOL_LIBS = -llapacke -lcjson -lminizip -ldeflate $(LIBS)

darknet_src = $(patsubst darknet/%.c,$(BUILD)/darknet.o/%.o,$(filter-out %/compare.c,$(wildcard darknet/src/*.c)))
darknet_main = $(patsubst darknet/%.c,$(BUILD)/darknet.o/%.o,$(filter-out %/attention.c %/dice.c %/rnn_vid.c \
	%/swag.c %/voxel.c %/writing.c,$(wildcard darknet/examples/*.c)))
# Kernels are compiled once for each instruction set that isa.h knows.
kernels = $(addprefix $(BUILD)/layers/,dense_kernel dense_tile_kernel pixel_kernel sparse_kernel psm_tile_kernel)
instruction_sets = $(if $(findstring x86_64,$(shell $(CC) -dumpmachine)),avx2 avx512)
flags_of_avx2 = -mavx2 -mfma
flags_of_avx512 = $(flags_of_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vnni
of_sets = $(foreach set,$(instruction_sets),$(kernels:=_$(set).o))
layers = $(patsubst %.c,$(BUILD)/%.o,$(wildcard layers/*.c)) $(of_sets)
library = $(layers) $(patsubst %.c,$(BUILD)/%.o,$(wildcard approx/*.c))
plug = $(patsubst %.c,$(BUILD)/%.o,$(wildcard layers/darknet/*.c))
# darknet trains over several machines, and structnet searches, where MPI is there.
MPICC := $(shell command -v mpicc)
with_ranks = $(if $(MPICC),$(filter-out %/ranks.o,$(plug)) $(BUILD)/mpi/ranks.o,$(plug))
MPI_LIBS = $(if $(MPICC),$(shell $(MPICC) --showme:link))
tools = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/*.c tools/import/*.c tools/export/*.c)) $(BUILD)/imagenet.o
glyphs = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/demo/*.c))
# The tests know one family more: its row stands in a table of its own, which the objects that read the table see first.
in_tests = $(patsubst %,$(BUILD)/in_tests/%.o,layers/family approx/fit) $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/family/*.c))
tested = $(in_tests) $(filter-out $(BUILD)/layers/family.o $(BUILD)/approx/fit.o,$(library))
glyphs_shared = $(addprefix $(BUILD)/,tools/random.o tools/outputs.o layers/darknet/whole_file.o layers/sn_error.o)
tests = $(patsubst %.c,$(BUILD)/%.o,$(filter-out tests/fuzz_%.c,$(wildcard tests/*.c)))
binaries = $(BUILD)/darknet $(BUILD)/structnet $(BUILD)/make_glyphs
# What the tests of the commands run.
tested_programs = $(addprefix $(BUILD)/,darknet structnet make_glyphs run_tests in_tests/darknet in_tests/structnet old_core.so)

# The names of structnet.h alone leave the library.
VERSION = $(shell sed -n 's/^\#define STRUCTNET_VERSION "\(.*\)"/\1/p' layers/structnet.h)
SONAME = libstructnet.so.0
libraries = $(BUILD)/libstructnet.a $(BUILD)/$(SONAME)
LIBRARY_LIBS = -llapacke -lopenblas -lm

# Darknet's sources must be there before their names can be listed, so every build starts a second make.
.PHONY: all demo example-alexnet example-scratch test browser parity fuzz arm mcu bench bench-pixels bench-guard lint test-long asan valgrind coverage install clean deps source binaries run-tests fuzzers tested-programs
all: source
	@$(MAKE) --no-print-directory binaries

binaries: $(binaries) $(libraries)

source:
	@sh tools/get_darknet.sh

deps:
	@sh tools/deps.sh '$(CC)'

demo: deps
	@$(MAKE) --no-print-directory all
	@sh tools/demo/demo.sh $(BUILD)

# A checkpoint of torchvision's alexnet compressed; CLASSES, SEED, TRAIN, TEST, ARCH: as tools/demo/alexnet.sh says.
example-alexnet: deps
	@$(MAKE) --no-print-directory all
	@sh tools/demo/alexnet.sh $(BUILD) '$(CHECKPOINT)' '$(IMAGES)'

# A net with structured layers from the first step of training beside its dense twin.
example-scratch: deps
	@$(MAKE) --no-print-directory all
	@sh tools/demo/scratch.sh $(BUILD) $(BATCHES)

test: deps
	@$(MAKE) --no-print-directory source
	@$(MAKE) --no-print-directory run-tests

run-tests: $(binaries) $(libraries) $(tested_programs)
	$(BUILD)/run_tests --jobs 2
	sh tests/commands.sh $(BUILD)
	sh tests/training.sh $(BUILD)
	sh tests/ranks.sh $(BUILD)
	sh tests/tune.sh $(BUILD)
	sh tests/moments.sh $(BUILD)
	sh tests/reconstruct.sh $(BUILD)
	sh tests/compress.sh $(BUILD)
	sh tests/bad_input.sh $(BUILD)
	sh tests/kills.sh $(BUILD)
	sh tests/family.sh $(BUILD)
	sh tests/export.sh $(BUILD) '$(CC)'
	sh tests/library.sh $(BUILD) '$(CC)'

# The report of structnet compress in Chromium.
browser:
	@sh tools/deps.sh '$(CC)' browser
	@$(MAKE) --no-print-directory all
	sh tests/compress.sh $(BUILD) browser

# Of all architectures, or with PARITY=--first of one of each family.
parity:
	@sh tools/deps.sh '$(CC)' parity
	@$(MAKE) --no-print-directory all
	/usr/bin/python3 tests/parity.py $(BUILD) $(PARITY)

# libFuzzer, which clang has, on the readers of files from strangers, with AddressSanitizer and UndefinedBehaviorSanitizer. Kernels
# with all of it would take minutes to compile.
FUZZ_SECONDS = 30
fuzzers = $(patsubst tests/%.c,$(BUILD)/%,$(filter-out tests/fuzz_support.c,$(wildcard tests/fuzz_*.c)))
fuzz:
	@sh tools/deps.sh '$(CC)' fuzz
	@$(MAKE) --no-print-directory source
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang \
		CFLAGS='-O1 -g -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION -fprofile-instr-generate -fcoverage-mapping' \
		SANITIZE='-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -O1' \
		KERNEL_FLAGS='-O1 -fno-sanitize=fuzzer-no-link,undefined -fno-profile-instr-generate -fno-coverage-mapping' fuzzers
	sh tests/fuzz.sh $(BUILD)/fuzz $(FUZZ_SECONDS)

fuzzers: $(fuzzers)

# The kernels on an emulated ARM processor.
arm:
	@sh tools/deps.sh '$(CC)' arm
	@$(MAKE) --no-print-directory all
	CC='$(CC)' sh tests/arm.sh $(BUILD)

# Exported nets on emulated microcontrollers; where there has been a demo, its nets too.
mcu:
	@sh tools/deps.sh '$(CC)' mcu
	@$(MAKE) --no-print-directory all
	CC='$(CC)' sh bench/mcu/mcu.sh $(BUILD)
	[ ! -f $(BUILD)/demo/table.txt ] || CC='$(CC)' sh bench/mcu/glyphs.sh $(BUILD) $(BUILD)/demo 20

# Products side by side: all of them, or with QUICK=1 those of one shape and share.
bench:
	@sh tools/deps.sh '$(CC)' bench
	@$(MAKE) --no-print-directory all $(BUILD)/kernels
	sh bench/kernels.sh $(BUILD) $(if $(QUICK),quick,all)

# Convolutions side by side.
bench-pixels:
	@sh tools/deps.sh '$(CC)' bench
	@$(MAKE) --no-print-directory all $(BUILD)/pixels
	sh bench/pixels.sh $(BUILD)

bench-guard:
	@sh tools/deps.sh '$(CC)' bench
	@$(MAKE) --no-print-directory all $(BUILD)/kernels
	sh bench/guard.sh $(BUILD)

lint:
	@sh tools/deps.sh '$(CC)' lint
	@$(MAKE) --no-print-directory all
	sh tests/lint.sh $(BUILD)

test-long: test
	sh tests/long.sh $(BUILD)

tested-programs: $(tested_programs)

asan:
	@sh tools/deps.sh '$(CC)' asan
	@$(MAKE) --no-print-directory source
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan CFLAGS='-O1 -g' \
		SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer' tested-programs
	sh tests/asan.sh $(BUILD)/asan

# The kernels, for values that nobody set.
valgrind:
	@sh tools/deps.sh '$(CC)' valgrind
	@$(MAKE) --no-print-directory source
	@$(MAKE) --no-print-directory $(BUILD)/run_tests
	sh tests/valgrind.sh $(BUILD)

# The lines and branches of our files that the tests reach, as clang counts them.
coverage:
	@sh tools/deps.sh clang fuzz
	@$(MAKE) --no-print-directory source
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage CC=clang CFLAGS='-O1 -g -fprofile-instr-generate -fcoverage-mapping' \
		SANITIZE=-fprofile-instr-generate KERNEL_FLAGS=-O1 tested-programs
	sh tests/coverage.sh $(BUILD)/coverage

install: all
	sh tools/install.sh $(BUILD) '$(DESTDIR)' '$(PREFIX)' $(VERSION) '$(LIBRARY_LIBS)'

clean:
	rm -rf $(BUILD)

$(BUILD)/darknet: $(darknet_main) $(darknet_src) $(with_ranks) $(layers)
	$(CC) $(SANITIZE) $(WRAP) $^ -o $@ $(LIBS) $(MPI_LIBS)

$(BUILD)/structnet: $(tools) $(with_ranks) $(library) $(darknet_src)
	$(CC) $(SANITIZE) $(WRAP) $^ -o $@ $(TOOL_LIBS) $(MPI_LIBS)

# One object whose hidden names are local, so that a static program too may use them for itself; clang shows the resolvers of
# functions with clones.
$(BUILD)/libstructnet.a: $(library)
	$(LD) -r $^ -o $(BUILD)/structnet_all.o
	$(OBJCOPY) --localize-hidden --wildcard --localize-symbol='*.resolver' $(BUILD)/structnet_all.o
	rm -f $@
	$(AR) rc $@ $(BUILD)/structnet_all.o

$(BUILD)/$(SONAME): $(BUILD)/libstructnet.a
	$(CC) $(SANITIZE) -shared -Wl,-soname,$(SONAME) -Wl,--no-undefined $(BUILD)/structnet_all.o -o $@ $(LIBRARY_LIBS)

# A fused multiply-add would round differently from one compiler to the other.
$(glyphs): OUR_FLAGS += -fopenmp -ffp-contract=off

$(BUILD)/make_glyphs: $(glyphs) $(glyphs_shared)
	$(CC) $(SANITIZE) -fopenmp $^ -o $@ -lm

$(BUILD)/run_tests: $(tests) $(filter-out $(BUILD)/tools/structnet.o,$(tools)) $(plug) $(tested) $(darknet_src)
	$(CC) $(SANITIZE) $(WRAP) $(SCARCE) $^ -o $@ -lcriterion $(TOOL_LIBS)

$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz_%.o $(addprefix $(BUILD)/tests/,fuzz_support.o memory_file.o attempt.o scarce_memory.o) \
		$(filter-out $(BUILD)/tools/structnet.o,$(tools)) $(plug) $(library) $(darknet_src)
	$(CC) $(CFLAGS) $(SANITIZE) -fsanitize=fuzzer $(WRAP) $(SCARCE) -Wl,--wrap=sysconf $^ -o $@ $(TOOL_LIBS)

# What the kernels are compared with: the fastest dense product, and plain loops as a first version has them.
$(BUILD)/kernels: $(patsubst %,$(BUILD)/bench/%.o,kernels shapes others reference_dense reference_loops_O0 reference_loops_O3) $(layers)
	$(CC) $^ -o $@ -lgraphblas -lrsb $(LIBS)

# Convolutions side by side, as layers of Darknet's.
$(BUILD)/pixels: $(BUILD)/bench/pixels.o $(BUILD)/bench/shapes.o $(plug) $(layers) $(darknet_src)
	$(CC) $(WRAP) $^ -o $@ $(LIBS)

$(BUILD)/bench/reference_dense.o: OUR_FLAGS += -O3 $(if $(instruction_sets),$(flags_of_avx2)) -ffp-contract=fast -Wno-psabi

$(BUILD)/bench/reference_loops_%.o: bench/reference_loops.c Makefile
	@mkdir -p $(@D)
	$(CC) $(OUR_FLAGS) -$* -DNAME=$* -MMD -MP -c $< -o $@

$(BUILD)/mpi/ranks.o: layers/darknet/ranks.c Makefile
	@mkdir -p $(@D)
	$(CC) $(OUR_FLAGS) -DSTRUCTNET_MPI $(patsubst -I%,-isystem %,$(shell $(MPICC) --showme:compile)) -MMD -MP -c $< -o $@

$(BUILD)/in_tests/darknet: $(darknet_main) $(darknet_src) $(plug) $(tested)
	$(CC) $(SANITIZE) $(WRAP) $^ -o $@ -llapacke $(LIBS)

$(BUILD)/in_tests/structnet: $(tools) $(plug) $(tested) $(darknet_src)
	$(CC) $(SANITIZE) $(WRAP) $^ -o $@ $(TOOL_LIBS)

$(BUILD)/old_core.so: tests/preload/old_core.c Makefile
	$(CC) -std=c11 $(CFLAGS) $(WARNINGS) -shared -fPIC $< -o $@

# The 1000 classes of ImageNet, from Darknet's lists.
$(BUILD)/imagenet.c: tools/import/imagenet.sh darknet/data/imagenet.labels.list darknet/data/imagenet.shortnames.list
	@mkdir -p $(@D)
	sh tools/import/imagenet.sh darknet/data > $@.new && mv $@.new $@

$(BUILD)/imagenet.o: $(BUILD)/imagenet.c Makefile
	$(CC) $(OUR_FLAGS) -c $< -o $@

# These alone are compiled with a header of ours in front.
$(BUILD)/darknet.o/src/parser.o: in_front = -include layers/darknet/plug.h
$(BUILD)/darknet.o/src/parser.o: layers/darknet/plug.h
$(BUILD)/darknet.o/src/data.o: in_front = -include layers/darknet/plug_labels.h
$(BUILD)/darknet.o/src/data.o: layers/darknet/plug_labels.h
$(BUILD)/darknet.o/examples/classifier.o: in_front = -include layers/darknet/plug_classifier.h
$(BUILD)/darknet.o/examples/classifier.o: layers/darknet/plug_classifier.h layers/darknet/plug_labels.h

$(BUILD)/darknet.o/%.o: darknet/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(DARKNET_FLAGS) $(in_front) -c $< -o $@

# Choices within loops become masks only where no comparison traps.
$(BUILD)/layers/darknet/plug_speed.o: OUR_FLAGS += -O3 -fno-trapping-math
# Kernels: loops of a few steps become straight code, and a product that is added is rounded once.
$(kernels:=.o) $(of_sets): LIBRARY_FLAGS += -O3 -ffp-contract=fast -Wno-psabi $(KERNEL_FLAGS)

define kernels_of_set
$(kernels:=_$(1).o): $(BUILD)/%_$(1).o: %.c Makefile
	@mkdir -p $$(@D)
	$$(CC) $$(LIBRARY_FLAGS) $(flags_of_$(1)) -DKERNEL=$$(*F:_kernel=)_$(1) -MMD -MP -c $$< -o $$@
endef
$(foreach set,$(instruction_sets),$(eval $(call kernels_of_set,$(set))))

$(filter-out $(of_sets),$(library)): $(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(LIBRARY_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/in_tests/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) -Itests/family $(LIBRARY_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/tests/family/%.o: tests/family/%.c Makefile
	@mkdir -p $(@D)
	$(CC) $(LIBRARY_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(OUR_FLAGS) -MMD -MP -c $< -o $@

-include $(library:.o=.d) $(in_tests:.o=.d) $(plug:.o=.d) $(tools:.o=.d) $(glyphs:.o=.d) $(tests:.o=.d)
