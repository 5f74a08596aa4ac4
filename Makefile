# tenon: `make help` lists the targets. Files are found by globs: a new one needs no line here.

CC      ?= cc
BUILD   ?= build
PREFIX  ?= /usr/local
OPT     ?= -O3 -g
TARGET  := $(subst -, ,$(shell $(CC) -dumpmachine))
ARCH    := $(firstword $(TARGET))
MACOS   := $(findstring darwin,$(TARGET))$(findstring macos,$(TARGET))
# The C++ compiler that belongs to CC: clang has clang++. Where there is none, what is C++ is left out.
ifeq ($(origin CXX),default)
CXX     := $(or $(if $(findstring clang,$(CC)),$(subst clang,clang++,$(CC))),$(if $(findstring gcc,$(CC)),$(subst gcc,g++,$(CC))),c++)
endif
CXX     := $(if $(shell command -v $(CXX)),$(CXX))
# An enum without a name is a constant here, which may meet a double.
WARN    := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wvla -Wno-enum-float-conversion -Werror
# -ffp-contract=off: a fused multiply-add stands where the source says so and nowhere else.
# gcc 12 for aarch64 stops with an internal error at a loop that takes the fmax of floats; a call of libm's is none.
# What Linux alone has is not declared in the program, except in files that define _GNU_SOURCE for it.
CFLAGS_ALL := -std=c11 -D_DEFAULT_SOURCE -I. $(WARN) -ffp-contract=off -fno-math-errno -fno-trapping-math $(if $(filter aarch64,$(ARCH)),-fno-builtin-fmax -fno-builtin-fmin) $(OPT) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 -I. $(WARN) -Wold-style-cast -Wsign-conversion -Woverloaded-virtual $(OPT) $(CXXFLAGS)
# The objects serve libtenon.so too, which exports what the public headers declare: TN_BEGIN in core/core.h.
PIC     := -fPIC -fvisibility=hidden $(if $(MACOS),,-fno-semantic-interposition)
LDLIBS_ALL := -lm -pthread $(LDFLAGS)
# WITH_MPI=1: several processes train one model (apps/run/team.h). It is never switched on by itself.
WITH_MPI ?=
MPICC   ?= mpicc
ifeq ($(filter-out 0,$(WITH_MPI)),)
LINK    := $(CC)
TEAM   := none
else ifeq ($(shell command -v $(MPICC)),)
$(error WITH_MPI=$(WITH_MPI): there is no $(MPICC); expected the packages libopenmpi-dev and openmpi-bin (apt-get install), or MPICC=PATH)
else
LINK    := OMPI_CC="$(CC)" MPICH_CC="$(CC)" $(MPICC)
TEAM   := mpi
endif

# The program is built for the baseline of its architecture; only these files may assume more (and two
# functions of optim/algebra/tall.c, which say so).
ISA_x86_avx2   := -mavx2 -mfma
ISA_x86_avx512 := -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx2 -mfma -mprefer-vector-width=512
ISA_x86_peak_avx2 := $(ISA_x86_avx2)
ISA_x86_peak_avx512 := $(ISA_x86_avx512)
OTHER   := $(if $(filter x86_64,$(ARCH)),,core/kernels/x86_%.c) $(if $(filter aarch64 arm64,$(ARCH)),,core/kernels/arm_%.c)

LIB_SRC := $(filter-out $(OTHER),$(foreach d,core data nn optim,$(wildcard $d/*.c $d/*/*.c)))
APP_SRC := $(filter-out apps/examples/% apps/run/team_%,$(wildcard apps/*.c apps/*/*.c)) apps/run/team_$(TEAM).c
EXAMPLE_SRC := $(wildcard apps/examples/*.c $(if $(CXX),apps/examples/*.cpp))
EXAMPLES := $(patsubst apps/examples/%,$(BUILD)/examples/%,$(basename $(EXAMPLE_SRC)))
TEST_SRC := $(wildcard tests/*/test_*.c tests/*/*/test_*.c)
HELP_SRC := $(filter-out tests/support/main.c,$(wildcard tests/support/*.c))
ifdef ONLY
TEST_SRC := $(foreach o,$(ONLY),$(or $(wildcard tests/$o/test_*.c tests/$o/*/test_*.c),tests/$(dir $o)test_$(notdir $o).c))
$(foreach t,$(TEST_SRC),$(if $(wildcard $t),,$(error there is no $t to run; expected ONLY=folder/name or ONLY=folder)))
endif

# Everything is compiled twice for the tests: as it is, and with tn_real = double (suffix 64).
obj      = $(patsubst %.c,$(BUILD)/obj$1/%.o,$2)
LIB      := $(BUILD)/libtenon.a
LIB64    := $(BUILD)/libtenon64.a
VERSION  := $(shell sed -n 's/^.define TN_VERSION "\(.*\)"/\1/p' core/core.h)
shared    = libtenon$(if $(MACOS),$1.dylib,.so$1)
SHARED   := $(BUILD)/$(call shared,.$(VERSION))
SONAME   := $(call shared,.$(basename $(VERSION)))
LINK_SHARED := $(if $(MACOS),-dynamiclib -install_name @rpath/$(SONAME),-shared -Wl,-soname,$(SONAME))
PUBLIC   := core/core.h core/op.h core/trace.h $(wildcard core/*.def) data/data.h data/gguf.h nn/nn.h nn/family.h optim/optim.h
TESTS    := $(patsubst tests/%.c,$(BUILD)/tests/%,$(TEST_SRC)) $(patsubst tests/%.c,$(BUILD)/tests64/%,$(TEST_SRC))

all: $(BUILD)/tenon $(LIB) $(SHARED) $(EXAMPLES) ## the program build/tenon, the library build/libtenon.a and .so (macOS: .dylib), the examples
	@$(if $(CXX),,echo "left out: the C++ example, because there is no C++ compiler")

$(BUILD)/tenon: $(call obj,,$(APP_SRC)) $(LIB)
	@$(LINK) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/examples/%: $(BUILD)/obj/apps/examples/%.o $(LIB)
	@mkdir -p $(@D)
	@$(CC) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/examples/%: apps/examples/%.cpp $(LIB)
	@mkdir -p $(@D) $(BUILD)/obj/apps/examples; echo "  CXX $<"
	@$(CXX) $(CXXFLAGS_ALL) -MMD -MP -MF $(BUILD)/obj/apps/examples/$*.d -o $@ $< $(LIB) $(LDLIBS_ALL)
$(LIB): $(call obj,,$(LIB_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^
$(SHARED): $(call obj,,$(LIB_SRC))
	@$(CC) $(LINK_SHARED) -o $@ $^ $(LDLIBS_ALL)
$(LIB64): $(call obj,64,$(LIB_SRC))
	@rm -f $@
	@$(AR) rcs $@ $^
# Tests of apps/ link all of the program but main.
$(BUILD)/apps.a: $(call obj,,$(filter-out apps/tenon.c,$(APP_SRC)))
	@rm -f $@
	@$(AR) rcs $@ $^
$(BUILD)/apps64.a: $(call obj,64,$(filter-out apps/tenon.c,$(APP_SRC)))
	@rm -f $@
	@$(AR) rcs $@ $^
LINK_TEST = @mkdir -p $(@D); $(LINK) -o $@ $^ $(shell pkg-config --libs check) $(LDLIBS_ALL)
$(BUILD)/tests/apps/%: $(BUILD)/obj/tests/apps/%.o $(call obj,,tests/support/main.c $(HELP_SRC)) $(BUILD)/apps.a $(LIB)
	$(LINK_TEST)
$(BUILD)/tests64/apps/%: $(BUILD)/obj64/tests/apps/%.o $(call obj,64,tests/support/main.c $(HELP_SRC)) $(BUILD)/apps64.a $(LIB64)
	$(LINK_TEST)
FUZZ_SRC := $(filter-out %/fuzz.c %/seeds.c $(wildcard tests/fuzz/test_*),$(wildcard tests/fuzz/*.c))
# Rules of these names alone: where an object of FUZZ_SRC is new, make would prefer the rule for all tests.
FUZZ_TESTS := $(patsubst tests/%.c,%,$(wildcard tests/fuzz/test_*.c))
$(FUZZ_TESTS:%=$(BUILD)/tests/%): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(call obj,,tests/support/main.c $(FUZZ_SRC)) $(BUILD)/apps.a $(LIB)
	$(LINK_TEST)
$(FUZZ_TESTS:%=$(BUILD)/tests64/%): $(BUILD)/tests64/%: $(BUILD)/obj64/tests/%.o $(call obj,64,tests/support/main.c $(FUZZ_SRC)) $(BUILD)/apps64.a $(LIB64)
	$(LINK_TEST)
$(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(call obj,,tests/support/main.c $(HELP_SRC)) $(LIB)
	$(LINK_TEST)
$(BUILD)/tests64/%: $(BUILD)/obj64/tests/%.o $(call obj,64,tests/support/main.c $(HELP_SRC)) $(LIB64)
	$(LINK_TEST)

CC_OF    = $(if $(filter %/team_mpi.c,$<),$(LINK),$(CC))
GNU      = $(if $(filter tests/%,$<),-D_GNU_SOURCE)
# Objects that were made with other flags are made again.
FLAGS := $(CC) $(TEAM) $(CFLAGS_ALL) $(PIC) $(ISA_x86_avx2) $(ISA_x86_avx512)
$(BUILD)/flags: always
	@mkdir -p $(@D); echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@
$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC_OF) $(CFLAGS_ALL) $(GNU) $(PIC) $(ISA_$(notdir $*)) -MMD -MP -c -o $@ $<
$(BUILD)/obj64/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC_OF) $(CFLAGS_ALL) $(GNU) $(PIC) -DTN_DOUBLE $(ISA_$(notdir $*)) -MMD -MP -c -o $@ $<

# No two headers define the same name: all of them compile together.
HEADERS := $(filter-out core/kernels/activation.h core/kernels/elementwise.h core/kernels/functions.h core/kernels/generic.h core/kernels/panel.h core/kernels/widen.h core/kernels/random.h core/kernels/philox.h core/kernels/tile.h core/kernels/x86_turn.h,$(wildcard $(foreach d,core data nn optim apps,$d/*.h $d/*/*.h)))
$(BUILD)/headers.c: $(HEADERS)
	@mkdir -p $(@D)
	@printf '#include "%s"\n' $(HEADERS) > $@
$(BUILD)/headers.o: $(BUILD)/headers.c
	@$(CC) $(CFLAGS_ALL) -c -o $@ $<

SOURCES := $(sort $(wildcard $(foreach e,c h def,$(foreach d,core data nn optim apps tests,$d/*.$e $d/*/*.$e $d/*/*/*.$e))))
map: ## the tree, with what each file says it holds
	@sh tests/support/map.sh $(SOURCES)

format: ## the tree as .clang-format has it (clang-format 14)
	@clang-format -i $(filter %.c %.h,$(SOURCES))

# What tests preload into the program: it refuses allocations, or interrupts calls.
PRELOADS := $(patsubst tests/preload/%.c,$(BUILD)/%.so,$(wildcard tests/preload/*.c))
$(BUILD)/%.so: tests/preload/%.c
	@mkdir -p $(@D); echo "  CC $<"
	@$(CC) -shared -fPIC $(CFLAGS_ALL) $(GNU) -o $@ $<

test: all $(TESTS) $(LIB64) $(BUILD)/headers.o $(PRELOADS) ## build and run all tests, float and double; one file: make test ONLY=core/tape, one folder: ONLY=core
	@sh tests/support/map.sh $(SOURCES) >$(BUILD)/map || { grep '??' $(BUILD)/map; false; }
	@sh tests/support/links.sh $(filter-out build/%,$(wildcard *.md */*.md */*/*.md))
	@BUILD=$(BUILD) CC="$(CC)" CXX="$(CXX)" OPT="$(OPT)" CFLAGS="$(CFLAGS)" LDFLAGS="$(LDFLAGS)" EMULATOR="$(EMULATOR)" sh tests/support/run.sh $(TESTS)

torture: $(BUILD)/tests/apps/test_no_memory $(BUILD)/tenon $(BUILD)/no_memory.so ## every allocation of every command is refused once, alone and with all after it
	@BUILD=$(BUILD) TORTURE_EVERY=1 CK_TIMEOUT_MULTIPLIER=10 sh tests/support/run.sh $<

bench: $(BUILD)/tenon ## what this machine can do, and how near products and ops come to it
	@$(BUILD)/tenon bench peak && $(BUILD)/tenon bench matmul && $(BUILD)/tenon bench ops
demo: $(BUILD)/tenon ## the bundled model learns a task under five optimizers, without network
	@$(BUILD)/tenon demo

TABLE := <!-- made by: tenon optimizers --markdown -->
figures: $(BUILD)/tenon ## remake the pictures optim/figures/lab-*.svg and the table of optim/README.md
	@d=`mktemp -d $(BUILD)/figures.XXXXXX` && for e in `$(BUILD)/tenon lab | cut -d ' ' -f 1`; do \
	    echo optim/figures/lab-$$e.svg; $(BUILD)/tenon lab $$e --svg $$d/lab-$$e.svg >/dev/null && \
	    mv $$d/lab-$$e.svg optim/figures/ || exit 1; done && rmdir $$d
	@$(BUILD)/tenon optimizers --markdown > $(BUILD)/table.md
	@sed -i -e '/^$(TABLE)$$/,/^<!-- end -->$$/{//!d}' -e '/^$(TABLE)$$/r $(BUILD)/table.md' optim/README.md

# The bundled model, remade byte for byte: short records first, until copying is learnt, then all.
BASE  := $(BUILD)/base
PRETRAIN := $(BUILD)/tenon train --progress lines --steps-per-report 100 --fine-tune-type full \
    --learning-rate 2e-3 --opt beta2=0.98 --weight-decay 0.02 --max-grad-norm 1 --seed 1
TASK_PROMPTS = for t in restaurant arithmetic lookup; do for s in train valid test; do \
    $(BUILD)/tenon task $$t --split $$s --count 20000; done; done | sed 's/,"completion".*//' | sort -u
base: $(BUILD)/tenon $(BUILD)/examples/base_text ## remake the bundled model (a quarter of an hour) and compare it with data/bundled/base
	@mkdir $(BASE) || { echo "what an earlier make base left is removed by: rm -r $(BASE)"; exit 1; }
	$(BUILD)/examples/base_text 45000 1 short > $(BASE)/short.jsonl
	$(BUILD)/examples/base_text 53000 2 > $(BASE)/all.jsonl
	@$(TASK_PROMPTS) > $(BASE)/tasks.txt
	@cat $(BASE)/short.jsonl $(BASE)/all.jsonl | sed 's/,"completion".*//' | sort -u | comm -12 - $(BASE)/tasks.txt | wc -l | \
	    sed "s/$$/ of `wc -l < $(BASE)/tasks.txt` prompts of the tasks are in the text/"
	$(PRETRAIN) --model data/bundled/start --tokenizer chars --data $(BASE)/short.jsonl --output-dir $(BASE)/first \
	    --iters 1400 --batch-size 32 --lr-scheduler constant --warmup-steps 100
	$(PRETRAIN) --model $(BASE)/first --data $(BASE)/all.jsonl --output-dir $(BASE)/base --save-dtype bf16 \
	    --iters 3260 --batch-size 16 --lr-scheduler wsd --warmup-steps 20 --lr-decay-steps 1864 --lr-min 6e-5
	cmp $(BASE)/base/model.safetensors data/bundled/base/model.safetensors && echo "the same as data/bundled/base"

# With the package check:arm64 any test of the library runs in the same way:
# make test CC=... BUILD=build/arm EMULATOR="qemu-aarch64 -L /usr/aarch64-linux-gnu" ONLY=core/kernels
arm: $(BUILD)/tenon ## the program for aarch64, cross-compiled: in an emulator it gives the bits of this machine
	@command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null || { \
	    echo "make arm needs the packages gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user (apt-get install)"; exit 1; }
	@$(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar CXX= LDFLAGS=-static BUILD=$(BUILD)/arm $(BUILD)/arm/tenon
	@sh tests/support/same.sh $(BUILD)/tenon "qemu-aarch64 $(BUILD)/arm/tenon"

SANITIZE := -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all -DTN_DEBUG
asan: ## the tests under AddressSanitizer and UndefinedBehaviorSanitizer (clang)
	$(MAKE) test CC=clang BUILD=$(BUILD)/asan OPT="$(SANITIZE) -fsanitize=address,undefined" LDFLAGS="-fsanitize=address,undefined"
tsan: ## the tests under ThreadSanitizer (clang)
	$(MAKE) test CC=clang BUILD=$(BUILD)/tsan OPT="$(SANITIZE) -fsanitize=thread" LDFLAGS="-fsanitize=thread"

$(BUILD)/fuzz/seeds: $(call obj,,tests/fuzz/seeds.c $(FUZZ_SRC)) $(BUILD)/apps.a $(LIB)
	@mkdir -p $(@D); $(CC) -o $@ $^ $(LDLIBS_ALL)
$(BUILD)/fuzz/fuzz: $(call obj,,tests/fuzz/fuzz.c $(FUZZ_SRC)) $(BUILD)/apps.a $(LIB)
	@mkdir -p $(@D); $(CC) -fsanitize=fuzzer -o $@ $^ $(LDLIBS_ALL)
FUZZ := -max_total_time=20
fuzz: ## every reader of files with made-up ones, 20 s each (clang); longer: make fuzz FUZZ=-runs=1000000
	$(MAKE) CC=clang BUILD=$(BUILD)/clang-fuzz OPT="$(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined" \
	    LDFLAGS="-fsanitize=address,undefined" FUZZ="$(FUZZ)" run-fuzz
run-fuzz: $(BUILD)/fuzz/seeds $(BUILD)/fuzz/fuzz
	@sh tests/fuzz/fuzz.sh $(BUILD)/fuzz $(FUZZ)

# What is installed is laid out in build/root first. The list of the files and folders that were new is
# installed too: uninstall removes these, and install begins by removing what an earlier one put there.
ROOT    := $(BUILD)/root
TO      := $(abspath $(DESTDIR)$(PREFIX))
LIST    := share/tenon/installed
COMMANDS := $(shell sed -n "s/^COMMAND.'.', \([a-z]*\),.*/\1/p" apps/commands/commands.def)
OWN     := s,^.include "\(\(core\|data\|nn\|optim\)/.*\)",\#include <tenon/\1>,
pc       = printf '%s\n' 'prefix=$(abspath $(PREFIX))' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: $1' \
    'Description: $2' 'Version: $(VERSION)' 'Cflags: -I$${includedir}$3' 'Libs: -L$${libdir}$(if $(MACOS), -rpath $${libdir}) -l$1$4' 'Libs.private: -lm -pthread' \
    >$(ROOT)/lib/pkgconfig/$1.pc
remove   = cd $(TO) && sort -r $(LIST) | while read -r f; do \
    case $$f in */) rmdir $$f 2>/dev/null || true ;; *) rm -f $$f ;; esac; done
root: all $(LIB64)
	@rm -rf $(ROOT)
	@install -D -m 755 -t $(ROOT)/bin $(BUILD)/tenon
	@install -D -m 644 -t $(ROOT)/lib $(LIB) $(LIB64) $(SHARED)
	@ln -s $(notdir $(SHARED)) $(ROOT)/lib/$(SONAME) && ln -s $(SONAME) $(ROOT)/lib/$(call shared,)
	@mkdir $(ROOT)/lib/pkgconfig
	@$(call pc,tenon,tensors and an autodiff tape to write models with)
	@$(call pc,tenon64,the same in double to check gradients, -DTN_DOUBLE, -lm -pthread)
	@for h in $(PUBLIC); do install -D -m 644 $$h $(ROOT)/include/tenon/$$h || exit 1; done
	@install -D -m 644 -t $(ROOT)/share/doc/tenon LICENSE && mkdir $(ROOT)/share/doc/tenon/examples
	@for e in $(EXAMPLE_SRC); do sed '$(OWN)' $$e >$(ROOT)/share/doc/tenon/examples/$${e##*/} || exit 1; done
	@cd $(ROOT) && mkdir -p share/man/man1 share/bash-completion/completions share/zsh/site-functions \
	    share/fish/vendor_completions.d
	@$(BUILD)/tenon --man >$(ROOT)/share/man/man1/tenon.1
	@for c in $(COMMANDS); do $(BUILD)/tenon --man $$c >$(ROOT)/share/man/man1/tenon-$$c.1 || exit 1; done
	@$(BUILD)/tenon --completion bash >$(ROOT)/share/bash-completion/completions/tenon
	@$(BUILD)/tenon --completion zsh >$(ROOT)/share/zsh/site-functions/_tenon
	@$(BUILD)/tenon --completion fish >$(ROOT)/share/fish/vendor_completions.d/tenon.fish
	@install -D -m 644 /dev/null $(ROOT)/$(LIST) && chmod -R u=rwX,go=rX $(ROOT)
install: root ## program, libraries, headers, examples, manual and completion under PREFIX (/usr/local) and DESTDIR
	@mkdir -p $(TO)
	@test ! -f $(TO)/$(LIST) || { $(remove); }
	@cd $(ROOT) && find . -mindepth 1 \( -type d -printf '%P/\n' -o -printf '%P\n' \) | LC_ALL=C sort | while read -r f; do \
	    test -d $(TO)/$$f || echo $$f; done >../installed && cp ../installed $(LIST)
	@install -D -m 644 $(BUILD)/installed $(TO)/$(LIST) # first: then uninstall knows what a broken installation put
	@cd $(ROOT) && while read -r f; do case $$f in */) mkdir -p -m 755 $(TO)/$$f ;; \
	    *) cp -P --preserve=mode --remove-destination $$f $(TO)/$$f ;; esac || exit 1; done <../installed
	@echo "installed under $(TO)"
	@! grep -qsx $(TO)/lib /etc/ld.so.conf /etc/ld.so.conf.d/* || ldconfig || true
uninstall: ## remove what install put under PREFIX and DESTDIR
	@test -f $(TO)/$(LIST) || { echo "nothing is installed: there is no $(TO)/$(LIST)"; exit 1; }
	@$(remove)

info: ## what this build is made with
	@echo 'compiler   $(CC) ($(shell $(CC) -dumpfullversion -dumpversion)) for $(TARGET)'
	@echo 'flags      $(CFLAGS_ALL)'
	@echo 'libraries  $(LDLIBS_ALL)'
	@echo 'C++        $(or $(CXX),no: there is no C++ compiler)'
	@echo 'MPI        $(if $(filter mpi,$(TEAM)),yes: $(shell $(MPICC) -show),no; make WITH_MPI=1 trains one model on several processes)'

clean: ## remove build/
	rm -rf $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | column -t -s '|'

.PHONY: all info test map format bench demo figures base arm asan tsan fuzz run-fuzz root install uninstall clean always help
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(BUILD)/obj $(BUILD)/obj64 -name '*.d' 2>/dev/null)
