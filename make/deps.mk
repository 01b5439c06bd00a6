# deps.mk - the Debian packages that building and testing take

DEPS_BUILD := gcc make pkg-config libmilter-dev libdb-dev libevent-dev libsystemd-dev
DEPS_TEST  := postfix libsasl2-modules sasl2-bin libssl-dev libjansson-dev libcmocka-dev \
              python3 python3-pytest procps
DEPS_CHECK := clang clang-format clang-tidy libclang-rt-dev

# Installs what is missing of $(1), by name, and touches apt only then. Debian's postfix would ask questions and
# start itself: it is told to do neither ("No configuration"), and an installed mail system is never
# replaced (--no-remove).
define install_packages
	@missing=$$(for package in $(1); do \
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q ' installed$$' || echo $$package; \
	done); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    if [ "$$(id -u)" != 0 ]; then \
	        echo "make deps: run as root, or: sudo apt-get install" $$missing >&2; exit 1; \
	    fi; \
	    apt-get update -qq && \
	    if ! dpkg-query -W -f '$${Status}' postfix 2>/dev/null | grep -q ' installed$$'; then \
	        echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections; \
	    fi && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove \
	        $$missing >/dev/null; \
	fi
endef

.PHONY: deps deps-check
deps:
	$(call install_packages,$(DEPS_BUILD) $(DEPS_TEST))
deps-check: deps
	$(call install_packages,$(DEPS_CHECK))
