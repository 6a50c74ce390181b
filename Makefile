# signet: one file, not recursive but for the parts that need packages which 'make deps' installs first.
#
#   make            build everything into build/
#   make deps       install the Debian packages that building and testing need (root or sudo)
#   make demo       the whole main job on real parts, step by step (sets everything up itself)
#   make check      all tests (sets everything up itself)
#   make check-token  'make fault', then one suite on every kind of token that Debian has (sets everything up itself)
#   make playground the same world in the foreground; RUN='command' runs a command in it and stops
#                   SERVER=ejabberd has that in the place of Prosody, in the demo too
#   make fault      every PKCS#11 call of the token's work failed once, and what tokens do wrong (sets itself up)
#   make fault-mainjob   the same for the whole main job, which takes long
#   make idle       counts the system calls of an idle agent over 30 s
#   make bench      signatures a second, latency and memory, beside C_Sign, p11-kit and ssh-agent; public keys; the authority (quiet machine)
#   make lint       formatting, static analysis, direction of dependencies, documents against code
#   make fuzz       every decoder under libFuzzer (FUZZ_SECONDS each)
#   make unit, make regress   the two halves of 'make check', without its set-up
#   make install    into PREFIX (DESTDIR is honoured)
#   make clean      remove build/
#   Variables: CC, OPT, PREFIX, BUILD, SANITIZE=address,undefined, WERROR=-Werror, V=1

CC              ?= cc
BUILD           ?= build
PREFIX          ?= /usr/local
OPT             ?= -O2 -g
WERROR          ?=
SANITIZE        ?=
V               ?= 0
# Debian's own: the packages that the tests need are installed for it.
PYTHON          ?= /usr/bin/python3

# Folders a PKCS#11 module may be loaded from (colon-separated); signet.conf can narrow or extend it.
MODULE_DIRS     ?= /usr/lib/$(MULTIARCH)/pkcs11:/usr/lib/$(MULTIARCH)/softhsm:/usr/lib/softhsm:/usr/lib/$(MULTIARCH):/usr/lib/pkcs11:/usr/lib64/pkcs11
MULTIARCH       := $(shell $(CC) -print-multiarch 2>/dev/null)
VERSION         := 0.1.0

PACKAGES_BUILD  := gcc libc6-dev make pkg-config libp11-kit-dev libssl-dev libstrophe-dev \
                   libevent-dev libjansson-dev libsqlite3-dev libassuan-dev libexpat1-dev libinih-dev \
                   libsystemd-dev librnp-dev libgpgme-dev libqrencode-dev libpq-dev
PACKAGES_WORLD  := softhsm2 opensc openssl sha1cdsum prosody prosody-modules lua-sec ejabberd erlang-base postgresql python3
PACKAGES_TEST   := gnupg libcmocka-dev python3-pytest python3-pytest-xdist python3-slixmpp python3-cryptography python3-prometheus-client strace gdb pinentry-tty util-linux procps dbus python3-dbusmock graphviz zbar-tools systemd sqlite3 python3-yaml curl
PACKAGES_TOKEN  := pcscd vsmartcard-vpcd ykcs11 opensc libtpm2-pkcs11-1 libtpm2-pkcs11-tools swtpm tpm2-tools tpm2-abrmd \
                   libtss2-tcti-tabrmd0 libtss2-tcti-swtpm0 dbus-daemon libnss3 libnss3-tools scdaemon gpg gpg-agent gpgconf python3-cryptography
PACKAGES_BENCH  := p11-kit p11-kit-modules openssh-client
PACKAGES_LINT   := clang clang-format clang-tidy cppcheck shellcheck mandoc lua-check ejabberd erlang-base pyflakes3 libclang-rt-14-dev

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
            -Wcast-qual -Wwrite-strings -Wvla -Wformat=2 -Wundef -Wno-unused-parameter -Wno-overlength-strings $(WERROR)
CPPFLAGS += -D_GNU_SOURCE -DSG_VERSION='"$(VERSION)"' -DSG_MODULE_DIRS='"$(MODULE_DIRS)"' \
            -DSG_LIBEXECDIR='"$(PREFIX)/libexec/signet"' -DSG_SYSCONFDIR='"/etc"' -Iproto -Istrophe -I$(BUILD)/gen
CFLAGS   += -std=gnu11 $(OPT) $(HARDENING) $(WARNINGS)
LDFLAGS  += -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifneq ($(SANITIZE),)
LDFLAGS  += -fsanitize=$(SANITIZE)
endif

# ---------------------------------------------------------------------------------------- sources
# A folder becomes an archive of all but its main.c, so that tests link just what they touch.
PARTS := proto strophe token broker xmpp pgp cli authority
in = $(addprefix $(1)/,$(addsuffix .c,$(2)))
SRC_proto := $(call in,proto, \
    api_json buf ccm2 cert_elements cert_form cert_protocol channel client clock conf disco error harden hash keyinfo layout log msg notify output path path_graph path_json pep pep_node \
    pgp pgp_copies pgp_file pgp_key pgp_packet pkcs11_uri pubkeys rsm saslcert secret secret_file spawn text verdict verdict_index x509 xml)
SRC_strophe := $(call in,strophe, element parser prefixes stanza tags)
SRC_token := $(call in,token, \
    answers attest ca cert ckr cond cross digest dispatch event gate guard held issue key key_find keygen ledger list \
    login made main module object pin pin_set pinentry piv probe pubkey reader renew session sign stay tls token \
    token_find touch tries turn upcall uri verify watch wipe worker)
SRC_broker := $(call in,agent/broker, \
    asking job_renewal key_names key_reply publishing renewal renewing store_publishing verbs_asking verbs_publish watching \
    held_certs object_answers reconcile shell_word survey switching verbs_adopt verbs_lost verbs_reconcile verbs_remove verbs_spare \
    accounts agent ask_all attestation call call_key collisions config conn doctor doctor_system events failure \
    find fingerprint forged job_certificate job_revocation job_steps job_undo jobs json judging key_cache key_find key_known keyring keyring_json ledger login logind main online pin_source pinentry public_keys queue \
    reaper remember rest server signings store store_attestation store_copies store_decisions store_jobs store_keyring store_known store_pgp store_rows store_tokens store_trust stored_keys tokens \
    touch trust unlocked untouched uri user_key varlink verbs_account verbs_cert verbs_doctor verbs_enrol \
    verbs_key verbs_keyring verbs_keyring_file verbs_monitor verbs_pgp verbs_pin verbs_release verbs_renew verbs_sign verbs_token verbs_trust worker worker_process)
SRC_xmpp := $(call in,agent/xmpp, \
    asked cert_requests contacts fetch_requests filter gather iq key_requests main memory pep_requests reason remotekey requests scram seen self \
    stream tls worker)
SRC_pgp := $(call in,agent/pgp, main rnp_key serve)
SRC_cli := $(call in,agent/cli, \
    agent_call ask cli cmd_account cmd_cert cmd_cert_diff cmd_cert_keep cmd_doctor cmd_fetch cmd_graph cmd_key cmd_keyring cmd_keyring_file cmd_monitor cmd_pgp cmd_publish cmd_status \
    cmd_token cmd_verify command commands diagnosis dot files fingerprint gpg keyset main options print secret_args show show_keyring show_path \
    tty waiting)
SRC_authority := $(call in,authority, \
    bounds ca_key component config crl decision delegation exporter file init intermediate issue kept latency ledger ledger_pg ledger_sqlite logins main metrics \
    operator pin_book pin_file policy profile rate revocation run service shell show signer)

PROGRAM_token     := signet-token
PROGRAM_broker    := signetd
PROGRAM_xmpp      := signet-xmpp
PROGRAM_pgp       := signet-pgp
PROGRAM_cli       := signet
PROGRAM_authority := signet-authority

# The parts between a program and proto/.
USES_xmpp      := strophe
USES_authority := strophe
archives = $(patsubst %,$(BUILD)/lib/%.a,$(1) $(USES_$(1)))

PKG_token     := p11-kit-1 libcrypto libassuan inih
PKG_broker    := libevent_core jansson sqlite3 libcrypto libsystemd inih expat
PKG_xmpp      := libstrophe libssl libcrypto expat inih
PKG_pgp       := librnp libcrypto
PKG_cli       := libqrencode jansson libcrypto expat inih gpgme
PKG_authority := libstrophe libssl libcrypto sqlite3 libpq jansson expat inih
PKG_ALL       := $(sort $(foreach p,$(PARTS),$(PKG_$(p))))

# Asked when a recipe runs, not when this file is read: 'make deps' may come first.
pkg = $$(pkg-config $(1))

objs     = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
PROGRAMS := $(foreach p,$(PARTS),$(if $(PROGRAM_$(p)),$(BUILD)/bin/$(PROGRAM_$(p))))

.PHONY: all
all: $(PROGRAMS)

define part
$(BUILD)/lib/$(1).a: $(call objs,$(filter-out %/main.c,$(SRC_$(1))))
ifneq ($(PROGRAM_$(1)),)
$(BUILD)/bin/$(PROGRAM_$(1)): $(call objs,$(filter %/main.c,$(SRC_$(1)))) $(call archives,$(1)) $(BUILD)/lib/proto.a
$(BUILD)/bin/$(PROGRAM_$(1)): LDLIBS = -pthread $$(call pkg,--libs $$(PKG_$(1)))
endif
endef
$(foreach p,$(PARTS),$(eval $(call part,$(p))))

$(BUILD)/lib/%.a:
	@mkdir -p $(@D)
	$(say) AR $@
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(PROGRAMS):
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Objects are made anew when the flags change, PREFIX among them. What a target adds to them is private to it: it
# would else be added here, too, whenever that target comes first, and all be made anew.
FLAGS = $(subst ',,$(subst ",,$(CC) $(CPPFLAGS) $(CFLAGS)))
.PHONY: flags
flags:
$(BUILD)/gen/flags: flags
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/gen/flags
	@mkdir -p $(@D)
	$(say) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(call pkg,--cflags $(PKG_ALL)) $(CFLAGS) -MMD -MP -c -o $@ $<

# The interface file as a C string, so that the agent answers with the very text that is documented.
$(BUILD)/gen/interface.inc: proto/org.signet.Agent.varlink
	@mkdir -p $(@D)
	$(Q)sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $< > $@
$(call objs,$(SRC_broker)): | $(BUILD)/gen/interface.inc

.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/signet $(DESTDIR)$(PREFIX)/sbin \
	    $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
	    $(DESTDIR)$(PREFIX)/share/man/man7 $(DESTDIR)$(PREFIX)/share/man/man8 \
	    $(DESTDIR)$(PREFIX)/lib/systemd/user $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/share/signet/prosody \
	    $(DESTDIR)$(PREFIX)/share/signet/ejabberd
	install -m 755 $(BUILD)/bin/signet $(BUILD)/bin/signetd $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(BUILD)/bin/signet-authority $(DESTDIR)$(PREFIX)/sbin
	install -m 755 $(BUILD)/bin/signet-token $(BUILD)/bin/signet-xmpp $(BUILD)/bin/signet-pgp $(DESTDIR)$(PREFIX)/libexec/signet
	install -m 644 man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -m 644 man/*.7 $(DESTDIR)$(PREFIX)/share/man/man7
	install -m 644 man/*.8 $(DESTDIR)$(PREFIX)/share/man/man8
	for unit in agent/systemd/*; do sed 's|@PREFIX@|$(PREFIX)|g' $$unit \
	    > $(DESTDIR)$(PREFIX)/lib/systemd/user/$${unit##*/} || exit 1; done
	for unit in authority/systemd/*; do sed 's|@PREFIX@|$(PREFIX)|g' $$unit \
	    > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; done
	chmod 644 $(patsubst agent/systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/user/%,$(wildcard agent/systemd/*)) \
	    $(patsubst authority/systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%,$(wildcard authority/systemd/*))
	install -m 644 authority/prosody/*.lua $(DESTDIR)$(PREFIX)/share/signet/prosody
	install -m 644 authority/ejabberd/*.erl $(DESTDIR)$(PREFIX)/share/signet/ejabberd

# -------------------------------------------------------------------------------------- packages
.PHONY: deps deps-lint deps-token
deps:
	@sh tests/deps.sh $(PACKAGES_BUILD) $(PACKAGES_WORLD) $(PACKAGES_TEST)
# pcscd wants its folder, which only root can make; else systemd does when it starts.
deps-token:
	@sh tests/deps.sh $(PACKAGES_BUILD) $(PACKAGES_WORLD) $(PACKAGES_TEST) $(PACKAGES_TOKEN)
	@test -d /run/pcscd || mkdir /run/pcscd 2>/dev/null || sudo mkdir /run/pcscd || \
	    { echo "make deps-token: have somebody run 'mkdir /run/pcscd' as root, then call make again" >&2; exit 1; }
deps-lint:
	@sh tests/deps.sh $(PACKAGES_BUILD) $(PACKAGES_TEST) $(PACKAGES_LINT)

# ------------------------------------------------------------- what a person runs; each sets itself up
SUBMAKE = $(MAKE) --no-print-directory
JOBS   ?= $(shell nproc)
# Most tests wait for something most of the time: several run side by side, however few processors there are. With
# SoftHSM and the servers, six; with other tokens four, some of which are slow to answer.
PYTEST   = PYTEST_ADDOPTS= $(PYTHON) -m pytest -q -p no:cacheprovider -n 4 --dist loadgroup
# The command is the shell's: make must not expand the '$' in it.
override RUN := $(value RUN)
# The server of the demo's and the playground's world: prosody or ejabberd.
SERVER ?= prosody
export BUILD RUN SERVER

.PHONY: demo playground check check-token idle
demo: deps
	@$(SUBMAKE) -j$(JOBS) all
	@$(PYTHON) tests/world/demo.py
playground: deps
	@$(SUBMAKE) -j$(JOBS) all >&2
	@$(PYTHON) tests/world/playground.py
check: deps
	@$(SUBMAKE) -j$(JOBS) all tests-built
	@$(SUBMAKE) unit regress
check-token: deps-token
	@$(SUBMAKE) -j$(JOBS) all fault-built
	@$(SUBMAKE) fault-run
	@$(PYTEST) --durations=10 tests/kinds
idle: deps
	@$(SUBMAKE) -j$(JOBS) all
	@$(PYTHON) tests/world/idle.py

.PHONY: bench bench-built
bench: deps
	@sh tests/deps.sh $(PACKAGES_BENCH)
	@$(SUBMAKE) -j$(JOBS) OPT=-O2 all bench-built
	@$(PYTHON) tests/bench/bench.py
bench-built: $(BUILD)/bench/load $(BUILD)/bench/direct $(BUILD)/bench/keyinfos
$(BUILD)/bench/keyinfos: $(BUILD)/obj/tests/bench/keyinfos.o $(BUILD)/lib/proto.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread $(call pkg,--libs $(PKG_ALL))
$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread

# ------------------------------------------------------------------------------------------- tests
# A test of a part is named test_PART_*.c and links that part; any other links proto alone.
UNIT_TESTS := $(addprefix $(BUILD)/tests/unit/, \
    test_authority_bounds test_authority_config test_authority_decision test_authority_delegation test_authority_intermediate \
    test_authority_ledger test_authority_ledger_pg test_authority_logins test_authority_pin_book test_authority_policy test_authority_profile \
    test_authority_rate test_authority_service test_broker_collisions test_broker_config test_broker_copies test_broker_jobs test_broker_reconcile test_broker_key_cache test_broker_keyring test_broker_keyring_limits test_broker_ledger test_broker_lessons test_broker_publishing test_broker_queue test_broker_renewal test_broker_signings test_broker_store test_broker_untouched test_broker_uri \
    test_buf test_ccm2 test_cert_form test_channel \
    test_cli_dot test_cli_options test_cli_print test_cli_secret_args test_client test_conf test_disco \
    test_error test_harden test_keyinfo test_layout test_log test_msg test_output test_path test_path_bounds test_pep test_pep_node \
    test_pgp test_pgp_key test_pkcs11_uri test_pubkeys \
    test_remotekey test_rsm test_saslcert test_secret test_secret_file test_spawn test_strophe_element \
    test_strophe_parser test_strophe_prefixes test_strophe_stanza test_strophe_tags test_text test_token_ckr test_token_digest test_token_gate \
    test_token_tls test_token_uri test_verdict test_verdict_pgp test_x509 test_xml test_xmpp_scram)
REGRESS_TESTS := $(addprefix $(BUILD)/tests/regress/, \
    test_token_broker test_token_faults test_token_held test_token_keys test_token_limits test_token_login test_token_sign \
    test_token_ledger test_token_objects test_token_ways test_token_worker test_xmpp_pins)
FAULT_TESTS := $(addprefix $(BUILD)/tests/fault/, test_calls)
part_of = $(foreach p,$(PARTS),$(if $(filter test_$(p)_%,$(notdir $(1))),$(call archives,$(p))))

.SECONDEXPANSION:
$(UNIT_TESTS) $(REGRESS_TESTS) $(FAULT_TESTS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $$(call part_of,$$@) $(BUILD)/lib/proto.a
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread $(call pkg,--libs $(PKG_ALL) cmocka)
$(BUILD)/obj/tests/%.o: private CPPFLAGS += -I. -Itoken -Iagent/broker -Iagent/xmpp -Iagent/pgp -Iagent/cli -Iauthority

.PHONY: tests-built unit regress
tests-built: $(UNIT_TESTS) $(REGRESS_TESTS)
unit: $(UNIT_TESTS) | $(BUILD)/bin/signet-pgp
	@NO_SKIPS=$(if $(SANITIZE),,1) sh tests/cmocka.sh $^
regress: all $(REGRESS_TESTS) $(BUILD)/lib/libsignet-fault.so $(BUILD)/lib/shifted-clock.so $(BUILD)/lib/libsignet-crash.so
	@NO_SKIPS=$(if $(SANITIZE),,1) SIGNET_BIN=$(BUILD)/bin sh tests/cmocka.sh $(REGRESS_TESTS)
	@$(PYTEST) -n 6 -m 'not alone' tests/regress
	@$(PYTEST) -n 0 -m alone tests/regress

# Preloaded into one of our programs, it has another time of day.
$(call objs,tests/regress/shifted_clock.c): private CFLAGS += -fPIC
$(BUILD)/lib/shifted-clock.so: $(call objs,tests/regress/shifted_clock.c)
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(filter-out -fPIE,$(CFLAGS)) $(filter-out -pie,$(LDFLAGS)) -shared -o $@ $^

# A PKCS#11 module that wraps another and makes it fail (signet-fault(7)); code of its own, for other projects too.
SRC_fault    := $(call in,tests/fault, call module names object script session state token)
FAULT_MODULE := $(BUILD)/lib/libsignet-fault.so
$(call objs,$(SRC_fault)): private CFLAGS += -fPIC -fvisibility=hidden
$(FAULT_MODULE): $(call objs,$(SRC_fault))
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(filter-out -fPIE,$(CFLAGS)) $(filter-out -pie,$(LDFLAGS)) -shared -o $@ $^ -ldl -pthread

# Kills a process at one of its steps (tests/regress/test_crash_points.py).
CRASH_LIBRARY := $(BUILD)/lib/libsignet-crash.so
$(BUILD)/obj/tests/crash/crash.o: private CFLAGS += -fPIC
$(CRASH_LIBRARY): $(BUILD)/obj/tests/crash/crash.o
	@mkdir -p $(@D)
	$(say) LD $@
	$(Q)$(CC) $(filter-out -fPIE,$(CFLAGS)) $(filter-out -pie,$(LDFLAGS)) -shared -o $@ $^ -ldl

.PHONY: fault fault-built fault-run fault-mainjob
fault: deps
	@$(SUBMAKE) -j$(JOBS) all fault-built
	@$(SUBMAKE) fault-run
fault-built: $(FAULT_MODULE) $(FAULT_TESTS)
# With a sanitizer the module can be loaded into programs that are not ours once its library is there first.
PRELOAD = $(if $(SANITIZE),LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0)
fault-run: all fault-built
	@SIGNET_BIN=$(BUILD)/bin sh tests/fault/calls.sh $(FAULT_TESTS)
	@$(PRELOAD) $(PYTEST) tests/fault
fault-mainjob: deps
	@$(SUBMAKE) -j$(JOBS) all fault-built
	@$(PYTHON) tests/fault/mainjob_calls.py

FUZZERS := $(addprefix $(BUILD)/fuzz/, \
    fuzz_base64 fuzz_ccm2 fuzz_filter fuzz_frame fuzz_hex fuzz_keyinfo fuzz_pgp fuzz_pubkeys fuzz_saslcert fuzz_x509 fuzz_xml)
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: $(FUZZERS)
	@for f in $^; do mkdir -p $(BUILD)/corpus/$${f##*/} && \
	    $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 $(BUILD)/corpus/$${f##*/} \
	    $$(ls -d tests/fuzz/corpus/$${f##*/fuzz_} 2>/dev/null) || exit 1; done
$(BUILD)/fuzz/fuzz_filter: private CPPFLAGS += -Iagent/xmpp
$(BUILD)/fuzz/fuzz_filter: agent/xmpp/filter.c agent/xmpp/gather.c agent/xmpp/scram.c $(SRC_strophe)
$(BUILD)/fuzz/%: tests/fuzz/%.c $(SRC_proto)
	@mkdir -p $(@D)
	$(say) FUZZ $@
	$(Q)clang $(CPPFLAGS) $(call pkg,--cflags $(PKG_ALL)) -g -O1 -fsanitize=fuzzer,address,undefined -o $@ $^ \
	    $(call pkg,--libs $(PKG_ALL))

# -------------------------------------------------------------------------------------------- lint
.PHONY: lint
lint: deps-lint
	@$(SUBMAKE) -j$(JOBS) BUILD=build/lint-gcc CC=gcc WERROR=-Werror all
	@$(SUBMAKE) -j$(JOBS) BUILD=build/lint-clang CC=clang WERROR=-Werror all
	@sh tests/lint/lint.sh

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

.PHONY: clean help print-sources
print-sources:
	@echo $(foreach p,$(PARTS),$(SRC_$(p))) $(SRC_fault) \
	    $(patsubst $(BUILD)/%,%.c,$(UNIT_TESTS) $(REGRESS_TESTS) $(FAULT_TESTS)) \
	    $(patsubst $(BUILD)/%,tests/%.c,$(FUZZERS))
clean:
	rm -rf $(BUILD)
help:
	@sed -n 's/^#   //p' Makefile
