# smtp.mk - docs/SMTP_SETTINGS.md, from the table of smtp(8)'s parameters (common/smtp_parameters.def)

SMTP_TOOL := $(BUILD)/tools/smtp_settings

$(SMTP_TOOL): $(call object,tools/smtp_settings.c common/smtp_parameter.c)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^

.PHONY: generate-smtp check-smtp
generate: generate-smtp
generate-smtp: $(SMTP_TOOL)
	$(SMTP_TOOL) >docs/SMTP_SETTINGS.md

check-generated: check-smtp
check-smtp: $(SMTP_TOOL)
	@$(SMTP_TOOL) | diff -u docs/SMTP_SETTINGS.md - || \
	    { echo "docs/SMTP_SETTINGS.md differs from common/smtp_parameters.def: run make generate" >&2; exit 1; }
