# install.mk - put everything where Debian keeps it

UNITDIR     ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
DOCDIR      ?= $(PREFIX)/share/doc/post365
SHAREDIR    ?= $(PREFIX)/share/post365
MANDIR      ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions

# What packages (DESTDIR) leave to the machine that they are for. systemd reads it in conf/.
ACCOUNT          := post365
TOKEN_ACCOUNT    := post365-token
SOCKET_DIRECTORY := /var/spool/postfix/post365
LEDGER_DIRECTORY := /var/lib/post365
TOKEN_DIRECTORY  := /var/lib/post365-tokens
REGISTRATIONS    := /etc/post365
UNITS            := $(DAEMONS:%=%.service)
MANUALS          := $(wildcard docs/*.[1-8])
add_account       = { getent passwd $(1) >/dev/null || useradd --system --user-group --no-create-home \
	        --home-dir /nonexistent --shell /usr/sbin/nologin --comment '$(2)' $(1); }
manual_place      = $(DESTDIR)$(MANDIR)/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))

.PHONY: install install-account uninstall
install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR) \
	    $(DESTDIR)$(TMPFILESDIR) $(DESTDIR)$(DOCDIR) $(DESTDIR)$(SHAREDIR)
	install -m 755 $(PROGRAMS:%=$(BUILD)/%) $(DESTDIR)$(SBINDIR)
	for unit in $(UNITS); do \
	    sed 's#/usr/sbin/#$(SBINDIR)/#g' conf/$$unit >$(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	    chmod 644 $(DESTDIR)$(UNITDIR)/$$unit; \
	done
	install -m 644 conf/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/post365.conf
	install -m 644 conf/tmpfiles.conf $(DESTDIR)$(TMPFILESDIR)/post365.conf
	install -m 644 docs/*.md $(DESTDIR)$(DOCDIR)
	sed 's#](docs/#](#g; s#](conf/#]($(SHAREDIR)/#g' README.md >$(DESTDIR)$(DOCDIR)/README.md
	chmod 644 $(DESTDIR)$(DOCDIR)/README.md
	install -m 644 conf/office365_replies.regexp conf/master.cf $(DESTDIR)$(SHAREDIR)
	install -D -m 644 conf/post365.bash-completion $(DESTDIR)$(COMPLETIONDIR)/post365
	$(foreach page,$(MANUALS),install -D -m 644 $(page) $(call manual_place,$(page)) &&) true
	$(if $(DESTDIR),,@$(MAKE) --no-print-directory install-account)

install-account:
	@if [ -d /run/systemd/system ]; then \
	    systemd-sysusers post365.conf && systemd-tmpfiles --create post365.conf && \
	    systemctl daemon-reload; \
	else \
	    $(call add_account,$(ACCOUNT),post365 for Postfix) && \
	    $(call add_account,$(TOKEN_ACCOUNT),post365 for Microsoft Entra) && \
	    install -d -o $(ACCOUNT) -g $(ACCOUNT) -m 755 $(SOCKET_DIRECTORY) && \
	    install -d -o $(TOKEN_ACCOUNT) -g $(ACCOUNT) -m 2750 $(SOCKET_DIRECTORY)/oauth2 && \
	    install -d -o $(ACCOUNT) -g $(ACCOUNT) -m 700 $(LEDGER_DIRECTORY) && \
	    install -d -o $(TOKEN_ACCOUNT) -g $(TOKEN_ACCOUNT) -m 700 $(TOKEN_DIRECTORY) && \
	    install -d -m 755 $(REGISTRATIONS); \
	fi

# Without its milter Postfix would put off all mail: main.cf comes first.
uninstall:
ifeq ($(DESTDIR),)
	@if postconf -n 2>/dev/null | grep -q post365; then \
	    echo 'make uninstall: main.cf still names post365: take these lines out, postfix reload, and again' >&2; \
	    postconf -n 2>/dev/null | grep post365 >&2; exit 1; \
	fi
	@if [ -d /run/systemd/system ]; then systemctl --quiet disable --now $(UNITS); fi
endif
	rm -f $(PROGRAMS:%=$(DESTDIR)$(SBINDIR)/%) $(UNITS:%=$(DESTDIR)$(UNITDIR)/%) \
	    $(DESTDIR)$(SYSUSERSDIR)/post365.conf $(DESTDIR)$(TMPFILESDIR)/post365.conf \
	    $(DESTDIR)$(COMPLETIONDIR)/post365 $(foreach page,$(MANUALS),$(call manual_place,$(page)))
	rm -rf $(DESTDIR)$(DOCDIR) $(DESTDIR)$(SHAREDIR)
ifeq ($(DESTDIR),)
	@if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	rm -rf $(SOCKET_DIRECTORY)
	if [ -d $(REGISTRATIONS) ]; then rmdir --ignore-fail-on-non-empty $(REGISTRATIONS); fi
	@if [ -e $(LEDGER_DIRECTORY) ] || [ -e $(TOKEN_DIRECTORY) ] || [ -e $(REGISTRATIONS) ] || \
	    getent passwd $(ACCOUNT) >/dev/null || getent passwd $(TOKEN_ACCOUNT) >/dev/null; then \
	    echo 'left, since another installation would need them: what was sent within the last day, refresh tokens, registrations'; \
	    echo 'with their keys, and the accounts. To remove these as well:'; \
	    echo '  rm -rf $(LEDGER_DIRECTORY) $(TOKEN_DIRECTORY) $(REGISTRATIONS); userdel $(ACCOUNT); userdel $(TOKEN_ACCOUNT)'; \
	fi
endif
