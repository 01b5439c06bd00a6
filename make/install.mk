# install.mk - put everything where Debian keeps it

UNITDIR     ?= /lib/systemd/system
SYSUSERSDIR ?= /usr/lib/sysusers.d
TMPFILESDIR ?= /usr/lib/tmpfiles.d
DOCDIR      ?= $(PREFIX)/share/doc/post365

.PHONY: install uninstall
install: all
	install -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSUSERSDIR) \
	    $(DESTDIR)$(TMPFILESDIR) $(DESTDIR)$(DOCDIR)
	install -m 755 $(PROGRAMS:%=$(BUILD)/%) $(DESTDIR)$(SBINDIR)
	for unit in $(PROGRAMS); do \
	    sed 's#/usr/sbin/#$(SBINDIR)/#' conf/$$unit.service >$(DESTDIR)$(UNITDIR)/$$unit.service || exit 1; \
	    chmod 644 $(DESTDIR)$(UNITDIR)/$$unit.service; \
	done
	install -m 644 conf/sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/post365.conf
	install -m 644 conf/tmpfiles.conf $(DESTDIR)$(TMPFILESDIR)/post365.conf
	install -m 644 README.md docs/*.md conf/office365_replies.regexp $(DESTDIR)$(DOCDIR)
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then \
	    systemd-sysusers post365.conf && systemd-tmpfiles --create post365.conf && \
	    systemctl daemon-reload; \
	fi

uninstall:
	rm -f $(PROGRAMS:%=$(DESTDIR)$(SBINDIR)/%) $(PROGRAMS:%=$(DESTDIR)$(UNITDIR)/%.service) \
	    $(DESTDIR)$(SYSUSERSDIR)/post365.conf $(DESTDIR)$(TMPFILESDIR)/post365.conf
	rm -rf $(DESTDIR)$(DOCDIR)
