# deps.mk - the Debian packages that building and testing take
#
#   make deps         those that are missing to build, to test, to see the demo
#   make deps-build   those to build alone
#   make deps-check   those of make deps, and compilers and tools that check

# libc6-dev: gcc only recommends it.
DEPS_BUILD := gcc libc6-dev make pkg-config libmilter-dev libdb-dev libevent-dev libssl-dev libjansson-dev \
              libsystemd-dev libmicrohttpd-dev libcurl4-openssl-dev
DEPS_TEST  := postfix libsasl2-modules sasl2-bin libcmocka-dev \
              python3 python3-pytest python3-cryptography procps openssl iproute2 systemd-journal-remote systemd-container
DEPS_CHECK := debootstrap clang clang-format clang-tidy libclang-rt-dev mandoc

.PHONY: deps deps-build deps-check
deps:
	@sh make/deps.sh $(DEPS_BUILD) $(DEPS_TEST)
deps-build:
	@sh make/deps.sh $(DEPS_BUILD)
deps-check:
	@sh make/deps.sh $(DEPS_BUILD) $(DEPS_TEST) $(DEPS_CHECK)
