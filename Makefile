# SPDX-License-Identifier: GPL-2.0-only
#
#   make               userspace, with the libraries of this machine
#   make in-root       the same in a Debian 13 root, which is made if need be
#   make demo          a server with the kernel data path, in a VM
#   make run           a server for you alone, on port 2222
#   make check         all tests, in the root and in VMs
#   make check-debug   the same on the debug kernel (KASAN, lockdep, kmemleak)
#   make check-kcsan   the same on a kernel that finds data races (KCSAN)
#   make module        kssh.ko for KDIR (this machine's kernel)
#   make help          the rest

MAKEFLAGS += -rR --no-print-directory
.DELETE_ON_ERROR:
.SUFFIXES:

VERSION := 0.1.0
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
DESTDIR ?=
KDIR ?= /lib/modules/$(shell uname -r)/build

# SAN=1 AddressSanitizer and UBSan, SAN=fuzzer for libFuzzer; WERROR=0, V=1.
SAN ?=
V ?=
WERROR ?= 1
BUILD ?= build$(if $(SAN),/$(if $(filter 1,$(SAN)),san,$(SAN)))

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(BUILD)/%,%,$(2))';)
shell-make = $(MAKE) BUILD=$(BUILD)

## What is built, and from what

LIB_SRC := $(filter-out userspace/cmd/%,$(wildcard userspace/*/*.c)) \
	$(wildcard kmod/core/*.c)
CMD_SRC := $(wildcard userspace/cmd/*.c)
TEST_SRC := $(wildcard tests/*_test.c)
# bench/NAME.c is a program, bench/NAME_PART.c are its parts.
BENCH_PART_SRC := $(wildcard bench/*_*.c)
HELPER_SRC := $(filter-out $(BENCH_PART_SRC),$(wildcard \
	tests/integration/*.c tests/interop/*.c bench/*.c docs/examples/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
MAN := $(wildcard docs/man/*.[1578])

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libkssh.a
CMDS := $(patsubst userspace/cmd/%.c,$(BUILD)/%,$(CMD_SRC))
TESTS := $(patsubst %.c,$(BUILD)/%,$(TEST_SRC))
HELPERS := $(patsubst %.c,$(BUILD)/%,$(HELPER_SRC))
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))

## How

ifeq ($(origin CC),default)
CC := gcc
endif
AR := ar
CLANG ?= clang
PKG_CONFIG ?= pkg-config
DEPS := openssl=3.5 liburing=2.6 libseccomp=2.5 libcap=2.60

# As the kernel is: kmod/core means the same in both worlds.
DIALECT := -std=gnu11 -fno-strict-aliasing -fno-strict-overflow
WARN := -Wall -Wextra -Wno-unused-parameter -Wmissing-prototypes \
	-Wstrict-prototypes -Wold-style-definition -Wshadow -Wwrite-strings \
	-Wpointer-arith -Wvla -Wformat=2 $(if $(filter 1,$(WERROR)),-Werror)
HARDEN := -fstack-protector-strong -fstack-clash-protection -fPIE \
	-ftrivial-auto-var-init=zero \
	$(if $(filter x86_64,$(shell uname -m)),-fcf-protection)
comma := ,
ifeq ($(SAN),)
OPT := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
else
OPT := -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-fsanitize=address,undefined$(if $(filter fuzzer,$(SAN)),$(comma)fuzzer-no-link)
endif

ALL_CPPFLAGS := -D_GNU_SOURCE= -DKSSH_VERSION='"$(VERSION)"' \
	$(if $(SAN),-DKSSH_SAN) -Iuserspace -Ikmod -Ikmod/include/uapi \
	-Itests -I$(BUILD) -I$(BUILD)/obj/bpf $(CPPFLAGS)
ALL_CFLAGS := $(DIALECT) $(WARN) $(HARDEN) $(OPT) $(CFLAGS)
ALL_LDFLAGS := -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed $(LDFLAGS)
ALL_LDLIBS := -luring -lcrypto -lseccomp -lcap -lpam -lcrypt -lutil $(LDLIBS)

.PHONY: all tests
all: $(LIB) $(CMDS) kssh-top
tests: all $(TESTS) $(HELPERS)

# Which libraries are too old, in one line. Looked at once a build folder.
$(BUILD)/.deps: Makefile
	$(Q)mkdir -p $(@D); bad=; for dep in $(DEPS); do \
		lib=$${dep%=*}; min=$${dep#*=}; \
		$(PKG_CONFIG) --atleast-version=$$min $$lib 2>/dev/null || \
			bad="$$bad$${bad:+, }$$lib >= $$min (here: $$( \
			$(PKG_CONFIG) --modversion $$lib 2>/dev/null || \
			echo none))"; \
	done; [ -z "$$bad" ] || { echo "kssh needs $$bad. 'make in-root' builds\
	 in a Debian 13 root; 'make demo' and 'make check' do so themselves." >&2; \
	exit 1; }; touch $@

# Other flags, other objects.
FLAGS := $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(ALL_LDLIBS)
.PHONY: FORCE
$(BUILD)/.flags: FORCE
	@mkdir -p $(@D); echo '$(subst ','\'',$(FLAGS))' | cmp -s - $@ || \
		echo '$(subst ','\'',$(FLAGS))' >$@

$(BUILD)/obj/%.o: %.c $(BUILD)/.flags | $(BUILD)/.deps
	$(call say,CC,$<)mkdir -p $(@D) && \
		$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The list of objects is kept, so that a file that goes leaves the library.
$(BUILD)/.objects: FORCE
	@mkdir -p $(@D); echo '$(call obj,$(LIB_SRC))' | cmp -s - $@ || \
		echo '$(call obj,$(LIB_SRC))' >$@

$(LIB): $(call obj,$(LIB_SRC)) $(BUILD)/.objects
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

link = $(call say,LD,$@)mkdir -p $(@D) && \
	$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(ALL_LDLIBS)

$(CMDS): $(BUILD)/%: $(BUILD)/obj/userspace/cmd/%.o $(LIB)
	$(link)

$(TESTS) $(HELPERS): $(BUILD)/%: $(BUILD)/obj/%.o $(LIB)
	$(link)

$(BUILD)/bench/datapath: $(call obj,$(wildcard bench/datapath_*.c))

## kssh-top: a BPF program and who reads it. Needs clang, bpftool and libbpf.

BPFTOOL ?= $(shell PATH=$$PATH:/usr/sbin command -v bpftool)
BPF_CFLAGS := -target bpf -g -O2 -Wall -Werror -Ibpf \
	-I/usr/include/$(shell $(CC) -dumpmachine)
HAVE_BPF := $(shell $(PKG_CONFIG) --atleast-version=1.0 libbpf 2>/dev/null && \
	command -v $(CLANG) >/dev/null && [ -x "$(BPFTOOL)" ] && echo 1)

.PHONY: kssh-top
ifeq ($(HAVE_BPF)$(SAN),1)
kssh-top: $(BUILD)/kssh-top
else
kssh-top:
	$(if $(SAN),,@echo '  SKIP    kssh-top (needs clang, bpftool, libbpf >= 1.0)')
endif

$(BUILD)/obj/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(call say,BPF,$<)mkdir -p $(@D) && $(CLANG) $(BPF_CFLAGS) -c -o $@ $<

$(BUILD)/obj/bpf/%.skel.h: $(BUILD)/obj/bpf/%.bpf.o
	$(call say,SKEL,$@)$(BPFTOOL) gen skeleton $< name $*_bpf >$@

$(BUILD)/obj/bpf/kssh_top.o: $(BUILD)/obj/bpf/kssh_top.skel.h

$(BUILD)/kssh-top: $(BUILD)/obj/bpf/kssh_top.o
	$(call say,LD,$@)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< -lbpf

.SECONDARY:
-include $(patsubst %.o,%.d,$(call obj,$(LIB_SRC) $(CMD_SRC) $(TEST_SRC) \
	$(HELPER_SRC) $(BENCH_PART_SRC) $(FUZZ_SRC)))

## Fuzzers: make fuzz, then build/fuzzer/fuzz/NAME

.PHONY: fuzz fuzzers
fuzz:
	$(Q)$(MAKE) SAN=fuzzer CC=$(CLANG) BUILD=$(BUILD)/fuzzer fuzzers

fuzzers: $(FUZZERS)
$(FUZZERS): $(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(LIB)
	$(call say,LD,$@)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) \
		-fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) \
		$(ALL_LDLIBS)

## The module: sources are copied, so that the tree stays clean and several
## kernels can be built for at once.

KVER = $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null)
KMOD = $(abspath $(BUILD))/kmod-$(KVER)

.PHONY: module module-copy modules module_install
module-copy:
	$(Q)[ -n "$(KVER)" ] || { echo "no kernel headers in $(KDIR): set KDIR,\
	 or 'make in-root T=modules'" >&2; exit 1; }
	$(Q)mkdir -p $(KMOD) && cp -Ru --preserve=timestamps Kbuild kmod $(KMOD)

module: module-copy
	$(call say,KMOD,kssh.ko for $(KVER))$(MAKE) $(if $(V),V=1,-s) -C $(KDIR) \
		M=$(KMOD) $(KFLAGS) modules

# For all kernels of the root, and the debug kernels that are there.
modules:
	$(Q)tests/vm/kdirs | while read -r name kdir; do \
		$(shell-make) module KDIR=$$kdir || exit 1; done

module_install: module
	$(Q)$(MAKE) -C $(KDIR) M=$(KMOD) modules_install

# What DKMS builds from: dkms add kssh/VERSION, then dkms install.
DKMS := $(DESTDIR)/usr/src/kssh-$(VERSION)

.PHONY: dkms
dkms:
	$(Q)install -d $(DKMS) && cp -R Kbuild kmod COPYING LICENSES $(DKMS)
	$(Q)sed 's/@VERSION@/$(VERSION)/' dkms.conf >$(DKMS)/dkms.conf
	@echo "$(DKMS): now dkms install kssh/$(VERSION)"

## Try it: natively where the libraries allow it, else in the root

RUN_PORT ?= 2222
.PHONY: run run-native
run:
	@if $(shell-make) $(BUILD)/.deps >/dev/null 2>&1; then \
		exec $(shell-make) run-native; \
	else \
		echo "The libraries of this machine are too old: in the Debian 13 root."; \
		$(shell-make) in-root && \
			exec tests/vm/inroot userspace/run-here build/root $(RUN_PORT); \
	fi

run-native: all
	@exec userspace/run-here $(BUILD) $(RUN_PORT)

## Install

.PHONY: install
install: all
	$(Q)install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(SBINDIR)
	$(Q)for f in $(CMDS); do case $$f in \
		*/ksshd*) install $$f $(DESTDIR)$(SBINDIR) ;; \
		*) install $$f $(DESTDIR)$(BINDIR) ;; esac || exit 1; done
	$(Q)[ ! -e $(BUILD)/kssh-top ] || \
		install $(BUILD)/kssh-top $(DESTDIR)$(SBINDIR)
	$(Q)for f in $(MAN); do d=$(DESTDIR)$(MANDIR)/man$${f##*.}; \
		install -d $$d && install -m 644 $$f $$d || exit 1; done

## In the root, and in VMs

T ?= all
.PHONY: root in-root demo check check-debug check-kcsan bench bench-vm vm-shell \
	shell
root:
	$(Q)tests/vm/mkroot.sh

in-root:
	$(Q)tests/vm/inroot make -j$$(nproc) BUILD=build/root V=$(V) $(T)

shell:
	$(Q)tests/vm/inroot bash

check:
	$(Q)tests/run --all

check-debug:
	$(Q)tests/vm/mkdebug.sh debug && tests/run --debug

check-kcsan:
	$(Q)tests/vm/mkdebug.sh kcsan && tests/run --kcsan

demo:
	$(Q)tests/vm/demo.sh

# Figures go to build/bench; bench/report makes tables of them.
bench:
	$(Q)$(MAKE) --no-print-directory in-root T=all
	$(Q)mkdir -p build/bench
	$(Q)tests/vm/inroot bench/native.py >build/bench/native.json
	$(Q)tests/vm/inroot bench/report build/bench/native.json

bench-vm:
	$(Q)$(MAKE) --no-print-directory in-root T=tests
	$(Q)mkdir -p build/bench
	$(Q)tests/vm/run --icount --timeout 3000 -- bench/server_cost.sh \
		>build/bench/server.json
	$(Q)tests/vm/run --icount --timeout 3000 -- bench/datapath.sh \
		>build/bench/datapath.json
	$(Q)tests/vm/inroot bench/report build/bench/server.json \
		build/bench/datapath.json

vm-shell:
	$(Q)tests/vm/run --shell

## Style

.PHONY: style analyze stats clean help
style:
	$(Q)tests/style/style

analyze:
	$(Q)tests/style/analyze

stats:
	$(Q)tests/style/stats

clean:
	$(Q)rm -rf $(BUILD)

help:
	@sed -n 's/^#   make/  make/p' Makefile
	@echo '  make tests         all that make builds, and the tests'
	@echo '  make fuzz          the fuzzers, with clang'
	@echo '  make modules       kssh.ko for all kernels of the root (in it)'
	@echo '  make install       DESTDIR, PREFIX'
	@echo '  make style         checkpatch, sparse, formats, words, licences'
	@echo '  make analyze       cppcheck, gcc -fanalyzer, scan-build'
	@echo '  make stats         longest functions and files'
	@echo '  make bench         the server against OpenSSH, natively (10 minutes)'
	@echo '  make bench-vm      server and module, instructions in a VM (1 hour)'
	@echo '  make shell         a shell in the root'
	@echo '  make vm-shell      a shell in a VM'
	@echo '  tests/run -h       run tests by name'
