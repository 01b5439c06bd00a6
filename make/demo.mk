# demo.mk - see what post365 changes, on a private Postfix below build/run

DEMO := POST365_BUILD=$(BUILD) PYTHONPATH=tests $(PYTHON) -B -m demo

.PHONY: demo demo-stop run-clean

# In this order: deps may have to install what the programs are made with.
demo: deps
	@$(MAKE) --no-print-directory -s all office365
	@$(DEMO) $(if $(KEEP),--keep)

# Ends what `make demo KEEP=1` left running.
demo-stop:
	@$(DEMO) --stop

# build/run may be a link to a directory under /tmp, and something in it may run.
clean: run-clean
run-clean:
	@if [ -e $(BUILD)/run ] || [ -L $(BUILD)/run ]; then $(DEMO) --clean; fi
