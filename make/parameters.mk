# parameters.mk - docs/PARAMETERS.md from the table that the parser uses (common/parameters.def)

PARAMETERS_TOOL := $(BUILD)/tools/parameters

$(PARAMETERS_TOOL): $(call object,tools/parameters.c $(COMMON_SOURCES))
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ -pthread $(LIBS)

.PHONY: generate-parameters check-parameters
generate: generate-parameters
generate-parameters: $(PARAMETERS_TOOL)
	$(PARAMETERS_TOOL) >docs/PARAMETERS.md

check-generated: check-parameters
check-parameters: $(PARAMETERS_TOOL)
	@$(PARAMETERS_TOOL) | diff -u docs/PARAMETERS.md - || \
	    { echo "docs/PARAMETERS.md differs from common/parameters.def: run make generate" >&2; exit 1; }
