# attacks.mk - the transport between clients and servers that mean no good
#
#   make attacks [ATTACK_SEED=7]   all of it, with the deadlines in full: a quarter of an hour (make test leaves these out)

ATTACK_SEED ?=

.PHONY: attacks
attacks: all office365
	@POST365_BUILD=$(BUILD) POST365_ATTACK_FULL=1 POST365_ATTACK_SEED=$(ATTACK_SEED) PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m pytest -q -rA -p no:cacheprovider tests/integration/test_transport_attacks*.py
