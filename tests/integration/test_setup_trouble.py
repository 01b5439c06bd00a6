"""post365 setup when something goes wrong: it is killed, the disk is full, somebody else edits the same lines."""

import contextlib
import fcntl
import os
import pty
import pwd
import random
import re
import resource
import shutil
import subprocess

import pytest
from setup_shapes import PROGRAM, RECIPE, SHAPES, Shape, applied, make, run_setup, undone

from harness import faults, workplace

# Our library comes before the sanitizer's.
SANITIZER = {"ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"}
NAMES = ("main.cf", "master.cf")


@pytest.fixture
def postfix(place):
    return make(place, SHAPES["from-recipe"])


def texts(postfix):
    return tuple((postfix.config_directory / name).read_bytes() for name in NAMES)


# --- it is killed ---

def deadly(place, postfix):
    """A disk at whose calls a program can be made to die."""
    if not faults.LIBRARY.exists():
        pytest.fail(f"{faults.LIBRARY} is not there: run `make crash-programs` first")
    return faults.Faults(place.directory / "faults", postfix.config_directory, 1)


def killed(postfix, disk, word, at, how):
    """One run that dies at a write or flush below the configuration directory. Whether it came to its end."""
    disk.clear()
    disk.set(die_at=at, die_how=how)
    done = run_setup(postfix, word, "--yes", environment={**disk.environment(), **SANITIZER})
    assert done.returncode in (0, -9), done
    return done.returncode == 0


def points(postfix, disk, word):
    """Runs it again and again, dead at each write and flush, before it and after it; after each run the
    caller sees what is left."""
    for how in (faults.BEFORE, faults.AFTER):
        at = 1
        while not killed(postfix, disk, word, at, how):
            yield at
            at += 1
        assert at > 4  # else nothing was tried
        yield 0


def test_killed_in_the_midst(place, postfix):
    before = postfix.contents()
    disk = deadly(place, postfix)
    old = texts(postfix)
    applied(postfix)
    new = texts(postfix)
    undone(postfix)
    seen = set()
    for _ in points(postfix, disk, "--apply"):
        state = texts(postfix)
        assert all(text in pair for text, pair in zip(state, zip(old, new))), state
        assert state != (new[0], old[1]), "main.cf must not name what master.cf does not have"
        seen.add(state)
        undone(postfix)
        assert postfix.contents() == before
    assert len(seen) == 3
    applied(postfix)
    record = postfix.config_directory / "post365-setup"
    shutil.copytree(record, place.directory / "record")
    for _ in points(postfix, disk, "--undo"):
        state = texts(postfix)
        assert all(text in pair for text, pair in zip(state, zip(old, new))), state
        undone(postfix)
        assert postfix.contents() == before
        for name, text in zip(NAMES, new):  # as it was when --apply was done
            (postfix.config_directory / name).write_bytes(text)
        shutil.copytree(place.directory / "record", record)
    undone(postfix)
    assert postfix.contents() == before


def test_what_was_killed_is_done_by_doing_it_again(place, postfix):
    before = postfix.contents()
    disk = deadly(place, postfix)
    at = 1
    while texts(postfix)[1] == before["master.cf"][0]:  # up to where master.cf is new, and main.cf old
        assert not killed(postfix, disk, "--apply", at, faults.AFTER)
        at += 1
        if texts(postfix)[1] == before["master.cf"][0]:
            undone(postfix)
    assert texts(postfix)[0] == before["main.cf"][0]
    applied(postfix)
    assert run_setup(postfix).returncode == 0
    undone(postfix)
    assert postfix.contents() == before


# --- what cannot be written, or is not right ---

def test_postfix_does_not_like_it(place):
    postfix = make(place, Shape(RECIPE + "manpage_directory = relative\n"))
    before = postfix.contents()
    done = run_setup(postfix, "--apply", "--yes")
    assert done.returncode == 78 and "nothing was changed; all was put back" in done.stderr and "postfix check" in done.stderr, done
    assert postfix.contents() == before


@contextlib.contextmanager
def disk_of_its_own(postfix, size="256k"):
    """The configuration directory on a small file system."""
    etc = postfix.config_directory
    kept = etc.with_name("etc-before")
    etc.rename(kept)
    etc.mkdir(mode=0o755)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", etc], capture_output=True, text=True,
                             check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{kept}/.", etc], check=True)
        yield etc
    finally:
        subprocess.run(["umount", "--lazy", etc], check=False)


def test_a_full_disk(postfix):
    with disk_of_its_own(postfix) as etc:
        before = postfix.contents()
        for free in (0, 3, 7, 12, 16, 20):  # blocks of 4 kB: it fails at the one or the other file
            fill = etc / "fill"
            with contextlib.suppress(OSError), fill.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            os.truncate(fill, max(0, fill.stat().st_size - 4096 * free))
            done = run_setup(postfix, "--apply", "--yes")
            fill.unlink()
            if done.returncode == 0:
                break
            assert done.returncode == 78 and "No space left" in done.stderr, done
            assert postfix.contents() == before
        assert free > 0 and done.returncode == 0
        undone(postfix)
        assert postfix.contents() == before


def test_a_disk_that_is_for_reading_only(postfix):
    with disk_of_its_own(postfix) as etc:
        before = postfix.contents()
        subprocess.run(["mount", "-o", "remount,ro", etc], check=True)
        assert run_setup(postfix).returncode == 1
        done = run_setup(postfix, "--apply", "--yes")
        assert done.returncode == 78 and "Read-only" in done.stderr, done
        assert postfix.contents() == before


def test_somebody_who_is_not_root(postfix):
    program = postfix.directory / "program"  # where others may run it, wherever the checkout lies
    shutil.copy(PROGRAM, program)
    games = {"program": program, "user": "games", "group": pwd.getpwnam("games").pw_gid, "extra_groups": []}
    done = run_setup(postfix, **games)
    assert done.returncode == 77 and "ermission denied" in done.stderr and "sasl_passwd" in done.stderr, done
    for name in ("sasl_passwd", "sasl_passwd.db"):
        (postfix.config_directory / name).chmod(0o644)
    before = postfix.contents()
    assert run_setup(postfix, **games).returncode == 1
    done = run_setup(postfix, "--apply", "--yes", **games)
    assert done.returncode == 77 and "ermission denied" in done.stderr, done
    assert postfix.contents() == before
    applied(postfix)
    before = postfix.contents()
    done = run_setup(postfix, "--undo", "--yes", **games)
    assert done.returncode == 77 and postfix.contents() == before, done


def test_two_at_once(postfix):
    directory = os.open(postfix.config_directory, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    for word in ("--apply", "--undo"):
        assert run_setup(postfix, word, "--yes").returncode == 75
    os.close(directory)


def test_a_record_that_is_damaged(postfix):
    applied(postfix)
    for damage in (b"main.cf 1 2 3\n", b"main.cf 0 999999 0 1 x\n", b"\0", b"junk.cf 0 1 0 1 x\n"):
        (postfix.config_directory / "post365-setup" / "1" / "edits").write_bytes(damage)
        before = postfix.contents()
        done = run_setup(postfix, "--undo", "--yes")
        assert done.returncode == 78 and "main.cf.before" in done.stderr, done
        assert postfix.contents() == before


@pytest.mark.parametrize("kind", ["symlink", "writable", "foreign"])
def test_a_place_for_records_that_others_may_write_to(place, postfix, kind):
    elsewhere, records = place.directory / "elsewhere", postfix.config_directory / "post365-setup"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    if kind == "symlink":
        records.symlink_to(elsewhere)
    else:
        records.mkdir(mode=0o755)
        (records / "new").symlink_to(elsewhere)
        if kind == "writable":
            records.chmod(0o777)
        else:
            shutil.chown(records, "games")
    before = postfix.contents()
    for word in ("--apply", "--undo"):
        done = run_setup(postfix, word, "--yes")
        assert done.returncode == 78 and "others may write there" in done.stderr, done
        assert postfix.contents() == before and (elsewhere / "precious").exists()


# --- others edit the same ---

def test_what_others_changed_of_ours_is_left_and_told(postfix):
    old = texts(postfix)
    applied(postfix)
    main, master = (postfix.config_directory / name for name in NAMES)
    main.write_bytes(main.read_bytes().replace(b"default_action=accept} ", b"default_action=accept}, inet:localhost:8891 ")
                     .replace(b"internal_mail_filter_classes = bounce, notify\n", b"")
                     .replace(b"inet_protocols = ipv4\n", b"inet_protocols = ipv4\nsmtp_header_checks = static:IGNORE\n"))
    master.write_bytes(master.read_bytes().replace(b"lmtp_data_init_timeout=300s", b"lmtp_data_init_timeout=400s"))
    done = run_setup(postfix, "--undo", "--yes")
    assert done.returncode == 1 and done.stderr == ""
    told = re.sub(r"\s+", " ", done.stdout)
    assert "smtpd_milters was changed since post365 setup, and is left as it is. Before, there was none." in told
    assert "smtp_header_checks was changed" in told and "it was: smtp_header_checks = regexp:" in told
    assert "post365 was changed" in told and "internal_mail_filter_classes" not in told.split("+++")[0]
    text = main.read_bytes()
    kept = text.replace(b"smtpd_milters = {unix:post365/milter,default_action=accept}, inet:localhost:8891 ${post365_user?}${post365_ledger?}\n", b"")
    taken_out = re.search(rb"^smtp_header_checks = .*\n", old[0], re.M)[0]
    assert kept.replace(b"smtp_header_checks = static:IGNORE\n", b"") == old[0].replace(taken_out, b"")
    assert master.read_bytes().startswith(old[1]) and b"=400s" in master.read_bytes()


def test_what_comes_back_finds_its_place_among_other_edits(postfix):
    """What was taken out stood between lines that somebody has moved or removed since."""
    main = postfix.config_directory / "main.cf"
    old = main.read_bytes()
    applied(postfix)

    def edit(text):
        text = text.replace(b"# make Office 365 happy\n", b"")
        return text.replace(b"header_checks = regexp:%s/mixed_checks\n" % bytes(postfix.config_directory), b"biff = no\n")
    assert main.read_bytes() != edit(main.read_bytes())
    main.write_bytes(edit(main.read_bytes()))
    undone(postfix)
    assert main.read_bytes() == edit(old)


ROUNDS = 60


def edit_at_random(draw, line, adds):
    """What becomes of a line."""
    kept = [b"", b"# " + line, line.rstrip(b"\n") + b" \n"]
    return draw.choice([line + b"# mine\n", b"\n" + line] if adds else kept)


@pytest.mark.parametrize("name", ["from-recipe", "milters", "layout"])
def test_any_other_edits(place, name):
    """Whatever lines others change, remove or add, undone is what they would have made of the old file."""
    seed = random.SystemRandom().randrange(1 << 32)
    draw = random.Random(seed)
    postfix = make(place, SHAPES[name])
    main = postfix.config_directory / "main.cf"
    old = main.read_bytes()
    applied(postfix)
    new = main.read_bytes()
    record = postfix.config_directory / "post365-setup"
    shutil.copytree(record, place.directory / "record")
    common = [line for line in old.splitlines(keepends=True)[1:-1] if old.count(line) == 1 and new.count(line) == 1
              and b"=" in line and not line[:1].isspace() and not line.rstrip().endswith(b"=") and b"relayhost" not in line]
    for number in range(ROUNDS):
        is_certain = number % 2 == 0
        expected, edited = old, new
        for line in draw.sample(common, 1 if is_certain else draw.randint(2, 6)):
            changed = edit_at_random(draw, line, not is_certain and draw.random() < 0.5)
            expected, edited = (text.replace(b"\n" + line, b"\n" + changed) for text in (expected, edited))
        main.write_bytes(edited)
        done = run_setup(postfix, "--undo", "--yes")
        assert (done.returncode, done.stderr) == (0, ""), (seed, done)
        got = main.read_bytes()
        if is_certain:
            assert got == expected, seed
        # Between two lines that others wrote there is no telling where exactly another was.
        assert sorted(got.splitlines()) == sorted(expected.splitlines()), seed
        assert taken_out_in_order(got, old, new) == taken_out_in_order(expected, old, new), seed
        shutil.copytree(place.directory / "record", record)


def taken_out_in_order(text, old, new):
    lines = new.splitlines()
    return [line for line in text.splitlines() if line in old.splitlines() and line not in lines]


def test_a_file_that_changes_while_it_asks(postfix):
    def answer(leader):
        with (postfix.config_directory / "main.cf").open("a") as main:
            main.write("biff = no\n")
        os.write(leader, b"y\n")
    status, shown = on_terminal(postfix, "--apply", answer)
    assert status == 78 and b"main.cf was changed meanwhile" in shown
    assert not (postfix.config_directory / "post365-setup").exists()


# --- asking ---

def on_terminal(postfix, word, answer):
    """(exit status, what was shown) of a run that asks; `answer` is called with the terminal then."""
    leader, follower = pty.openpty()
    with subprocess.Popen([PROGRAM, "-c", postfix.config_directory, "setup", word], stdin=follower, stdout=follower, stderr=follower,
                          env={"PATH": "/usr/bin:/usr/sbin", "TERM": "xterm", "LC_ALL": "C.UTF-8"}) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                shown += os.read(leader, 65536)
            except OSError:
                break
            if shown.endswith(b"[y/N] "):
                answer(leader)
        process.wait(30)
    os.close(leader)
    return process.returncode, shown


def test_it_asks_on_a_terminal(postfix):
    before = postfix.contents()
    for word in (b"n\n", b"\n", b"\x04"):
        status, shown = on_terminal(postfix, "--apply", lambda leader, word=word: os.write(leader, word))
        assert status == 1 and b"Nothing was changed." in shown and b"\033[32m+smtpd_milters" in shown
        assert postfix.contents() == before
    assert on_terminal(postfix, "--apply", lambda leader: os.write(leader, b"y\n"))[0] == 0
    after = postfix.contents()
    assert after != before
    assert on_terminal(postfix, "--undo", lambda leader: os.write(leader, b"n\n"))[0] == 1
    assert postfix.contents() == after
    assert on_terminal(postfix, "--undo", lambda leader: os.write(leader, b"yes\n"))[0] == 0
    assert postfix.contents() == before


def test_it_and_what_it_runs_leave_no_core_file(postfix):
    """Postfix's programs read main.cf as well: they inherit the limit."""
    pid, leader = pty.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.execv(PROGRAM, [PROGRAM, "-c", postfix.config_directory, "setup", "--apply"])
    shown = b""
    while not shown.endswith(b"[y/N] "):
        shown += os.read(leader, 65536)
    limit = resource.prlimit(pid, resource.RLIMIT_CORE)
    os.write(leader, b"n\n")
    os.waitpid(pid, 0)
    os.close(leader)
    assert limit == (0, 0)


@pytest.mark.parametrize("words", [("--apply",), ("--apply", "--json"), ("--apply", "--undo"), ("--yes",), ("junk",), ("--junk",)])
def test_wrong_usage_changes_nothing(postfix, words):
    before = postfix.contents()
    assert run_setup(postfix, *words).returncode == 2
    assert postfix.contents() == before


def test_without_a_terminal_undo_needs_yes(postfix):
    applied(postfix)
    before = postfix.contents()
    for words in (("--undo",), ("--undo", "--json")):
        assert run_setup(postfix, *words).returncode == 2
    assert postfix.contents() == before
    done = subprocess.run([PROGRAM, "-c", postfix.config_directory, "-o", "biff=no", "setup"], capture_output=True, check=False,
                          env={"PATH": "/usr/bin"})
    assert done.returncode == 2 and workplace.USER.encode() not in done.stderr
