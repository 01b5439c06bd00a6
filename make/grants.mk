# grants.mk - does a user's grant outlive post365-tokend, however it ends?
#
#   make grants [GRANT_ROUNDS=200]   kill -9 while refresh tokens rotate, so often (make test does it a few times)

GRANT_ROUNDS ?= 200

.PHONY: grants
grants: all office365
	@POST365_BUILD=$(BUILD) POST365_GRANT_ROUNDS=$(GRANT_ROUNDS) PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m pytest -q -s -p no:cacheprovider tests/integration/test_tokend.py -k on_disk_before
