# What is generated from the tables of Office 365's replies (common/office365.c) and of Entra's errors
# (common/entra/cause.c) and checked in.
#
#   make generate          write the files anew
#   make check-generated   fail if a file differs from what would be generated

REPLIES_TOOL := $(BUILD)/tools/office365_replies

$(REPLIES_TOOL): $(call object,tools/office365_replies.c common/office365.c)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^

ENTRA_TOOL := $(BUILD)/tools/entra_errors

$(ENTRA_TOOL): $(call object,tools/entra_errors.c common/entra/cause.c)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^

CAUSES_TOOL := $(BUILD)/tools/causes

$(CAUSES_TOOL): $(call object,tools/causes.c) $(TESTED)
	@mkdir -p $(@D)
	$(call say,link)
	$(Q)$(LINK) -o $@ $^ $(LIBS)

COMPLETION = sed "s/@CAUSES@/$$($(CAUSES_TOOL))/" tools/post365.bash-completion.in

.PHONY: generate generate-replies check-generated check-replies
generate: generate-replies
generate-replies: $(REPLIES_TOOL) $(ENTRA_TOOL) $(CAUSES_TOOL)
	$(REPLIES_TOOL) filter >$(BUILD)/tools/office365_replies.regexp
	$(REPLIES_TOOL) documentation >$(BUILD)/tools/OFFICE365_REPLIES.md
	cp $(BUILD)/tools/office365_replies.regexp conf/office365_replies.regexp
	cp $(BUILD)/tools/OFFICE365_REPLIES.md docs/OFFICE365_REPLIES.md
	$(ENTRA_TOOL) >docs/ENTRA_ERRORS.md
	$(COMPLETION) >conf/post365.bash-completion

check-generated: check-replies
check-replies: $(REPLIES_TOOL) $(ENTRA_TOOL) $(CAUSES_TOOL)
	@$(REPLIES_TOOL) filter | diff -u conf/office365_replies.regexp - || \
	    { echo "conf/office365_replies.regexp differs from the table in common/office365.c: run make generate" >&2; exit 1; }
	@$(REPLIES_TOOL) documentation | diff -u docs/OFFICE365_REPLIES.md - || \
	    { echo "docs/OFFICE365_REPLIES.md differs from the table in common/office365.c: run make generate" >&2; exit 1; }
	@$(ENTRA_TOOL) | diff -u docs/ENTRA_ERRORS.md - || \
	    { echo "docs/ENTRA_ERRORS.md differs from the table in common/entra/cause.c: run make generate" >&2; exit 1; }
	@$(COMPLETION) | diff -u conf/post365.bash-completion - || \
	    { echo "conf/post365.bash-completion differs from the tables in common/office365.c, common/entra/cause.c and ctl/cause.c: run make generate" >&2; exit 1; }
