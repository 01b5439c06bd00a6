# Fuzzing with libFuzzer (clang): every tests/fuzz/fuzz_NAME.c is a program of its own, linked with what it needs of
# all folders but the programs' main() and libmilter's callbacks, and of the helpers in tests/unit.
#
#   make fuzz [FUZZ_SECONDS=20] [FUZZ=NAME]   run each (or one) for so long; fails on a crash, a leak, a hang
#
# Inputs that reach new code are kept in build/fuzz/corpus/NAME and used again; tests/fuzz/corpus/NAME holds checked-in
# seeds. What breaks a program is left in build/fuzz/crashes: `build/fuzz/fuzz_NAME FILE` runs it again.

FUZZ_SECONDS ?= 20
FUZZ         ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SOURCES))
FUZZ_CC      ?= clang
FUZZ_BUILD   := $(BUILD)/fuzz

FUZZ_TESTED  := $(filter-out milter/main.c milter/session.c policyd/main.c transport/main.c tokend/main.c ctl/main.c, \
                $(COMMON_SOURCES) $(UPSTREAM_SOURCES) $(CTL_SOURCES) $(MILTER_SOURCES) $(POLICYD_SOURCES) $(TRANSPORT_SOURCES) $(TOKEND_SOURCES) \
                $(SUPPORT_SOURCES))
FUZZ_OBJECTS := $(patsubst %.c,$(FUZZ_BUILD)/obj/%.o,$(FUZZ_TESTED))
FUZZ_PROGRAMS := $(FUZZ:%=$(FUZZ_BUILD)/fuzz_%)

FUZZ_FLAGS   := -std=gnu17 -O1 -g $(WARNINGS) -fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_CHECKS  := address,undefined

$(FUZZ_BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,$(FUZZ_CHECKS) -c -o $@ $<

# An archive, so that a program takes what it needs and no more; q, since two folders may have a file of one name.
$(FUZZ_BUILD)/tested.a: $(FUZZ_OBJECTS)
	@rm -f $@
	$(AR) qcs $@ $^

$(FUZZ_BUILD)/fuzz_%: $(FUZZ_BUILD)/obj/tests/fuzz/fuzz_%.o $(FUZZ_BUILD)/tested.a
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,$(FUZZ_CHECKS) -o $@ $^ -Wl,--as-needed -pthread $(TOKEND_LIBS) $(LIBS)

.PHONY: fuzz fuzz-programs
fuzz-programs: $(FUZZ_PROGRAMS)
fuzz: fuzz-programs
	@mkdir -p $(FUZZ_BUILD)/crashes
	@broken=; for name in $(FUZZ); do \
	    corpus=$(FUZZ_BUILD)/corpus/$$name; seeds=tests/fuzz/corpus/$$name; log=$(FUZZ_BUILD)/$$name.log; \
	    mkdir -p $$corpus; [ -d $$seeds ] || seeds=; \
	    if $(FUZZ_BUILD)/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -rss_limit_mb=1024 \
	        -artifact_prefix=$(FUZZ_BUILD)/crashes/$$name- $$corpus $$seeds >$$log 2>&1; \
	    then echo "fuzz_$$name: $$(grep '^Done ' $$log)"; \
	    else tail -n 60 $$log; echo "fuzz_$$name: FAILED, the whole output is in $$log"; broken="$$broken $$name"; fi; \
	done; [ -z "$$broken" ] || { echo "make fuzz: broken:$$broken" >&2; exit 1; }

-include $(FUZZ_OBJECTS:.o=.d) $(patsubst %.c,$(FUZZ_BUILD)/obj/%.d,$(FUZZ_SOURCES))
