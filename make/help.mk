# help.mk - what there is to make

.PHONY: help
help:
	@echo 'make              the programs, in $(BUILD)/'
	@echo 'make deps         install the missing Debian packages (needs root)'
	@echo 'make demo         send the same mail without and with post365, on a private Postfix; KEEP=1 leaves it running'
	@echo 'make test         all tests; the last line counts them'
	@echo 'make unit         the unit tests alone'
	@echo 'make bench        the policy service against the null server, as ratios; BENCH=full for all'
	@echo 'make crash        kill, starve and damage the ledger, CRASH_ROUNDS=200 times each'
	@echo 'make storm        2000 messages while Microsoft misbehaves and programs are killed; STORM_MESSAGES, STORM_SEED'
	@echo 'make attacks      hostile clients and servers around the transport, with its deadlines in full'
	@echo 'make heal         mail goes by itself when an account is well again: waits for the end of every pause, five minutes'
	@echo 'make restarts     each daemon is restarted, and the milter killed, for RESTART_SECONDS=60 each while clients send'
	@echo 'make grants       kill post365-tokend GRANT_ROUNDS=200 times while refresh tokens rotate'
	@echo 'make fuzz         every parser, for FUZZ_SECONDS each'
	@echo 'make check-format, make check-manuals, make lint, make check-generated (and make generate)'
	@echo 'make install      into $$(DESTDIR)$$(PREFIX)'
	@echo 'make clean'
	@echo 'with SANITIZE=address,undefined or SANITIZE=thread, and CC=clang, for any of these'
