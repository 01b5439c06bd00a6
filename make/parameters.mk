# parameters.mk - docs/PARAMETERS.md and the list in docs/post365.cf.5, from the table that the parser uses (common/parameters.def)

PARAMETERS_TOOL := $(BUILD)/tools/parameters

$(PARAMETERS_TOOL): $(call object,tools/parameters.c $(COMMON_SOURCES))
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(LIBS)

# Head and tail of the manual page are written by hand.
PARAMETERS_PAGE = { sed '/^@PARAMETERS@$$/,$$d' tools/post365.cf.5.in; $(PARAMETERS_TOOL) manual; \
    sed '1,/^@PARAMETERS@$$/d' tools/post365.cf.5.in; }

.PHONY: generate-parameters check-parameters
generate: generate-parameters
generate-parameters: $(PARAMETERS_TOOL)
	$(PARAMETERS_TOOL) markdown >docs/PARAMETERS.md
	$(PARAMETERS_PAGE) >docs/post365.cf.5

check-generated: check-parameters
check-parameters: $(PARAMETERS_TOOL)
	@$(PARAMETERS_TOOL) markdown | diff -u docs/PARAMETERS.md - || \
	    { echo "docs/PARAMETERS.md differs from common/parameters.def: run make generate" >&2; exit 1; }
	@$(PARAMETERS_PAGE) | diff -u docs/post365.cf.5 - || \
	    { echo "docs/post365.cf.5 differs from common/parameters.def: run make generate" >&2; exit 1; }
