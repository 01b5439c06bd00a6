"""Every remedy names what there is: parameters of post365 and of Postfix, commands with their options, units, files.

The texts are read from the sources, so that none is left out: whatever stands in backticks in a string of the programs.
"""

import re
import shutil
import subprocess

import pytest
from test_ctl import run

from harness.workplace import PROJECT

FOLDERS = ("common", "ctl", "milter", "policyd", "transport", "tokend")
LITERAL = re.compile(r'"(?:[^"\\\n]|\\.)*"(?:\s*"(?:[^"\\\n]|\\.)*")*')
COMMENT = re.compile(r"/\*.*?\*/", re.S)
OURS = set(re.findall(r"`(post365_\w+)`", (PROJECT / "docs" / "PARAMETERS.md").read_text()))
# Of a registration file, see post365_oauth2(5).
REGISTRATION = set(re.findall(r'\] = "(\w+)",', (PROJECT / "common" / "oauth2" / "registration.c").read_text()))
UNITS = {path.stem for path in (PROJECT / "conf").glob("*.service")} | {"postfix", "postfix@-"}
# PowerShell's, as Microsoft documents them, with those of their parameters that are used.
CMDLETS = {
    "Set-TransportConfig": {"SmtpClientAuthenticationDisabled", "AllowLegacyTLSClients"},
    "Get-TransportConfig": set(),
    "Set-CASMailbox": {"Identity", "SmtpClientAuthenticationDisabled"},
    "Get-CASMailbox": {"Identity"},
    "Format-List": set(),
    "Get-User": {"Identity"},
    "Set-AuthenticationPolicy": {"Identity", "AllowBasicAuthSmtp"},
    "New-ServicePrincipal": {"AppId", "ObjectId", "DisplayName"},
    "New-MgServicePrincipal": {"AppId"},
    "New-ManagementRoleAssignment": {"Name", "Role", "App", "CustomResourceScope"},
    "Test-ServicePrincipalAuthorization": {"Identity", "Resource"},
    "Add-HVEAppAccess": {"Identity", "AppIds"},
    "Add-MailboxPermission": {"Identity", "User", "AccessRights"},
    "Add-RecipientPermission": {"AccessRights", "Trustee"},
    "Set-OrganizationConfig": {"SendFromAliasEnabled", "RejectDirectSend"},
    "Set-Mailbox": {"Identity", "RecipientLimits"},
}
ROLES = ("Application SMTP.SendAsApp",)
CAUSES = {name for page in ("OFFICE365_REPLIES.md", "ENTRA_ERRORS.md")
          for name in re.findall(r"^### (\S+)$", (PROJECT / "docs" / page).read_text(), re.M)}
# Of pages, and the names of resources.
LINKS = ("https://aka.ms/", "https://sender.office.com", "https://outlook.office", "https://partner.outlook.cn")


def literals(path):
    """The strings of a C file, those that stand side by side as one."""
    code = COMMENT.sub(" ", path.read_text())
    for found in LITERAL.finditer(code):
        parts = re.findall(r'"((?:[^"\\\n]|\\.)*)"', found.group())
        yield "".join(parts).replace('\\"', '"').replace("\\n", "\n")


def spans():
    """(file, what stands in backticks)"""
    for folder in FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*.c")):
            for text in literals(path):
                for span in re.findall(r"`([^`]+)`", text):
                    yield path.relative_to(PROJECT), span


@pytest.fixture(scope="module")
def postfix_parameters():
    names = subprocess.run(["postconf", "-d"], capture_output=True, text=True, check=True).stdout
    return {line.split(" ")[0] for line in names.splitlines()}


@pytest.fixture(scope="module")
def helps():
    """Of each command of post365 what --help says."""
    known = re.findall(r"^  ([a-z0-9]+) +", run("--help").stdout, re.M)
    return {name: run(name, "--help").stdout for name in known}


def wrong_with_parameter(name, postfix_parameters):
    if name in REGISTRATION:
        return None
    if name.startswith("post365_destination_"):  # of the service that setup writes into master.cf
        name = "default" + name.removeprefix("post365")
    if name.startswith("post365_"):
        return None if name in OURS else "no parameter of post365"
    return None if name in postfix_parameters else "no parameter of Postfix"


def wrong_with_cmdlets(span):
    for part in span.split(" | "):
        name, *words = part.split(" ")
        if name not in CMDLETS:
            return f"{name} is not known"
        for option in (word[1:] for word in words if word.startswith("-")):
            if option not in CMDLETS[name]:
                return f"{name} has no {option}"
    return None


def wrong_with_post365(words, helps):
    if not words or words[0].startswith("-"):
        return None if not words or words[0] in run("--help").stdout else f"no option {words[0]}"
    if words[0] not in helps:
        return f"no command {words[0]}"
    missing = [word for word in words if word.startswith("--") and word.split("=")[0] not in helps[words[0]]]
    return f"no option {missing[0]}" if missing else None


def wrong_with_command(span, helps):
    for part in span.split(" | "):
        name, *words = part.split(" ")
        if name == "post365":
            return wrong_with_post365(words, helps)
        if re.fullmatch(r"post365-(milter|policyd|transport|tokend)", name):
            continue
        if name == "systemctl" and words[1] not in UNITS | {"%s"}:
            return f"no unit {words[1]}"
        if name == "journalctl" and words[:1] == ["-u"] and words[1] not in UNITS | {"%s"}:
            return f"no unit {words[1]}"
        if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None and name not in ("systemctl", "journalctl"):
            return f"no command {name}"
    return None


def wrong_with(span, postfix_parameters, helps):
    """What is wrong with what stands in backticks, or None."""
    parameter = re.fullmatch(r"\$?([a-z][a-zA-Z0-9]*(?:_[a-zA-Z0-9]+)+|relayhost|mydestination|myhostname|myorigin)"
                             r"(?: ?=.*)?", span, re.S)
    if parameter is not None:
        return wrong_with_parameter(parameter.group(1), postfix_parameters)
    setting = re.fullmatch(r"(\w+) = .*", span)
    if (setting is not None and setting.group(1) in REGISTRATION) or span in ROLES or span in CAUSES:
        return None
    if re.match(r"[A-Z][a-z]+-[A-Z]", span):
        return wrong_with_cmdlets(span)
    if re.fullmatch(r"-[a-z]|-o|[._]|[a-z]+|[<%\[-].*|[a-z]+:.*|[A-Z]+ = [a-z]+:|/.*", span) and not re.match(r"post", span):
        return None  # a value, an option, a line of a table, a file whose name is set
    return wrong_with_command(span, helps)


def test_what_stands_in_backticks_is_there(postfix_parameters, helps):
    found = list(spans())
    assert len(found) > 100
    wrong = {f"{path}: `{span}`: {problem}" for path, span in found
             if (problem := wrong_with(span, postfix_parameters, helps)) is not None}
    assert not wrong, "\n".join(sorted(wrong))


def test_causes_and_findings_name_no_other_parameters():
    """Without backticks, too."""
    for folder in ("common", "ctl"):
        for path in sorted((PROJECT / folder).rglob("*.c")):
            for text in literals(path):
                for name in re.findall(r"(?<![\w/-])post365_[a-z][A-Za-z_]*[A-Za-z](?![\w/-])", text):
                    known = name in OURS or name.startswith(("post365_destination_", "post365_transport_"))
                    assert known or name in ("post365_user", "post365_account"), f"{path}: {name}"


def test_links_and_documents_are_there():
    for folder in FOLDERS:
        for path in sorted((PROJECT / folder).rglob("*.c")):
            for text in literals(path):
                for link in re.findall(r"https://[^\s\"')]+", text):
                    if "ctl" in str(path) or "office365" in str(path):
                        assert link.startswith(LINKS), f"{path}: {link}"
                for name in re.findall(r"\b([A-Z][A-Z0-9_]+\.md)\b", text):
                    assert (PROJECT / name).exists() or (PROJECT / "docs" / name).exists(), f"{path}: {name}"


@pytest.mark.parametrize("span", [
    "post365_tls_protocols", "post365_tls_protocols = >=TLSv1.2", "smtp_tls_protcols", "post365 heal", "post365 queue --why",
    "Set-CASMailbox -Identity <UPN> -Enabled", "Get-Nothing", "systemctl restart post365", "postmop -q KEY hash:x",
])
def test_what_is_not_there_is_found(span, postfix_parameters, helps):
    assert wrong_with(span, postfix_parameters, helps) is not None
