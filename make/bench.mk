# bench.mk - how fast post365 is, and what it takes
#
#   make bench                      the policy service against the null server, some minutes
#   make bench BENCH=full           the same for longer, memory, cost of history, misbehaving clients
#   make bench BENCH=soak           ten minutes at full load (BENCH_SECONDS=600)
#   make bench BENCH_SECONDS=2      so long for each figure
#   make bench BENCH=transport      the transport against Postfix's own smtp(8), and its memory
#                                   (BENCH_MESSAGES=2000 BENCH_ROUNDS=5)
#   make bench BENCH=transport-headers BENCH_BEFORE=DIR   long headers, beside another checkout's build directory
#   make bench BENCH=pace           whether mail leaves as fast as the limits allow, in real time (BENCH_SECONDS=60)
#   make bench BENCH=queue          post365 queue on a long queue (BENCH_MESSAGES=100000 BENCH_ROUNDS=7)
#
# Figures go to the terminal and to build/bench/policy.json, transport.json, queue.json. They are never
# asserted: see tests/bench/policy.py and tests/bench/transport.py for what can be measured alone
# (BENCH=memory, BENCH=transport-memory, ...) and how.

BENCH          ?= quick
BENCH_SECONDS  ?=
BENCH_MESSAGES ?=
BENCH_ROUNDS   ?=
BENCH_BEFORE   ?=
BENCH_SOURCES  := $(wildcard tests/bench/*.c)
BENCH_PROGRAMS := $(addprefix $(BUILD)/bench/,load null misbehave fill probe deliver far)
BENCH_COMMON   := $(call object,tests/bench/endpoint.c tests/bench/question.c tests/bench/histogram.c)

$(BUILD)/bench/%: $(BUILD)/obj/tests/bench/%.o $(BENCH_COMMON)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread

# An archive: fill takes what the ledger needs and no more.
$(BUILD)/bench/policyd.a: $(call object,$(filter-out policyd/main.c,$(POLICYD_SOURCES)) $(COMMON_SOURCES))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,archive)
	$(Q)$(AR) rcs $@ $^

$(BUILD)/bench/fill: $(call object,tests/bench/fill.c tests/bench/question.c) $(BUILD)/bench/policyd.a
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(LIBS)

$(BUILD)/bench/deliver: $(call object,tests/bench/deliver.c) $(BENCH_COMMON)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(shell $(PKG_CONFIG) --libs openssl)

BENCH_SCRIPT := $(if $(filter transport%,$(BENCH)),transport,$(if $(filter pace%,$(BENCH)),pace,$(if $(filter queue,$(BENCH)),queue,policy)))

.PHONY: bench bench-programs
bench-programs: all office365 $(BENCH_PROGRAMS)
bench: bench-programs
	@POST365_BUILD=$(BUILD) $(PYTHON) -B tests/bench/$(BENCH_SCRIPT).py $(BENCH) \
	    $(if $(BENCH_SECONDS),--seconds $(BENCH_SECONDS)) \
	    $(if $(BENCH_MESSAGES),--messages $(BENCH_MESSAGES)) $(if $(BENCH_ROUNDS),--rounds $(BENCH_ROUNDS)) \
	    $(if $(BENCH_BEFORE),--before $(abspath $(BENCH_BEFORE)))

-include $(patsubst %.o,%.d,$(call object,$(BENCH_SOURCES)))
