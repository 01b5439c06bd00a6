"""post365 setup: what it shows, makes and takes back, on relays as they are found in the world."""

import json
import re

import pytest
from setup_shapes import RECIPE, SECRETS, SHAPES, Shape, applied, make, run_setup, undone

from harness.given import debian_master
from harness.relay import PASSWORD, UPN
from harness.workplace import PROJECT


@pytest.fixture(params=SHAPES)
def shape(request):
    return SHAPES[request.param]


def apply_diff(text, hunks):
    """What patch(1) would make of it."""
    lines, result, at = text.splitlines(keepends=True), [], 0
    for line in hunks.splitlines(keepends=True):
        if head := re.match(r"@@ -(\d+)(?:,(\d+))? ", line):
            begin = int(head[1]) - (head[2] != "0")
            result += lines[at:begin]
            at = begin
        elif line[0] in " -":
            result += [lines[at]] if line[0] == " " else []
            assert lines[at].rstrip("\n") == line[1:].rstrip("\n") or "not shown" in line
            at += 1
        elif line[0] == "+":
            result.append(line[1:])
    return "".join(result + lines[at:])


def objects(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def values(postfix, *names):
    return postfix.command("postconf", "-h", *names).stdout.splitlines()


# --- all shapes ---

def test_it_shows_and_changes_nothing_then_makes_it_and_takes_it_back(place, shape):
    postfix = make(place, shape)
    before = postfix.contents()
    done = run_setup(postfix)
    assert (done.returncode, done.stderr) == (1, ""), done
    assert postfix.contents() == before
    told = objects(run_setup(postfix, "--json"))
    names = [row["name"] for row in told if row["kind"] == "change"]
    fill = {"{submission_port}": postfix.submission_port, "{third_port}": 2}
    for name in (*shape.changed, *shape.removed):
        for key, value in fill.items():
            name = name.replace(key, str(value))
        assert name in names, names
    for words in shape.remarked:
        assert any(words in row["text"] for row in told if row["kind"] in ("remark", "duty")), told
    main = (postfix.config_directory / "main.cf").read_text()
    applied(postfix)
    after = (postfix.config_directory / "main.cf").read_text()
    assert apply_diff(main, next(row["diff"] for row in told if row["kind"] == "diff" and row["file"].endswith("main.cf")
                                 ).split("\n", 2)[2]) == after
    now = postfix.command("postconf", "-n")
    assert now.stderr == ""
    assert all(not re.search(rf"^{name} =", now.stdout, re.M) for name in shape.removed)
    found = postfix.contents()
    assert all(found[name][1:] == before[name][1:] for name in before)
    assert {name for name in found if name not in before} == {
        "post365-setup", "post365-setup/1", "post365-setup/1/edits",
        *(f"post365-setup/1/{name}.{state}" for name in ("main.cf", "master.cf") for state in ("before", "after"))}
    assert found["post365-setup"][1] & 0o777 == 0o700 and found["post365-setup/1/main.cf.before"][1] & 0o777 == 0o600
    again = applied(postfix)
    assert ("post365 is set up already." in again.stdout or "nothing that setup would change" in again.stdout) and postfix.contents() == found
    assert run_setup(postfix).returncode == 0
    undone(postfix)
    assert postfix.contents() == before
    assert "There is nothing to undo." in undone(postfix).stdout and postfix.contents() == before


def test_other_edits_keep_every_byte(place, shape):
    """What the admin does between --apply and --undo is what is different afterwards."""
    postfix = make(place, shape)
    main, master = (postfix.config_directory / name for name in ("main.cf", "master.cf"))
    before = main.read_bytes(), master.read_bytes()
    applied(postfix)

    def edit(text):
        text = b"# mine\n" + text
        return re.sub(rb"(smtp_tls_security_level\s*=\s*)secure\n", rb"\1 encrypt \n  \n# and this\n", text)
    main.write_bytes(edit(main.read_bytes()) + b"biff = no\n")
    master.write_bytes(b"# mine\n" + master.read_bytes() + b"# the end\n")
    undone(postfix)
    last = b"" if before[0].endswith(b"\n") else b"\n"
    assert main.read_bytes() == edit(before[0]) + last + b"biff = no\n"
    assert master.read_bytes() == b"# mine\n" + before[1] + b"# the end\n"
    assert not (postfix.config_directory / "post365-setup").exists()


@pytest.mark.parametrize("name", ["debian", "symlink"])
def test_no_password_is_shown(place, name):
    postfix = make(place, SHAPES[name])
    with (postfix.config_directory / "main.cf").open("a") as main:
        main.write(f"\nx_bind_pw = {PASSWORD}\n# old: static:relay:{PASSWORD}\n"
                   f"my_table = inline:{{\n    {{ a = b:{PASSWORD} }} }}\nldap_password = {PASSWORD}\n"
                   f"my_word = {PASSWORD}\nmy_login = relay:$my_word\nmy_password_maps = static:${{my_login}}\n")
    shown = "".join(done.stdout + done.stderr for done in (
        run_setup(postfix), run_setup(postfix, "--json"), run_setup(postfix, "--apply", "--yes"),
        run_setup(postfix, "--undo", "--json", "--yes")))
    assert "not shown" in shown
    assert not [secret for secret in SECRETS if secret in shown]


# --- what the plan says ---

def test_where_the_milter_stands(place):
    postfix = make(place, SHAPES["milters"])
    applied(postfix)
    ours = "{unix:post365/milter,protocol=6}"
    assert values(postfix, "smtpd_milters", "non_smtpd_milters", "milter_default_action", "internal_mail_filter_classes") == [
        f"inet:127.0.0.1:1, {ours}, inet:localhost:8891 ${{post365_user?}}${{post365_ledger?}}",
        f"{ours}, inet:localhost:8891", "accept", "notify, bounce"]
    services = postfix.command("postconf", "-P").stdout
    assert f"127.0.0.1:{postfix.submission_port}/inet/smtpd_milters = {ours}\n" in services
    assert f"127.0.0.1:2/inet/smtpd_milters = {ours},inet:localhost:8891\n" in services


def test_layout_and_comments_stay(place):
    postfix = make(place, SHAPES["layout"])
    applied(postfix)
    text = (postfix.config_directory / "main.cf").read_text()
    assert ("smtpd_milters =\n\t# the filter\n\t\n\t$my_filter\n# this one signs\n    {unix:post365/milter,default_action=accept}, "
            "{ inet:localhost:8891, default_action=accept } ${post365_user?}${post365_ledger?}\n") in text
    assert text.count("smtpd_milters =") == 2 and text.count("default_transport =") == 1
    assert "    texthash:" in text and values(postfix, "default_transport") == ["post365:unix:post365/transport"]
    assert postfix.command("postmap", "-q", "other@example.com",
                           postfix.postconf("sender_dependent_default_transport_maps").split(",")[0]).stdout == "smtp:\n"


def test_each_account_has_a_destination_and_a_new_one_is_added(place):
    postfix = make(place, SHAPES["senders"])
    applied(postfix)
    maps = postfix.postconf("sender_dependent_default_transport_maps")
    assert postfix.command("postmap", "-q", "ann@example.com", maps).stdout == "post365:unix:post365/accounts/ann@example.com\n"
    first = postfix.contents()
    postfix.table("sasl_passwd", {"[localhost]:587": f"{UPN}:{PASSWORD}", "x": "new@example.com:third"}, "hash", 0o600)
    told = objects(run_setup(postfix, "--json"))
    assert [row["name"] for row in told if row["kind"] == "change"] == ["sender_dependent_default_transport_maps"]
    # The daemons run already: they must learn of it.
    assert "systemctl restart post365-policyd post365-milter post365-transport" in applied(postfix).stdout
    maps = values(postfix, "sender_dependent_default_transport_maps")[0]
    assert maps.count("inline:") == 2 and "new@example.com" in maps
    undone(postfix)  # both
    now = postfix.contents()
    assert now["main.cf"][0] == first["post365-setup/1/main.cf.before"][0] and "post365-setup" not in now


@pytest.mark.parametrize("spelling, key, becomes, remark", [
    ("smtp.office365.com", "[smtp.office365.com]:587", "[smtp.office365.com]:587", None),
    ("[smtp.office365.com]", "smtp.office365.com", "[smtp.office365.com]:587", None),
    ("smtp.office365.com:587", "smtp.office365.com:587", None, "has no line for that"),
    ("[smtp.office365.com]:587", "[smtp.office365.com]:587", None, None),
    ("$my_host", "smtp.office365.com", None, "made of other parameters"),
    ("[a.example]:25 [b.example]:25", "[a.example]:25", None, "takes the first, a.example"),
    ("[a.example]", "a.example", None, "names no port")])
def test_how_relayhost_is_spelled(place, spelling, key, becomes, remark):
    shape = Shape(RECIPE.replace("[localhost]:{port}", spelling) + "my_host = smtp.office365.com\ndelay_warning_time = ${my_host?1h}\n",
                  passwords={key: f"{UPN}:{PASSWORD}"})
    postfix = make(place, shape)
    told = objects(run_setup(postfix, "--json"))
    assert ("relayhost" in [row.get("name") for row in told]) is (becomes is not None)
    remarks = " ".join(row["text"] for row in told if row["kind"] == "remark")
    assert remark is None or remark in remarks, remarks
    assert "office365" not in spelling or "no host of Office 365" not in remarks
    assert becomes is None or f"+relayhost = {becomes}\n" in next(row["diff"] for row in told if row["kind"] == "diff")


def test_header_checks_that_do_something_else_stay_and_are_told(place):
    postfix = make(place, Shape(RECIPE + "smtp_header_checks = regexp:{etc}/checks\n"))
    postfix.table("checks", "if /^Re/\n/^Received:/ IGNORE\nendif\n/\n!", "regexp")
    told = objects(run_setup(postfix, "--json"))
    assert any("lmtp_header_checks" in row["why"] for row in told if row["kind"] == "change")
    assert "smtp_header_checks" not in [row.get("name") for row in told]


def test_a_static_table_among_others_is_told_without_a_line(place):
    postfix = make(place, Shape(RECIPE + f"sender_canonical_maps = static:{UPN}, texthash:{{etc}}/canonical\n",
                                tables={"canonical": ("texthash", "a@b.example c@d.example\n")}))
    told = [row["text"] for row in objects(run_setup(postfix, "--json")) if row["kind"] == "remark"]
    assert any(text.endswith(f"take out static:{UPN}.") for text in told), told


def test_a_transport_for_everything_is_told(place):
    postfix = make(place, Shape(RECIPE + "transport_maps = inline:{ { * = smtp:[localhost]:25 } }\n"))
    assert "no mail would go through post365" in re.sub(r"\s+", " ", run_setup(postfix).stdout)


def test_a_map_that_sends_an_account_elsewhere_is_told_and_stays(place):
    postfix = make(place, Shape(RECIPE + f"sender_dependent_default_transport_maps = inline:{{ {{ {UPN} = smtp:[other] }} }}\n"))
    told = objects(run_setup(postfix, "--json"))
    assert any("is left as it is" in row["text"] for row in told if row["kind"] == "remark")
    assert "sender_dependent_default_transport_maps" not in [row.get("name") for row in told]


def test_a_service_post365_of_ones_own_gets_what_it_lacks(place):
    postfix = make(place, Shape(RECIPE))
    with (postfix.config_directory / "master.cf").open("a") as master:
        master.write("post365 unix - - n - 5 lmtp\n")
    told = objects(run_setup(postfix, "--json"))
    assert {row["name"] for row in told if row["kind"] == "change" and row["file"].endswith("master.cf")} == {"post365/unix"}
    applied(postfix)
    assert "post365 unix - - n - 5 lmtp\n  -o lmtp_send_xforward_command=yes\n" in (postfix.config_directory / "master.cf").read_text()


def test_a_service_post365_that_is_something_else_is_told_and_stays(place):
    postfix = make(place, Shape(RECIPE))
    with (postfix.config_directory / "master.cf").open("a") as master:
        master.write("post365 unix - - n - 5 smtp\n")
    told = objects(run_setup(postfix, "--json"))
    assert any("the service post365 is not lmtp" in row["text"] for row in told if row["kind"] == "duty")
    assert "post365/unix" not in [row.get("name") for row in told]


def test_what_it_writes_into_master_cf_is_what_is_installed(place):
    postfix = make(place, Shape(RECIPE))
    applied(postfix)
    lines = [line for line in (PROJECT / "conf" / "master.cf").read_text().splitlines(keepends=True) if line[0] != "#"]
    assert (postfix.config_directory / "master.cf").read_text().endswith("\n" + "".join(lines))


# --- what must be there first ---

@pytest.mark.parametrize("main, words", [
    (RECIPE.replace("relayhost = [localhost]:{port}", "relayhost ="), "relayhost"),
    (RECIPE.replace("smtp_sasl_password_maps = hash:{etc}/sasl_passwd\n", ""), "there are no credentials"),
    (RECIPE.replace("sasl_passwd", "nothing"), "nothing"),
    (RECIPE + "post365_junk = 1\n", "post365_junk"),
    (RECIPE + "delay_warning_time = " + "1" * 70000 + "h\n", "longer than"),
    (RECIPE + "delay_warning_time = 1\0h\n", "NUL byte"),
    (RECIPE + "smtpd_milters = $smtpd_milters\n", '"smtpd_milters"'),
])
def test_what_it_cannot_work_on_is_said(place, main, words):
    postfix = make(place, Shape(main))
    before = postfix.contents()
    for options in ([], ["--apply", "--yes"]):
        done = run_setup(postfix, *options)
        assert done.returncode == 78 and words in done.stderr and done.stdout == "", done
        assert len(done.stderr) < 2000 and not re.search("[\x00-\x09\x0b-\x1f\x7f]", done.stderr)
    assert postfix.contents() == before


def test_control_characters_are_not_shown_and_stay(place):
    shape = Shape(RECIPE + "# \033[31mred\007 \udcff\udcc3 caf\udce9\nsmtpd_banner = \033]0;x\007 \udce9\r\ndelay_warning_time = 1h\r\n")
    postfix = make(place, shape)
    before = postfix.contents()
    shown = run_setup(postfix).stdout + run_setup(postfix, "--json").stdout + applied(postfix).stdout + undone(postfix).stdout
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\udc80-\udcff]", shown)
    assert postfix.contents() == before


def test_a_table_that_can_be_asked_and_not_listed(place):
    """As ldap: or lmdb: where the program has no reader: the relayhost's own line is found."""
    postfix = make(place, Shape(RECIPE.replace("hash:{etc}/sasl_passwd", "regexp:{etc}/passwords")))
    postfix.table("passwords", f"/^localhost$/ {UPN}:{PASSWORD}\n", "regexp", 0o644)
    applied(postfix)
    assert UPN in values(postfix, "sender_dependent_default_transport_maps")[0]



# --- master.cf ---

@pytest.mark.parametrize("option", ["-osmtpd_milters=", "-o smtpd_milters=", "-o { smtpd_milters = }"])
def test_a_list_that_is_set_apart_gets_the_milter(place, option):
    postfix = make(place, Shape(RECIPE, master=debian_master(f"  {option}\n  -o smtpd_sasl_auth_enable=yes\n")))
    before = postfix.contents()
    applied(postfix)
    done = postfix.command("postconf", "-P")
    assert f"127.0.0.1:{postfix.submission_port}/inet/smtpd_milters = {{unix:post365/milter,default_action=accept}}\n" in done.stdout
    assert postfix.command("postconf", "-n").stderr == ""
    undone(postfix)
    assert postfix.contents() == before


def test_a_reentry_of_a_filter_stays_as_it_is(place):
    lines = "127.0.0.1:10025 inet n - n - - smtpd\n  -o content_filter=\n  -o smtpd_milters=\n"
    postfix = make(place, Shape(RECIPE, master=debian_master() + lines))
    told = objects(run_setup(postfix, "--json"))
    assert not any("10025" in row["name"] for row in told if row["kind"] == "change")
    assert any("127.0.0.1:10025/inet" in row["text"] and "content filter" in row["text"] for row in told if row["kind"] == "remark")


def test_the_type_of_a_service_is_no_password(place):
    """smtpd(8) behind postscreen(8) has the type "pass"."""
    master = (debian_master().rstrip("\n") + "\n#smtpd     pass  -       -       y       -       -       smtpd\n"
              "smtpd     pass  -       -       n       -       -       smtpd\n# my_password = geheim\n")
    postfix = make(place, Shape(RECIPE, master=master))
    shown = run_setup(postfix).stdout
    assert " #smtpd     pass  -       -       y       -       -       smtpd\n" in shown
    assert " smtpd     pass  -       -       n       -       -       smtpd\n" in shown
    assert "geheim" not in shown and "not shown" in shown


def test_how_much_waits_is_told_both_ways(place):
    postfix = make(place, Shape(RECIPE))
    files = [postfix.queue_directory / queue / name for queue, name in (
        ("deferred/A", "A1"), ("deferred/A", "A2"), ("hold", "H1"), ("maildrop", "M1"), ("corrupt", "C1"))]

    def fill():
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("")
    fill()
    assert "4 messages wait in the queue. Nothing is to be done" in re.sub(r"\s+", " ", run_setup(postfix).stdout)
    for file in files:
        file.unlink()
    assert not [row for row in objects(run_setup(postfix, "--json")) if row["kind"] == "backlog"]
    applied(postfix)
    fill()
    assert [row["text"].split(",")[0] for row in objects(run_setup(postfix, "--undo", "--json", "--yes"))
            if row["kind"] == "backlog"] == ["4 messages wait in the queue"]
