#!/usr/bin/env python3
"""Check with Python's email package what became of the rows of from_table.h.

Usage: check_from_table.py build/tests/test_rewrite

Another parser's opinion: each row's headers are put into a message as they leave, and the message
must have just the headers that it should have, one From: with one mailbox, the UPN (or the address
that the account may send as and that was there), and the display name that was there.
"""
import base64
import email
import email.errors
import email.policy
import email.utils
import json
import re
import subprocess
import sys

BODY = b"The body\r\n"
REWRITTEN = {"From", "Sender", "Reply-To", "X-Post365-Original"}
# Obsolete syntax (a dot in a phrase) and raw 8-bit text leave as they came.
TOLERATED = (email.errors.ObsoleteHeaderDefect, email.errors.UndecodableBytesDefect,
             email.errors.NonASCIILocalPartDefect)


def rows(program):
    """The rows that the test program prints, with their values decoded."""
    result = subprocess.run([program, "--dump"], stdout=subprocess.PIPE, check=True, timeout=60)
    for line in result.stdout.splitlines():
        row = json.loads(line)
        for name in ("about", "upn", "send_as", "envelope"):
            row[name] = base64.b64decode(row[name]).decode()
        for name in ("before", "after"):
            row[name] = [(key, base64.b64decode(value, validate=True)) for key, value in row[name]]
        yield row


def parse(headers, policy):
    wire = b"".join(name.encode() + b": " + value.replace(b"\n", b"\r\n") + b"\r\n"
                    for name, value in headers)
    return email.message_from_bytes(wire + b"\r\n" + BODY, policy=policy)


def text(octets):
    """Octets as email has them in its strings."""
    return octets.decode("utf-8", "surrogateescape")


def as_octets(string):
    return string.encode("utf-8", "surrogateescape")


def unfold(value):
    return value.replace(b"\r\n", b"").replace(b"\n", b"")


def values(headers, name):
    return [value for key, value in headers if key == name]


def covered(address, row):
    """May the account send as this address?"""
    address = address.lower()
    subjects = [row["upn"], *row["send_as"].split()]
    return any(address.endswith(subject.lower()) if subject.startswith("@")
               else address == subject.lower() for subject in subjects)


def spelled(mailbox):
    """The address of a mailbox; policy.default leaves UTF-8 in it as surrogates."""
    return text(as_octets(mailbox.addr_spec))


def check_headers(row):
    """No header was born, and the others are what they were."""
    after = row["after"]
    for policy in (email.policy.default, email.policy.compat32):
        message = parse(after, policy)
        assert message.keys() == [name for name, _ in after], "other headers than were made"
        assert not message.defects, f"defects: {message.defects}"
        assert message.get_payload().split() == BODY.decode().split(), "another body"
    names = [name for name, _ in after]
    assert names.count("From") == 1, "not one From:"
    for name in REWRITTEN - {"X-Post365-Original"}:
        assert names.count(name) <= 1, f"several {name}:"
    assert [pair for pair in after if pair[0] not in REWRITTEN] == \
        [pair for pair in row["before"] if pair[0] not in REWRITTEN], "other headers changed"


def check_lines(row):
    """What was made is folded, and nothing else, within the limits of RFC 5322."""
    for name, value in row["after"]:
        if (name, value) in row["before"]:
            continue
        lines = (name.encode() + b": " + value).split(b"\n")
        assert all(len(line) <= 998 for line in lines), f"{name}: a long line"
        assert all(line.strip() for line in lines), f"{name}: a blank line"
        assert all(line[:1] in b" \t" for line in lines[1:]), f"{name}: a line break"
        assert not any(octet < 32 and octet != 9 or octet == 127 for octet in b"".join(lines)), \
            f"{name}: a control character"


def defects(value):
    """What policy.default finds wrong, but for what leaves as it came."""
    header = parse([("From", value)], email.policy.default)["From"]
    return {str(defect) for defect in header.defects if not isinstance(defect, TOLERATED)}


def mailboxes(row, name):
    """The mailboxes of a header by policy.default, which must find nothing that was not there."""
    value, = values(row["after"], name)
    header = parse([(name, value)], email.policy.default)[name]
    found = defects(value)
    if row["keeps_name"]:
        found -= defects(values(row["before"], "From")[0])
    assert not found, f"{name}: {found}"
    assert all(group.display_name is None for group in header.groups), f"{name}: a group"
    return header.addresses


def legacy_addresses(value):
    """The (name, address) pairs by email.utils, which takes a comma in a comment for an attack."""
    value = text(unfold(value))
    found = email.utils.getaddresses([value])
    if found == [("", "")] and re.search(r"\([^)]*,", value):
        found = email.utils.getaddresses([value], strict=False)
    return found


def check_person(row, name):
    """The one mailbox of From: or Sender:, by both of Python's parsers."""
    found = mailboxes(row, name)
    assert len(found) == 1, f"{name}: {len(found)} mailboxes: {found}"
    address = spelled(found[0])
    assert covered(address, row), f"{name}: {address}"
    legacy = legacy_addresses(*values(row["after"], name))
    assert len(legacy) == 1, f"{name}: getaddresses finds {legacy}"
    assert legacy[0][1].lower() == address.lower(), f"{name}: getaddresses finds {legacy}"
    if address.lower() != row["upn"].lower():
        before = b" ".join(values(row["before"], name)).replace(b" ", b"")
        assert as_octets(address).replace(b" ", b"") in before, f"{name}: {address} was not there"


def check_names(row):
    """The octets in front of the angle are the same, and so is what they decode to (keeps_name)."""
    before, after = values(row["before"], "From")[0], values(row["after"], "From")[0]
    if not row["touched"]:
        assert before == after, "a right From: was touched"
        return
    name = unfold(after[:after.rindex(b"<")]).strip()
    rest = unfold(before).strip().removeprefix(name)
    assert name and rest != before and rest.strip().startswith(b"<"), "another display name"
    was, now = (parse([("From", value)], email.policy.default)["From"].addresses
                for value in (before, after))
    assert [was[0].display_name] == [mailbox.display_name for mailbox in now], \
        f"the display name was {was}, is {now}"


def check_reply_to(row):
    """A Reply-To: is as it was, or parses and is the only one; an address that was there is there."""
    before, after = values(row["before"], "Reply-To"), values(row["after"], "Reply-To")
    if before == after:
        return
    assert len(after) == 1, "not one Reply-To:"
    found = mailboxes(row, "Reply-To") if after[0] not in before else ()
    assert all(mailbox.username and mailbox.domain for mailbox in found), f"Reply-To: {found}"
    if found:
        legacy = legacy_addresses(after[0])
        assert len(legacy) == len(found), f"Reply-To: getaddresses finds {legacy}"
    for value in before:
        for _, address in legacy_addresses(value):
            assert not re.fullmatch(r"[^@\s]+@[^@\s]+", address) or "(" in text(value) or \
                address.lower() in text(after[0]).lower(), f"Reply-To: {address} is lost"


def check(row):
    check_headers(row)
    check_lines(row)
    check_person(row, "From")
    if values(row["after"], "Sender"):
        check_person(row, "Sender")
    if row["keeps_name"]:
        check_names(row)
    check_reply_to(row)


def failures(program):
    """(number of rows, [what is wrong])"""
    count, wrong = 0, []
    for row in rows(program):
        count += 1
        try:
            check(row)
        except AssertionError as error:
            made = values(row["after"], "From")
            wrong.append(f"{row['about']}: {error}; From: {made[:1]!r:.300}")
    return count, wrong


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count, wrong = failures(sys.argv[1])
    print(*wrong, f"{count} rows, {len(wrong)} wrong", sep="\n")
    sys.exit(1 if wrong or count == 0 else 0)


if __name__ == "__main__":
    main()
