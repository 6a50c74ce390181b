# signet: one file, not recursive but for the parts that need packages which 'make deps' installs first.
#
#   make            build everything into build/
#   make deps       install the Debian packages that building and testing need (root or sudo)
#   make demo       the whole main job on real parts, step by step (sets everything up itself)
#   make check      all tests (sets everything up itself)
#   make help       the other targets

CC              ?= cc
BUILD           ?= build
PREFIX          ?= /usr/local
OPT             ?= -O2 -g
WERROR          ?=
SANITIZE        ?=
V               ?= 0

# Folders a PKCS#11 module may be loaded from (colon-separated); signet.conf can narrow or extend it.
MODULE_DIRS     ?= /usr/lib/$(MULTIARCH)/pkcs11:/usr/lib/$(MULTIARCH)/softhsm:/usr/lib/softhsm:/usr/lib/$(MULTIARCH):/usr/lib/pkcs11:/usr/lib64/pkcs11
MULTIARCH       := $(shell $(CC) -print-multiarch 2>/dev/null)
VERSION         := 0.1.0

PACKAGES_BUILD  := gcc libc6-dev make pkg-config libp11-kit-dev libssl-dev libstrophe-dev \
                   libevent-dev libjansson-dev libsqlite3-dev libassuan-dev libexpat1-dev libinih-dev
PACKAGES_WORLD  := softhsm2 opensc openssl prosody prosody-modules lua-sec python3
PACKAGES_TEST   := libcmocka-dev python3-pytest python3-slixmpp python3-cryptography strace gdb pinentry-tty util-linux procps
PACKAGES_LINT   := clang clang-format clang-tidy cppcheck shellcheck mandoc lua-check pyflakes3 libclang-rt-14-dev

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n'
endif

HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE -D_FORTIFY_SOURCE=2
ifneq ($(SANITIZE),)
HARDENING := -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer -fPIE
endif
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wno-unused-parameter $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -DSG_VERSION='"$(VERSION)"' -DSG_MODULE_DIRS='"$(MODULE_DIRS)"' \
            -DSG_LIBEXECDIR='"$(PREFIX)/libexec/signet"' -DSG_SYSCONFDIR='"/etc"' -Iproto -I$(BUILD)/gen
CFLAGS   += -std=gnu11 $(OPT) $(HARDENING) $(WARNINGS)
LDFLAGS  += -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifneq ($(SANITIZE),)
LDFLAGS  += -fsanitize=$(SANITIZE)
endif

# ---------------------------------------------------------------------------------------- sources
PROTO_CORE := proto/error.c proto/secret.c proto/buf.c proto/text.c proto/harden.c proto/log.c \
              proto/layout.c proto/msg.c proto/channel.c proto/spawn.c proto/conf.c
PROTO_X509 := proto/x509.c
PROTO_XMPP := proto/xml.c proto/ccm2.c proto/keyinfo.c proto/pep.c proto/disco.c
PROTO_VERDICT := proto/verdict.c
PROTO_CLIENT := proto/client.c

TOKEN_SRC     := $(wildcard token/*.c)
BROKER_SRC    := $(wildcard agent/broker/*.c)
XMPP_SRC      := $(wildcard agent/xmpp/*.c)
CLI_SRC       := $(wildcard agent/cli/*.c)
AUTHORITY_SRC := $(wildcard authority/*.c)

pkg = $(shell pkg-config $(1) 2>/dev/null)
PKG_token     := p11-kit-1 libcrypto libassuan inih
PKG_signetd   := libevent_core jansson sqlite3 libcrypto inih expat
PKG_xmpp      := libstrophe libssl libcrypto expat inih
PKG_cli       := jansson libcrypto expat inih
PKG_authority := libstrophe libssl libcrypto sqlite3 expat inih
PKG_unit      := cmocka libevent_core jansson sqlite3 libcrypto libssl expat inih p11-kit-1 libassuan libstrophe

PROGRAMS := $(BUILD)/bin/signet $(BUILD)/bin/signetd $(BUILD)/bin/signet-token $(BUILD)/bin/signet-xmpp \
            $(BUILD)/bin/signet-authority

.PHONY: all
all: $(PROGRAMS)

objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

$(BUILD)/bin/signet-token: $(call objs,$(TOKEN_SRC) $(PROTO_CORE) $(PROTO_X509))
$(BUILD)/bin/signet-token: LDLIBS = -pthread $(call pkg,--libs $(PKG_token))
$(BUILD)/bin/signetd: $(call objs,$(BROKER_SRC) $(PROTO_CORE) $(PROTO_X509) $(PROTO_XMPP) $(PROTO_VERDICT))
$(BUILD)/bin/signetd: LDLIBS = $(call pkg,--libs $(PKG_signetd))
$(BUILD)/bin/signet-xmpp: $(call objs,$(XMPP_SRC) $(PROTO_CORE) $(PROTO_X509) $(PROTO_XMPP))
$(BUILD)/bin/signet-xmpp: LDLIBS = $(call pkg,--libs $(PKG_xmpp))
$(BUILD)/bin/signet: $(call objs,$(CLI_SRC) $(PROTO_CORE) $(PROTO_X509) $(PROTO_XMPP) $(PROTO_VERDICT) $(PROTO_CLIENT))
$(BUILD)/bin/signet: LDLIBS = $(call pkg,--libs $(PKG_cli))
$(BUILD)/bin/signet-authority: $(call objs,$(AUTHORITY_SRC) $(PROTO_CORE) $(PROTO_X509) $(PROTO_XMPP))
$(BUILD)/bin/signet-authority: LDLIBS = $(call pkg,--libs $(PKG_authority))

$(PROGRAMS):
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

PKG_ALL := $(sort $(PKG_token) $(PKG_signetd) $(PKG_xmpp) $(PKG_cli) $(PKG_authority))
PKG_CFLAGS := $(call pkg,--cflags $(PKG_ALL))
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The interface file as a C string, so that the agent answers with the very text that is documented.
$(BUILD)/gen/interface.inc: proto/org.signet.Agent.varlink
	@mkdir -p $(@D)
	$(Q)sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $< > $@
$(call objs,$(BROKER_SRC)): | $(BUILD)/gen/interface.inc

# ------------------------------------------------------------------------------------------- tests
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
$(BUILD)/unit/%: tests/unit/%.c $(call objs,$(PROTO_CORE) $(PROTO_X509) $(PROTO_XMPP) $(PROTO_VERDICT) $(PROTO_CLIENT))
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CPPFLAGS) -I. $(PKG_CFLAGS) $(CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $^ -pthread $(call pkg,--libs $(PKG_unit))

.PHONY: unit
unit: $(UNIT_TESTS)
	@for t in $(UNIT_TESTS); do $$t || exit 1; done

-include $(shell find $(BUILD)/obj $(BUILD)/unit -name '*.d' 2>/dev/null)

.PHONY: clean
clean:
	rm -rf $(BUILD)
