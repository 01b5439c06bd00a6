# check.mk - everything that says whether the tree is sound

FORMATTED := $(wildcard common/*.[ch] common/*/*.[ch] milter/*.[ch] policyd/*.[ch] policyd/*/*.[ch] transport/*.[ch] transport/*/*.[ch] tokend/*.[ch] ctl/*.[ch] ctl/*/*.[ch] tools/*.[ch] \
               tests/*/*.[ch])

.PHONY: format check-format check-manuals lint test
format:
	clang-format -i $(FORMATTED)

check-format:
	@clang-format --dry-run -Werror $(FORMATTED)

check-manuals:
	@mandoc -Tlint -W warning docs/*.[1-8]

# The checks that are on are in .clang-tidy.
lint: $(BUILD)/compile_flags.txt
	clang-tidy --quiet -p $(BUILD) $(COMMON_SOURCES) $(UPSTREAM_SOURCES) $(CTL_SOURCES) $(MILTER_SOURCES) $(POLICYD_SOURCES) $(TRANSPORT_SOURCES) $(TOKEND_SOURCES) $(TOOL_SOURCES)

$(BUILD)/compile_flags.txt: $(FLAGS_STAMP)
	@printf '%s\n' -std=gnu17 -I$(CURDIR) -D_GNU_SOURCE '-DPOST365_VERSION="$(VERSION)"' >$@

# In this order: deps may have to install what the others are made with.
test: deps
	@$(MAKE) --no-print-directory -s all office365 unit-programs crash-programs
	@$(PYTHON) tests/run.py --build $(BUILD)
