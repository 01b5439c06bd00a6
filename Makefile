# post365: build, test, demo.  GNU make, non-recursive; everything is made below build/.
#
#   make                              the programs, in build/
#   make deps                         install the Debian packages that are missing
#   make demo [KEEP=1]                see what post365 changes, on a private Postfix
#   make test                         all tests
#   make SANITIZE=address,undefined   any target, instrumented (or SANITIZE=thread)
#   make CC=clang                     any target, with another compiler
#   make V=1                          show whole commands
#   make help                         every target

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

VERSION := 0.1.0
SANITIZE ?=
ifeq ($(origin CC),default)
CC := gcc
endif
comma := ,
BUILD ?= build$(if $(SANITIZE),/sanitize-$(subst $(comma),-,$(SANITIZE)))

PYTHON  ?= /usr/bin/python3
DESTDIR ?=
PREFIX  ?= /usr
SBINDIR ?= $(PREFIX)/sbin

# --- sources -----------------------------------------------------------------

DAEMONS          := post365-milter post365-policyd post365-tokend post365-transport
PROGRAMS         := $(DAEMONS) post365
COMMON_SOURCES   := $(wildcard common/*.c common/entra/*.c common/metrics/*.c common/oauth2/*.c common/sender/*.c)
# For those that log in at Microsoft's.
UPSTREAM_SOURCES := $(wildcard common/upstream/*.c)
MILTER_SOURCES   := $(wildcard milter/*.c)
POLICYD_SOURCES  := $(wildcard policyd/*.c policyd/*/*.c)
TRANSPORT_SOURCES := $(wildcard transport/*.c transport/*/*.c)
TOKEND_SOURCES   := $(wildcard tokend/*.c)
CTL_SOURCES      := $(wildcard ctl/*.c ctl/*/*.c)
STANDIN_SOURCES  := $(wildcard tests/office365/*.c)
UNIT_SOURCES     := $(wildcard tests/unit/test_*.c)
SUPPORT_SOURCES  := $(filter-out $(UNIT_SOURCES),$(wildcard tests/unit/*.c))
FUZZ_SOURCES     := $(wildcard tests/fuzz/fuzz_*.c)
TOOL_SOURCES     := $(wildcard tools/*.c)
ALL_SOURCES      := $(COMMON_SOURCES) $(UPSTREAM_SOURCES) $(MILTER_SOURCES) $(POLICYD_SOURCES) $(TRANSPORT_SOURCES) $(TOKEND_SOURCES) $(CTL_SOURCES) \
                    $(STANDIN_SOURCES) $(UNIT_SOURCES) $(SUPPORT_SOURCES) $(FUZZ_SOURCES) $(TOOL_SOURCES)
ALL_HEADERS      := $(wildcard common/*.h common/*/*.h milter/*.h policyd/*.h policyd/*/*.h transport/*.h transport/*/*.h tokend/*.h ctl/*.h ctl/*/*.h tests/*/*.h)

object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

# --- flags -------------------------------------------------------------------
# Recursive variables: pkg-config is asked only when something is compiled.

PACKAGES         := libevent libevent_openssl openssl jansson libsystemd libmicrohttpd
STANDIN_PACKAGES := libevent libevent_openssl openssl jansson
PKG_CONFIG       ?= pkg-config

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
OPTIMIZE ?= -O2 -g
CPPFLAGS += -I. -D_GNU_SOURCE -DPOST365_VERSION='"$(VERSION)"' -MMD -MP
CFLAGS   ?=
BASE_CFLAGS := -std=gnu17 $(OPTIMIZE) $(WARNINGS) -fstack-protector-strong -fPIE
LDFLAGS  ?=
BASE_LDFLAGS := -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifeq ($(SANITIZE),)
BASE_CFLAGS += -D_FORTIFY_SOURCE=2
else
BASE_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
BASE_LDFLAGS += -fsanitize=$(SANITIZE)
endif

COMPILE = $(CC) $(CPPFLAGS) $(BASE_CFLAGS) $(CFLAGS)
LINK    = $(CC) $(BASE_CFLAGS) $(CFLAGS) $(BASE_LDFLAGS) $(LDFLAGS)
LIBS    = $(shell $(PKG_CONFIG) --libs $(PACKAGES)) -ldb
# Of post365-tokend alone, and of what is tested of it.
TOKEND_LIBS := -lcurl

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/%)

# A change of compiler or flags rebuilds: the command line is kept in a file that the objects depend on.
FLAGS_STAMP := $(BUILD)/obj/flags
FLAGS_TEXT  := $(COMPILE) | $(LINK)
$(FLAGS_STAMP): FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(call quote,$(FLAGS_TEXT)) | cmp -s - $@ || { $(FIND_HEADERS) && \
	    printf '%s\n' $(call quote,$(FLAGS_TEXT)) >$@; }
# Somebody who begins with `make` shall not have to guess what is missing.
HEADERS := libmilter/mfapi.h db.h event2/event.h openssl/ssl.h systemd/sd-daemon.h microhttpd.h curl/curl.h
FIND_HEADERS = { printf '\#include <%s>\n' $(HEADERS) | $(CC) -E -x c -o /dev/null - || \
    { echo 'make: run "make deps" (or "make deps-build") as root first' >&2; exit 1; }; }
quote = '$(subst ','\'',$(1))'
.PHONY: FORCE
FORCE:

# --- compile and link --------------------------------------------------------
# One short line a file; V=1 shows the whole commands.

V ?=
Q := $(if $(V),,@)
say = $(if $(V),@:,@echo '$(1) $@')
.SECONDARY:

$(BUILD)/obj/%.o: %.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,compile)
	$(Q)$(COMPILE) -c -o $@ $<

$(call object,$(STANDIN_SOURCES)): CPPFLAGS += $(shell $(PKG_CONFIG) --cflags $(STANDIN_PACKAGES))

$(BUILD)/post365-milter: $(call object,$(MILTER_SOURCES) $(COMMON_SOURCES))
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -lmilter -pthread $(LIBS)

$(BUILD)/post365-policyd: $(call object,$(POLICYD_SOURCES) $(COMMON_SOURCES))
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(LIBS)

$(BUILD)/post365-tokend: $(call object,$(TOKEND_SOURCES) $(COMMON_SOURCES))
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(TOKEND_LIBS) $(LIBS)

$(BUILD)/post365-transport: $(call object,$(TRANSPORT_SOURCES) $(UPSTREAM_SOURCES) $(COMMON_SOURCES))
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(LIBS)

$(BUILD)/post365: $(call object,$(CTL_SOURCES) $(UPSTREAM_SOURCES) $(COMMON_SOURCES))
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(LIBS)

$(BUILD)/office365: $(call object,$(STANDIN_SOURCES))
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ $(shell $(PKG_CONFIG) --libs $(STANDIN_PACKAGES))

.PHONY: office365
office365: $(BUILD)/office365

# --- unit tests --------------------------------------------------------------

TESTED_OBJECTS := $(filter-out %/main.o,$(call object,$(MILTER_SOURCES) $(POLICYD_SOURCES) $(TRANSPORT_SOURCES) $(TOKEND_SOURCES) \
                    $(CTL_SOURCES) $(UPSTREAM_SOURCES) $(COMMON_SOURCES)))
UNIT_PROGRAMS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(UNIT_SOURCES))

# An archive, so that a program takes what it needs and no more; q, since two folders may have a file of one name.
TESTED := $(BUILD)/obj/tests/tested.a
$(TESTED): $(call object,$(SUPPORT_SOURCES)) $(TESTED_OBJECTS)
	@rm -f $@
	$(call say,archive)
	$(Q)$(AR) qcs $@ $^

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(TESTED)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -lcmocka -lmilter -pthread $(TOKEND_LIBS) $(LIBS)

.PHONY: unit unit-programs
unit-programs: $(UNIT_PROGRAMS)
unit: unit-programs
	@$(PYTHON) tests/run.py --build $(BUILD) --unit

# --- everything else ---------------------------------------------------------

include $(wildcard make/*.mk)

.PHONY: clean
clean:
	rm -rf build

-include $(patsubst %.o,%.d,$(call object,$(ALL_SOURCES)))
