# rodnik: `make help` lists the targets.
# Variables: CC=gcc|clang  SAN=address|thread  MPI=1  MINUTES=10  SERVE=1  PORT=8080

CC      = gcc
SAN     =
MPI     =
MINUTES = 10
SERVE   = 1
PORT    = 8080

variant := $(strip $(if $(filter-out gcc,$(notdir $(CC))),$(notdir $(CC))) $(SAN) $(if $(MPI),mpi))
BUILD   := build$(if $(variant),/variants/$(subst $(eval) ,-,$(variant)))

machine := $(shell $(CC) -dumpmachine)
x86     := $(findstring x86_64,$(machine))

# ---- modules: the floors of src/LAYERS, lowest first ---------------------------------------------------------------------
floors  := $(shell cat src/LAYERS)
modules := $(foreach module,$(floors),$(if $(wildcard src/$(module)/*.c),$(module)))

# A kernel source (src/tensor/*_kernels.c) is compiled once per instruction set; everything else once.
kernel_sources := $(wildcard src/tensor/*_kernels.c)
page_files     := $(wildcard src/serve/page/*.html src/serve/page/*.css src/serve/page/*.js)
profile_files  := $(wildcard profiles/*.ini)
isas           := scalar $(if $(x86),avx2 avx512 avx512bf16)
# Built with MPI=1, processes that mpirun starts train together.
other_comm     := $(if $(MPI),src/tensor/comm_single.c,$(wildcard src/tensor/comm_mpi*.c))
sources         = $(filter-out $(kernel_sources) $(other_comm),$(wildcard src/$1/*.c))
objects         = $(patsubst src/%.c,$(BUILD)/%.o,$(call sources,$1)) \
                  $(if $(filter tensor,$1),$(foreach isa,$(isas),$(patsubst src/%.c,$(BUILD)/%_$(isa).o,$(kernel_sources)))) \
                  $(if $(filter serve,$1),$(patsubst src/%,$(BUILD)/%.o,$(page_files))) \
                  $(if $(filter text,$1),$(BUILD)/text/language.bin.o) \
                  $(if $(filter corpus,$1),$(patsubst %,$(BUILD)/%.o,$(profile_files)))

# ---- flags -----------------------------------------------------------------------------------------------------------------
warnings := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes -Werror
# The same bits everywhere: no contraction, no reassociation; fused multiply-adds only where the source says so.
numerics := -ffp-contract=off -fno-fast-math -fno-associative-math
version  := 0.1.0
commit   := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
CFLAGS   ?= -O3 -g
cflags   := -std=gnu11 $(CFLAGS) $(if $(x86),-march=x86-64-v3) $(warnings) $(numerics) -D_GNU_SOURCE -Isrc -I$(BUILD) -fno-omit-frame-pointer -pthread
libs     := -lmicrohttpd -larchive -lcjson -linih -lutf8proc -lidn2 -lxxhash -lzstd -lz -ledit -lssl -lcrypto -lm -pthread
ifneq ($(MPI),)
cflags   += $(shell mpicc --showme:compile)
libs     += $(shell mpicc --showme:link)
endif
ifeq ($(SAN),address)
cflags   += -fsanitize=address,undefined -fno-sanitize-recover=all
libs     += -fsanitize=address,undefined
endif
ifeq ($(SAN),thread)
cflags   += -fsanitize=thread
libs     += -fsanitize=thread
endif
isa_flags_scalar     := -DKERNEL_ISA=0 $(if $(x86),-fno-tree-vectorize -fno-tree-slp-vectorize)
isa_flags_avx2       := -DKERNEL_ISA=1
avx512_flags         := -mprfchw -mavx512f -mavx512bw -mavx512vl -mavx512dq -mprefer-vector-width=512
isa_flags_avx512     := -DKERNEL_ISA=2 $(avx512_flags)
isa_flags_avx512bf16 := -DKERNEL_ISA=3 $(avx512_flags) -mavx512bf16

.PHONY: all demo check exact bench plan-check interop fuzz format help clean setup setup-check
all: $(BUILD)/rodnik

# ---- objects, one library per module, the program ------------------------------------------------------------------------
define kernel_rule
$$(BUILD)/tensor/%_$1.o: src/tensor/%.c
	@mkdir -p $$(@D)
	@echo "  CC $$@"
	@$$(CC) $$(cflags) $$(isa_flags_$1) -MMD -MP -c $$< -o $$@
endef
$(foreach isa,$(isas),$(eval $(call kernel_rule,$(isa))))

$(BUILD)/%.o: src/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	@$(CC) $(cflags) -MMD -MP -c $< -o $@

# What this build is; rewritten only when it changes.
$(BUILD)/version.h: FORCE
	@mkdir -p $(@D)
	@printf '#define RODNIK_VERSION "%s"\n#define RODNIK_COMMIT "%s"\n' '$(version)' '$(commit)' > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:
$(BUILD)/cli/main.o: $(BUILD)/version.h
# Where the program begins it must run on any processor of its kind, to say what is missing.
$(BUILD)/cli/main.o: cflags += $(if $(x86),-march=x86-64)

# The page's files become arrays named after the file.
$(BUILD)/serve/page/%.o: src/serve/page/% scripts/embed.sh
	@mkdir -p $(@D)
	sh scripts/embed.sh $< > $@.c
	$(CC) $(cflags) -c $@.c -o $@

# Likewise the language model and the corpus profiles.
$(BUILD)/text/language.bin.o: src/text/language.bin scripts/embed.sh
	@mkdir -p $(@D)
	@echo "  CC $@"
	@sh scripts/embed.sh $< embedded > $@.c
	@$(CC) $(cflags) -c $@.c -o $@
$(BUILD)/profiles/%.ini.o: profiles/%.ini scripts/embed.sh
	@mkdir -p $(@D)
	@echo "  CC $@"
	@sh scripts/embed.sh $< profile > $@.c
	@$(CC) $(cflags) -c $@.c -o $@

define module_rule
$$(BUILD)/lib/$1.a: $$(call objects,$1)
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach module,$(modules),$(eval $(call module_rule,$(module))))

reverse   = $(if $1,$(call reverse,$(wordlist 2,$(words $1),$1)) $(firstword $1))
libraries = $(patsubst %,$(BUILD)/lib/%.a,$(call reverse,$1))

$(BUILD)/rodnik: $(call libraries,$(modules))
	@echo "  LD $@"
	@$(CC) $(cflags) $(BUILD)/cli/main.o $(call libraries,$(modules)) $(libs) -o $@

# ---- tests: tests/<module>/<name>_test.c is linked with its module and the floors below, so that layers hold --------------
test_sources  := $(wildcard tests/*/*_test.c)
test_programs := $(patsubst tests/%.c,$(BUILD)/tests/%,$(test_sources))
# $1: module -> modules of all floors up to and with its own
up_to = $(shell awk -v module=$1 '{ printf "%s ", $$0; for (i = 1; i <= NF; i++) if ($$i == module) exit }' src/LAYERS)

define test_rule
$$(BUILD)/tests/$1/%_test: tests/$1/%_test.c tests/support.h $$(call libraries,$$(filter $$(call up_to,$1),$$(modules)))
	@mkdir -p $$(@D)
	@echo "  LD $$@"
	@$$(CC) $$(cflags) -Itests -MMD -MP $$< $$(call libraries,$$(filter $$(call up_to,$1),$$(modules))) -lcmocka -lpcre2-8 $$(libs) -o $$@
endef
$(foreach module,$(modules),$(eval $(call test_rule,$(module))))

# Exactness needs nothing but the C library, so that it builds for any processor: make CC=... BUILD/exact
exact_sources := $(wildcard tests/exact/*.c)
exact_objects := $(patsubst %,$(BUILD)/%.o,base/error base/arena base/thread base/random base/string model/config \
                 model/weights model/model model/block model/training infer/session infer/sample \
                 train/optimizer train/partition train/watch train/schedule) $(call objects,tensor)
$(BUILD)/exact: $(exact_sources) tests/exact/exact.h $(exact_objects)
	@echo "  LD $@"
	@$(CC) $(cflags) $(exact_static) $(exact_sources) $(exact_objects) -lm -pthread -o $@
exact_static := $(if $(x86),,-static)

# One test: make test-tensor/ops
test_names := $(patsubst $(BUILD)/tests/%_test,test-%,$(test_programs))
.PHONY: $(test_names)
$(test_names): test-%: $(BUILD)/tests/%_test
	$<

check: setup-check
	scripts/check.sh

# The same bits on every instruction set, number of threads and processes, compiler, level of
# optimization and processor.
exact: setup-check
	scripts/exact.sh long

setup:
	scripts/setup.sh build
setup-check:
	scripts/setup.sh check

demo: setup
	$(MAKE) -j$$(nproc) all
	scripts/demo.sh "$(BUILD)/rodnik" --minutes "$(MINUTES)" --serve "$(SERVE)" --port "$(PORT)"

bench: all
	$(BUILD)/rodnik bench kernels
	$(BUILD)/rodnik bench train
	$(BUILD)/rodnik bench train --shape 14m --batch 8
	$(BUILD)/rodnik bench train --shape 14m --batch 64 --micro-batch 8 --optimizer muon
	$(BUILD)/rodnik bench optimizer
	$(BUILD)/rodnik bench fair
	$(BUILD)/rodnik bench corpus
	$(BUILD)/rodnik bench corpus --megabytes 500
	$(BUILD)/rodnik bench tokenizer

# Plans of `rodnik plan` beside short runs: within 20 % on a machine that does nothing else.
plan-check: setup-check all
	scripts/plan_check.sh

# What other programs make of our files: a million strings a vocabulary, every code point.
interop: setup-check all
	RODNIK_STRINGS=1000000 sh tests/scripts/tokenizer_peers_test.sh $(BUILD)/rodnik

# Fuzz targets: fuzz/<name>_fuzz.c, clang's libFuzzer, FUZZ_SECONDS each, corpora under fuzz/corpus/<name>.
FUZZ_SECONDS = 60
fuzz:
	scripts/fuzz.sh run $(FUZZ_SECONDS)

format:
	clang-format -i $(shell git ls-files 'src/*.[ch]' 'tests/*.[ch]' 'fuzz/*.[ch]')

clean:
	rm -rf build

help:
	@echo 'make            build build/rodnik'
	@echo 'make demo       install packages, build, grow a small model from default texts and serve it (MINUTES=10 SERVE=1 PORT=8080)'
	@echo 'make check      install what tests need and run all tests in their short form'
	@echo 'make exact      one hash over instruction sets, threads, processes, compilers, processors: a table (long form)'
	@echo 'make bench      speed beside the limits of this machine'
	@echo 'make plan-check rodnik plan beside measured steps and memory'
	@echo 'make interop    a million strings as tokens beside tokenizers, llama.cpp and tiktoken'
	@echo 'make fuzz       fuzz every parser (FUZZ_SECONDS=60 each)'
	@echo 'make format     clang-format the sources'
	@echo 'make setup      install the packages that building needs'
	@echo 'make clean      remove build/'
	@echo 'CC=clang, SAN=address, SAN=thread and MPI=1 choose a variant, built under build/variants/'

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
