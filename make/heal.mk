# heal.mk - does mail go by itself when an account is well again?
#
#   make heal     waits for the end of every pause that an answer of Microsoft's makes, about five minutes; then stalls and breaks
#                 at every stage, a quarter of an hour; then half an hour of final dots that are never answered

.PHONY: heal
heal: all office365
	@POST365_BUILD=$(BUILD) POST365_HEAL_ALL=1 PYTHONDONTWRITEBYTECODE=1 \
	    $(PYTHON) -m pytest -q -rA -p no:cacheprovider tests/integration/test_transport_answers.py \
	    tests/integration/test_transport_trouble.py tests/integration/test_transport_copies.py
