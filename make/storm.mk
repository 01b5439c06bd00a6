# storm.mk - is each recipient reached once, and no limit exceeded, while everything goes wrong?
#
#   make storm                    two thousand messages, twice (make test sends a few)
#   make storm STORM_MESSAGES=5000 [STORM_SEED=7]
#
# The tests say their seed and their figures; STORM_SEED replays mail, weather and kills.

STORM_MESSAGES ?= 2000
STORM_SEED     ?=

.PHONY: storm
storm: all office365
	@POST365_BUILD=$(BUILD) POST365_STORM_MESSAGES=$(STORM_MESSAGES) POST365_STORM_SEED=$(STORM_SEED) \
	    PYTHONDONTWRITEBYTECODE=1 $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/integration/test_transport_storm.py
