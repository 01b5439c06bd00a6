# crash.mk - is the ledger right after a crash, a disk that fails, a torn log?
#
#   make crash                    two hundred rounds of each (make test runs a few)
#   make crash CRASH_ROUNDS=1000 [CRASH_SEED=7]
#
# The tests say their seed when they fail; CRASH_SEED replays it. Their programs are in tests/crash.

CRASH_ROUNDS ?= 200
CRASH_SEED   ?=
CRASH_SOURCES  := $(wildcard tests/crash/*.c)
CRASH_PROGRAMS := $(BUILD)/crash/load $(BUILD)/crash/faults.so $(BUILD)/crash/clock.so

$(BUILD)/crash/load: $(call object,tests/crash/load.c tests/bench/endpoint.c tests/bench/question.c)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^

# Loaded into the program before everything else, so never instrumented itself.
$(BUILD)/crash/%.so: tests/crash/%.c $(FLAGS_STAMP)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -O2 -g $(WARNINGS) -fPIC -fvisibility=hidden -shared -o $@ $<

.PHONY: crash crash-programs
crash-programs: $(CRASH_PROGRAMS)
crash: all crash-programs
	@POST365_BUILD=$(BUILD) POST365_CRASH_ROUNDS=$(CRASH_ROUNDS) POST365_CRASH_SEED=$(CRASH_SEED) PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m pytest -q -rA -p no:cacheprovider tests/integration/test_crash*.py

-include $(patsubst %.o,%.d,$(call object,$(CRASH_SOURCES)))
