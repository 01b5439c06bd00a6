#!/bin/sh
# deps.sh PACKAGE... - installs those Debian packages that are missing, and touches apt only then
#
# Debian's postfix would ask questions and start itself: it is told to do neither ("No
# configuration"). A mail system that is there already is never replaced (--no-remove).
set -eu

complain() {
    printf 'make deps: %s\n' "$*" >&2
    exit 1
}

installed() {
    dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q ' installed$'
}

# The mail system other than Postfix that this machine has, if any: Debian allows for one.
other_mail_system() {
    dpkg-query -W -f '${Status}|${Package}|${Provides}\n' |
        sed -n 's/^.* installed|\([^|]*\)|.*mail-transport-agent.*/\1/p' | grep -vx postfix
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    complain "this is no Debian; install what Debian calls: $*"

missing=
for package in "$@"; do
    installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

[ "$(id -u)" = 0 ] || complain "run it as root; missing:$missing"
case "$missing " in *' postfix '*)
    other=$(other_mail_system) &&
        complain "Postfix would replace $other, the mail system of this machine." \
            "That is for you to decide: apt-get install postfix"
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections ;;
esac

echo "installing:$missing"
apt-get update -qq
# A fresh machine may be busy with its first upgrades: wait for these.
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove \
    -o DPkg::Lock::Timeout=300 $missing >/dev/null ||
    complain "apt-get did not install these packages, for the reason above:$missing"
