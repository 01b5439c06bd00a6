# restarts.mk - does anybody see a restart, or a crash?
#
#   make restarts     each daemon is restarted, and the milter killed, over and over for RESTART_SECONDS each while clients send

RESTART_SECONDS ?= 60

.PHONY: restarts
restarts: all office365
	@POST365_BUILD=$(BUILD) POST365_RESTART_SECONDS=$(RESTART_SECONDS) PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m pytest -q -rA -p no:cacheprovider tests/integration/test_restart.py
