"""python3 -m demo [--keep | --stop | --clean]: see the package."""

import argparse
import os
import shutil
import sys
import time

from harness import workplace

from . import passwords, phone, report, runs, traffic

_NAME = "demo"
# Seconds that a message may take: with post365 each must arrive, without it some never do.
_PATIENCE = {False: 15, True: 45}


def main():
    parser = argparse.ArgumentParser(prog="demo", description="The same mail without and with post365.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--keep", action="store_true", help="leave the second run's programs running")
    action.add_argument("--stop", action="store_true", help="end what --keep left running")
    action.add_argument("--clean", action="store_true",
                        help="the same, and remove everything below build/run")
    options = parser.parse_args()
    if options.clean:
        return clean()
    reason = workplace.why_not()
    if reason:
        print(f"demo: {reason}", file=sys.stderr)
        return 77
    if options.stop:
        return stop()
    try:
        return demonstrate(options.keep)
    except (RuntimeError, OSError) as error:  # a program that does not start says why
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130


def demonstrate(keep):
    paper = report.Paper()
    report.print_setting(paper)
    with workplace.Workplace(_NAME, keep=True) as place:
        plain = run_one(place, paper, "plain", False)
        plain.relay.stop()
        ours = run_one(place, paper, "post365", True)
        both = (plain, ours)
        records = report.print_fates(paper, both)
        report.print_replies(paper, both)
        report.print_headers(paper, ours)
        report.print_queue(paper, ours)
        results = report.checks(both, records)
        results.append(ring(paper, ours))
        report.print_screens(paper, ours)
        screens, further = passwords.play(place, paper.progress)
        report.print_last_day(paper, screens)
        results += further
        report.print_checks(paper, results)
        print_further(paper, place, ours, keep)
        if keep:
            place.detach()
    return 0 if all(holds for _, holds, _ in results) else 1


def run_one(place, paper, name, with_post365):
    title = "run 2: with post365" if with_post365 else "run 1: without post365"
    began = time.monotonic()
    paper.progress(f"  {title}: starting")
    run = runs.prepare(place, name, with_post365)

    def tell(text):
        paper.progress(f"  {title}: {time.monotonic() - began:3.0f} s  {text}")

    runs.send_all(run, tell, _PATIENCE[with_post365])
    paper.line(f"  {title}: {len(run.mails)} messages sent, {run.seconds:.0f} s", "dim")
    return run


def ring(paper, run):
    """Mail stops, the admin looks, and it goes again: a promise like the others."""
    paper.progress("  somebody switches SMTP AUTH off")
    sent = phone.close_gate(run)
    paper.progress("  and on again")
    came = phone.open_gate(run, sent)
    return "what waited for a closed gate has arrived", came, f"{len(sent)} messages"


def print_further(paper, place, run, keep):
    postfix = run.relay.postfix
    relative = os.path.relpath(place.directory)
    base = relative if not relative.startswith("../..") else str(place.directory)
    paper.heading("To look further")
    for what, where in (
            ("main.cf of both", f"diff {base}/plain/etc/main.cf {base}/post365/etc/main.cf"),
            ("Postfix's log", f"{base}/post365/log/maillog"),
            ("post365's logs", f"{base}/post365/post365-milter.log, post365-policyd.log"),
            ("what the stand-in saw", run.office365.journal_path)):
        paper.line(f"  {what:22} {where}")
    if not keep:
        paper.line(f"  {'play with it':22} make demo KEEP=1 leaves the second run's programs running")
        return
    config = postfix.config_directory
    paper.line()
    paper.line("Still running; talk to it:", "bold")
    for what, command in (
            ("send a message",
             f"printf 'Subject: hello\\n\\nhello\\n' | MAIL_CONFIG={config} sendmail you@example.net"),
            ("with any SMTP client", f"127.0.0.1:{postfix.smtp_port}"),
            ("or with a login", f"127.0.0.1:{postfix.submission_port}, user {traffic.PERSON[0]}, "
                                f"password {traffic.PERSON[1]}"),
            ("see the queue", f"postqueue -c {config} -p"),
            ("see what arrives", f"tail -f {run.office365.journal_path}"),
            ("see the log", f"tail -f {postfix.log_path}"),
            ("stop it all", "make demo-stop")):
        paper.line(f"  {what:22} {command}")


def stop():
    """Ends what --keep left running."""
    directory = workplace.run_directory() / _NAME
    if not (directory / "kept").exists():
        print("demo: nothing is running")
        return 0
    count = workplace.stop_all(directory)
    (directory / "kept").unlink()
    print(f"demo: stopped {count} processes")
    return 0


def clean():
    """Stops what killed or kept runs left, and removes all workplaces with the directory that
    build/run may point to. Workplaces of runs that still work are left alone."""
    run = workplace.BUILD / "run"
    if run.exists():
        for directory in run.resolve().iterdir():
            if directory.is_dir() and not workplace.in_use(directory):
                workplace.clear(directory)
        target = run.resolve()
        if not any(path.is_dir() for path in target.iterdir()):
            shutil.rmtree(target)
    if run.is_symlink() and not run.exists():
        run.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
