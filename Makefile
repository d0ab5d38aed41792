# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tidemark. `make help` says what there is. Everything that is built goes to
# build/, which Git ignores; nothing is written beside the sources.

BUILD	?= build
CC	?= cc
PREFIX	?= /usr/local
SYSCONFDIR ?= /etc
DESTDIR	?=
VERSION	:= 0.1.0

SUDO	:= $(if $(filter 0,$(shell id -u)),,sudo)

CPPFLAGS += -D_GNU_SOURCE -DTIDEMARK_VERSION='"$(VERSION)"' -I. -Iagent -Itools \
	    -Imodule/uapi
CFLAGS	?= -O2 -g
CFLAGS	+= -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	   -Wvla -Wformat=2 -Wno-unused-parameter -fno-strict-aliasing -fPIC -pthread
LDFLAGS	+= -pthread

ifeq ($(SAN),1)
BUILD	:= $(BUILD)/san
CFLAGS	+= -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
LDFLAGS	+= -fsanitize=address,undefined
else ifeq ($(SAN),thread)
BUILD	:= $(BUILD)/tsan
CFLAGS	+= -fsanitize=thread -fno-omit-frame-pointer
LDFLAGS	+= -fsanitize=thread
endif

# Which library belongs to which part: see Documentation/architecture.rst.
LIB_LIBS   := -ldevmapper -lnl-genl-3 -lnl-3
AGENT_LIBS := -luring -lxxhash -lzstd -llz4 -lsqlite3 -lblkid -lsystemd -linih -ljson-c -lssl -lcrypto
TOOL_LIBS  := -lsystemd -lsmartcols -ljson-c -lblkid -lcrypto
NL_CFLAGS  := -isystem /usr/include/libnl3

LIB_SRC   := $(sort $(wildcard tools/libtidemark/*.c))
AGENT_SRC := $(sort $(wildcard agent/*/*.c))
TOOL_SRC  := $(sort $(wildcard tools/tidemark/*.c))
UNIT_SRC  := $(sort $(wildcard tests/unit/*/test-*.c))
HELPER_SRC := $(sort $(wildcard tests/helpers/*.c))

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

UNIT_BIN   := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))
HELPER_BIN := $(patsubst tests/helpers/%.c,$(BUILD)/helpers/%,$(HELPER_SRC))

.DEFAULT_GOAL := all
.PHONY: all help deps user module modules debug-kernels test-programs tests demo check bench torture lint guest install uninstall clean

## all:      the agent, the command, the library and the module for both kernels
all: user module

## user:     the agent, the command and the library
user: $(BUILD)/bin/tidemarkd $(BUILD)/bin/tidemark $(BUILD)/lib/libtidemark.so \
      $(BUILD)/lib/libtidemark.a $(BUILD)/lib/libtidemark.pc

help:
	@echo "Tidemark $(VERSION): replication of VM disks that sends only what changed."
	@echo
	@grep -h '^## ' $(MAKEFILE_LIST) | sed 's/^## /  make /'
	@echo
	@echo "SAN=1 builds with AddressSanitizer and UBSan, under build/san,"
	@echo "SAN=thread with ThreadSanitizer, under build/tsan."

## deps:     install the Debian packages that are needed (root or sudo)
deps:
	@$(SUDO) tests/deps

## module:   dm-tidemark.ko for the kernels of the guest rig, in build/module/
module modules:
	@tests/guest/build-module --kernel 6.1
	@tests/guest/build-module --kernel 6.12

# -- programs ----------------------------------------------------------------

$(BUILD)/bin/tidemarkd: $(BUILD)/obj/agent/main.o $(BUILD)/libagent.a $(BUILD)/lib/libtidemark.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS) $(LIB_LIBS)

$(BUILD)/bin/tidemark: $(call obj,$(TOOL_SRC)) $(BUILD)/lib/libtidemark.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS) $(LIB_LIBS)

$(BUILD)/libagent.a: $(call obj,$(AGENT_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/lib/libtidemark.a: $(call obj,$(LIB_SRC))
	@mkdir -p $(@D)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/lib/libtidemark.so.0: $(call obj,$(LIB_SRC)) tools/libtidemark/libtidemark.map
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -shared -Wl,-soname,libtidemark.so.0 \
		-Wl,--version-script=tools/libtidemark/libtidemark.map \
		-o $@ $(filter %.o,$^) $(LIB_LIBS)

$(BUILD)/lib/libtidemark.so: $(BUILD)/lib/libtidemark.so.0
	ln -sf libtidemark.so.0 $@

$(BUILD)/lib/libtidemark.pc: tools/libtidemark/libtidemark.pc.in Makefile
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' $< > $@

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(NL_CFLAGS) -MMD -MP -c -o $@ $<

# -- tests -------------------------------------------------------------------

# The module's pure files compile in user space against a shim.
$(BUILD)/obj/tests/unit/module/%.o: CPPFLAGS := -Itests/unit/module/shim $(CPPFLAGS)

# One program for each tests/unit/DIR/test-NAME.c; they speak TAP (cmocka).
$(BUILD)/unit/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libagent.a $(BUILD)/lib/libtidemark.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(AGENT_LIBS) $(LIB_LIBS)

# A connection is spent when the test says so, and not by a key of kernel TLS.
$(BUILD)/unit/send/test-spent: LDFLAGS += -Wl,--wrap=conn_spent

# Programs that tests use, also inside guests: one for each tests/helpers/*.c
$(BUILD)/helpers/%: $(BUILD)/obj/tests/helpers/%.o $(BUILD)/libagent.a $(BUILD)/lib/libtidemark.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(AGENT_LIBS) $(LIB_LIBS)

# The example is built as its reader would build it: by the public header alone.
$(BUILD)/helpers/backup: Documentation/examples/backup.c $(BUILD)/lib/libtidemark.so \
		tools/libtidemark/tidemark.h
	@mkdir -p $(@D) $(BUILD)/include
	@ln -sfn $(CURDIR)/tools/libtidemark $(BUILD)/include/libtidemark
	$(CC) $(CFLAGS) -I$(BUILD)/include -Imodule/uapi -o $@ $< -L$(BUILD)/lib -ltidemark

# Those of user space, for tests/sanitize
test-programs: $(UNIT_BIN) $(HELPER_BIN)

## tests:    build every test program
tests: test-programs $(BUILD)/helpers/backup
	@$(MAKE) --no-print-directory -C tests/module

## check:    install, build, run all tests; ends with "N passed, N failed, N skipped"
check: deps
	@$(MAKE) --no-print-directory -j2 all tests
	@tests/run-all

## demo:     install, build, and replicate a VM disk from a guest to this machine
demo: deps
	@$(MAKE) --no-print-directory -j2 all tests
	@tests/demo

## bench:    ratios against dm-linear and the named peers, in one run
bench: deps
	@$(MAKE) --no-print-directory -j2 all tests
	@tests/bench/run

## debug-kernels: build the guest kernels with KASAN, lockdep, KCSAN (an hour, once)
debug-kernels: deps
	@tests/guest/build-kernel 6.1-debug 6.1-kcsan

## torture:  the long runs, two hours and more; builds the debug kernels first
torture: deps debug-kernels
	@$(MAKE) --no-print-directory -j2 all tests
	@tests/run-all --torture

## lint:     checkpatch, sparse, W=1, kernel-doc, cppcheck, shellcheck, layering, uapi layout
lint: deps
	@tests/check/lint

## guest:    a root shell in a guest with everything inside (KERNEL=6.1 or 6.12)
guest: deps
	@$(MAKE) --no-print-directory -j2 all tests
	@tests/guest/run --kernel $(or $(KERNEL),6.1) --shell

# What goes where: MODE SOURCE TARGET, colons between. Sources in build/ that are
# made from an .in file know the paths of this installation.
LIBDIR	:= $(PREFIX)/lib
SHARE	:= $(PREFIX)/share
UNITDIR	:= $(LIBDIR)/systemd/system
SRCDIR	?= /usr/src
UNITS	:= $(patsubst agent/systemd/%.in,%,$(wildcard agent/systemd/*.service.in))
DKMS	:= $(SRCDIR)/tidemark-$(VERSION)

INSTALLED := \
	755:$(BUILD)/bin/tidemarkd:$(PREFIX)/sbin/tidemarkd \
	755:$(BUILD)/bin/tidemark:$(PREFIX)/sbin/tidemark \
	755:$(BUILD)/lib/libtidemark.so.0:$(LIBDIR)/libtidemark.so.0 \
	644:$(BUILD)/lib/libtidemark.a:$(LIBDIR)/libtidemark.a \
	644:$(BUILD)/lib/libtidemark.pc:$(LIBDIR)/pkgconfig/libtidemark.pc \
	644:tools/libtidemark/tidemark.h:$(PREFIX)/include/libtidemark/tidemark.h \
	$(foreach f,$(wildcard module/uapi/linux/*.h),644:$(f):$(PREFIX)/include/linux/$(notdir $(f))) \
	644:agent/bus/org.tidemark.Replication1.conf:$(SYSCONFDIR)/dbus-1/system.d/org.tidemark.Replication1.conf \
	644:tools/tidemark/completion.bash:$(SHARE)/bash-completion/completions/tidemark \
	644:agent/systemd/tidemark-resync@.timer:$(UNITDIR)/tidemark-resync@.timer \
	644:agent/systemd/tidemark.sysusers:$(LIBDIR)/sysusers.d/tidemark.conf \
	644:agent/systemd/tidemark.tmpfiles:$(LIBDIR)/tmpfiles.d/tidemark.conf \
	644:agent/systemd/tidemark.modules-load:$(LIBDIR)/modules-load.d/tidemark.conf \
	644:agent/systemd/tidemark.catalog:$(LIBDIR)/systemd/catalog/tidemark.catalog \
	644:agent/systemd/11-dm-tidemark.rules:$(LIBDIR)/udev/rules.d/11-dm-tidemark.rules \
	644:$(BUILD)/systemd/dkms.conf:$(DKMS)/dkms.conf \
	$(foreach u,$(UNITS),644:$(BUILD)/systemd/$(u):$(UNITDIR)/$(u)) \
	$(foreach p,$(wildcard agent/bus/*.policy),644:$(p):/usr/share/polkit-1/actions/$(notdir $(p))) \
	$(foreach p,$(wildcard Documentation/man/*.[1-9]),644:$(p):$(SHARE)/man/man$(lastword $(subst ., ,$(p)))/$(notdir $(p))) \
	$(foreach f,$(wildcard module/*.[ch]) module/Kbuild $(wildcard module/uapi/linux/*.h),644:$(f):$(DKMS)/$(patsubst module/%,%,$(f)))

$(BUILD)/systemd/%: agent/systemd/%.in Makefile
	@mkdir -p $(@D)
	sed -e 's|@SBINDIR@|$(PREFIX)/sbin|g' -e 's|@SYSCONFDIR@|$(SYSCONFDIR)|g' $< > $@

$(BUILD)/systemd/dkms.conf: module/dkms.conf Makefile
	@mkdir -p $(@D)
	sed 's|@VERSION@|$(VERSION)|' $< > $@

## install:  install programs, library, units, man pages and the module's source (DKMS)
install: user $(addprefix $(BUILD)/systemd/,$(UNITS) dkms.conf)
	@for i in $(INSTALLED); do IFS=:; set -- $$i; \
		install -D -m $$1 "$$2" "$(DESTDIR)$$3" || exit 1; done
	ln -sf libtidemark.so.0 $(DESTDIR)$(LIBDIR)/libtidemark.so
	$(if $(DESTDIR),,agent/systemd/activate)

## uninstall: remove what install has put there; configuration, state and replicas stay
uninstall:
	$(if $(DESTDIR),,agent/systemd/activate --stop)
	@for i in $(INSTALLED); do rm -f "$(DESTDIR)$${i##*:}" || exit 1; done
	rm -f $(DESTDIR)$(LIBDIR)/libtidemark.so
	@for d in $(DKMS)/uapi/linux $(DKMS)/uapi $(DKMS) $(PREFIX)/include/libtidemark; do \
		rmdir "$(DESTDIR)$$d" 2>/dev/null; done; :
	$(if $(DESTDIR),,agent/systemd/activate --reload)

## clean:    remove what was built; downloads and guest images stay
clean:
	rm -rf $(BUILD)/obj $(BUILD)/bin $(BUILD)/lib $(BUILD)/unit $(BUILD)/helpers \
		$(BUILD)/libagent.a $(BUILD)/module $(BUILD)/systemd $(BUILD)/san $(BUILD)/tsan $(BUILD)/log

.SECONDARY:
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
