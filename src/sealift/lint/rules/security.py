"""Security: what lets others in, and what lets secrets out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from sealift.deffile.characters import short
from sealift.lint.examples import UBUNTU, file, post
from sealift.lint.recipe import RUN_SCRIPTS, Recipe, ScriptView
from sealift.lint.tools import Download, action, downloads
from sealift.lint.values import Hit, Rule
from sealift.shell.follow import UNKNOWN

_INTERPRETERS = frozenset(("sh", "bash", "dash", "zsh", "python", "python3", "perl", "ruby", "R", "Rscript"))
_CHECKS = re.compile(
    r"\b(sha(1|224|256|384|512)?sums?|shasum|md5sum|b2sum|gpgv|cosign|minisign|openssl\s+dgst|--checksum)\b"
    r"|\bgpg2?\s[^\n]*--verify\b"
)
_UNCHECKED_FLAGS = frozenset(
    ("--allow-unauthenticated", "--force-yes", "--nogpgcheck", "--no-gpg-check", "--no-gpg-checks", "--allow-untrusted")
)
_SECRET = re.compile(
    r"\b(?:ghp_[A-Za-z0-9]{36}|gho_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{30,}|xox[bp]-[A-Za-z0-9-]{20,}|sk-[A-Za-z0-9]{32,}|sk-(?:proj|ant)-[A-Za-z0-9_-]{32,}|nvapi-[A-Za-z0-9_-]{40,})"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b[A-Z_]*(?:API_KEY|SECRET_ACCESS_KEY|SECRET_KEY|TOKEN|PASSWORD)=[\"']?(?=[A-Za-z/+_-]*\d)(?=[\d/+_-]*[A-Za-z])"
    r"[A-Za-z0-9/+_-]{16,}"
    r"|\becho\s+[\"']?[\w-]+:[^\s:$\"'|]{3,}[\"']?\s*\|\s*(?:sudo\s+)?chpasswd"
    r"|(?:https?|ftp)://[^\s/:@\"'$<>{}]+:(?P<password>[^\s/:@\"'$<>{}*]{3,})@"
)
_EVERYBODYS = ("/tmp", "/var/tmp")  # noqa: S108 -- names of folders in an image
_SHELL_AROUND = re.compile(
    r"(?:\b(?:sh|bash|zsh|python3?)\s+(?:-\w+\s+)*(?:[\"']?\$\(|<\(|`)|(?:\beval|\bsource|(?:^|\s)\.)\s+[\"']?(?:\$\(|<\(|`))\s*$"
)
_CHECKING_VARIABLES = ("PYTHONHTTPSVERIFY", "NODE_TLS_REJECT_UNAUTHORIZED")
_SECRET_FILES = re.compile(
    r"(^|/)(\.ssh|\.netrc|\.aws|\.gnupg|\.git-credentials|\.docker/config\.json|\.pypirc|\.kube|id_(rsa|dsa|ecdsa|ed25519)"
    r"|\.huggingface/token|credentials\.json|\.wandb|\.env)(/|$)"
)


def _pipe_to_shell(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("pre", "setup", "post", "appinstall"):
        for one in _run_unseen(script):
            yield one.call.hit(
                f"what `{short(one.url)}` answers that day is run as root, unseen",
                "download it to a file, check its sum, run it: echo 'SHA256  install.sh' | sha256sum -c",
            )


def _run_unseen(script: ScriptView) -> Iterator[Download]:
    """Downloads that go to an interpreter straight away."""
    by_pipe: dict[int, list[str]] = {}
    for call in script.calls:
        by_pipe.setdefault(call.run.pipe, []).append(call.name)
    for one in downloads(script.calls):
        run = one.call.run
        behind = set(by_pipe.get(run.pipe, [])[run.place + 1 :]) if run.place + 1 < run.pipe_length else set()
        if one.to_stdout and (_INTERPRETERS & behind or _is_argument_of_shell(script.text, run.start)):
            yield one


def _is_argument_of_shell(text: str, start: int) -> bool:
    """Does the command stand in `sh -c "$(…)"`, `bash <(…)` or `eval "$(…)"`?"""
    return _SHELL_AROUND.search(text[max(0, start - 80) : start]) is not None


def _plain_http(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("pre", "setup", "post", "appinstall"):
        if _CHECKS.search(script.text):
            continue
        for one in downloads(script.calls):
            if re.match(r"(http|ftp)://", one.url) and not _is_local(one.url):
                yield one.call.hit_field(
                    one.field,
                    f"`{short(one.url)}` comes without encryption and without a check: anybody "
                    "on the way can change it",
                    "write https:// where the server has it, or check the sum",
                )
        for call in script.calls:
            if call.name == "git" and "clone" in call.texts:
                for field in call.fields:
                    if re.match(r"(http|git|ftp)://", field.text) and not _is_local(field.text):
                        yield call.hit_field(
                            field,
                            f"`{short(field.text)}` is cloned without encryption: anybody on the way can change it",
                            "write https://",
                        )


def _is_local(url: str) -> bool:
    return re.match(r"\w+://(localhost|127\.|\[::1\])", url) is not None


def _unchecked(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for script in stage.scripts("post", "appinstall"):
            told = {one.field for one in _run_unseen(script)}  # of these, another rule says more
            found = [
                one
                for one in downloads(script.calls)
                if not re.search(r"(?i)\.(gpg|asc|key|pub|list|repo)$|GPG-KEY", one.url) and one.field not in told
            ]
            if found and not _CHECKS.search(script.text):
                yield found[0].call.hit(
                    "nothing checks that a download is the file that was meant"
                    + (f" ({len(found)} downloads in this section)" if len(found) > 1 else ""),
                    "behind the download: echo 'SHA256  FILE' | sha256sum -c",
                )


def _tls_off(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("pre", "setup", "post", "appinstall"):
        for call in script.calls:
            off = ""
            if call.name == "wget" and call.has("--no-check-certificate"):
                off = "--no-check-certificate"
            elif call.name == "curl" and call.has("-k", "--insecure"):
                off = "-k"
            elif call.name == "git" and any(
                re.match(r"(?i)(http\.)?sslverify(=(false|0))?$", text) for text in call.texts
            ):
                text = " ".join(call.texts).lower()
                off = "http.sslVerify" if re.search(r"sslverify(=|\s+)\"?(false|0)", text) else ""
            elif "--trusted-host" in " ".join(call.texts) and action(call) is not None:
                off = "--trusted-host"
            elif call.name in ("conda", "mamba") and re.search(
                r"ssl_verify\s+(false|no)", " ".join(call.texts).lower()
            ):
                off = "ssl_verify"
            elif call.name == "npm" and re.search(r"strict-ssl[= ]false", " ".join(call.texts)):
                off = "strict-ssl"
            elif call.name in ("apt-get", "apt") and re.search(
                r"(?i)verify-(peer|host)=(false|0|no)\b", " ".join(call.texts)
            ):
                off = "Verify-Peer"
            elif call.name in ("git", "ssh", "scp", "rsync", "sftp") and re.search(
                r"(?i)StrictHostKeyChecking[= ]\"?no\b",
                " ".join((*call.texts, call.variable("GIT_SSH_COMMAND") or "")),
            ):
                off = "StrictHostKeyChecking=no"
            if off:
                yield call.hit(
                    f"`{off}` switches the check of who answers off: anybody on the way can give another file"
                    if off.startswith("Strict")
                    else f"`{off}` switches the check of certificates off: anybody on the way can give another file",
                    "write the server's key to known_hosts, from where it publishes it"
                    if off.startswith("Strict")
                    else "install `ca-certificates`, or fetch the server's own certificate, and leave the check on",
                )
        for run in script.runs:
            said = [(one.name, one.value.literal if one.value else "") for one in run.command.assignments]
            if run.name == "export":
                said += [(name, value) for name, _, value in (one.text.partition("=") for one in run.fields[1:])]
            for name, value in said:
                if (name == "GIT_SSL_NO_VERIFY" and value) or (name in _CHECKING_VARIABLES and value == "0"):
                    yield script.hit(
                        run.start,
                        run.end,
                        f"`{name}` switches the check of certificates off",
                        "install `ca-certificates`, and leave the check on",
                    )


def _unsigned(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call in script.calls:
            one = action(call)
            installs = one is not None and one.tool in ("apt", "yum", "zypper", "apk")
            flag = next((text for text in call.texts if installs and text in _UNCHECKED_FLAGS), "")
            if flag:
                yield call.hit(
                    f"`{flag}` installs packages that nobody signed",
                    "import the repository's key, and leave the check on",
                )
            elif call.name in ("echo", "printf") and re.search(
                r"\bdeb(-src)?\s+\[[^\]]*trusted=yes", " ".join(call.texts)
            ):
                yield call.hit(
                    "`trusted=yes` takes packages that nobody signed",
                    "put the repository's key in /etc/apt/keyrings, and write: [signed-by=/etc/apt/keyrings/NAME.gpg]",
                )


def _apt_key(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call in script.calls:
            if call.name == "apt-key" and call.texts[:1] not in (("list",), ("del",)):
                yield call.hit(
                    "`apt-key` is gone from current Debian and Ubuntu; its keys vouch for every repository",
                    "write the key to /etc/apt/keyrings/NAME.gpg, and in the source: "
                    "[signed-by=/etc/apt/keyrings/NAME.gpg]",
                )


def _secrets(recipe: Recipe) -> Iterator[Hit]:
    for found in _SECRET.finditer(recipe.text):
        if (found["password"] or "").lower() in ("password", "pass", "token", "xxx", "xxxx", "secret", "<password>"):
            continue
        yield Hit(
            start=found.start(),
            end=found.end(),
            message="this looks like a password or a token: the definition file is a part of every image that it makes",
            hints=("revoke it, and bring secrets when the image runs, as a variable or a file",),
        )


def _secret_files(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for copy in stage.host_copies:
            if _SECRET_FILES.search(copy.source) and not copy.source.endswith((".pub", "known_hosts", "config")):
                yield recipe.hit_at(
                    copy.span,
                    f"`{copy.source}` is a secret: everybody who has the image has it",
                    "bring it when the image runs: --bind, or a variable",
                )


def _keys_made(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts("post", "appinstall"):
        if re.search(r"\brm\s[^\n]*(\.ssh|ssh_host|id_|\.pem|\.key)", script.text):
            continue
        for call in script.calls:
            of_ssh = call.name == "ssh-keygen" and not call.has("-R", "-F", "-l", "-y", "-H")
            of_tls = call.name == "openssl" and (
                call.texts[:1] in (("genrsa",), ("genpkey",)) or "-newkey" in call.texts
            )
            if of_ssh or of_tls:
                yield call.hit(
                    "the private key that this makes is in the image: everybody who has the image has it",
                    "make keys where the image runs, in the user's own home",
                )


def _world_writable(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call in script.calls:
            if call.name != "chmod":
                continue
            modes = [
                one.text
                for one in call.operands()
                if re.fullmatch(r"0?[0-7]{3,4}|[ugoa]*[+=][rwxXst]+(,[ugoa]*[+=][rwxXst]+)*", one.text)
            ]
            mode = modes[0] if modes else ""
            if re.fullmatch(r"0?0?[0-7]?[0-7]{2}[2367]", mode) or re.search(
                r"(^|,)([ug]*[oa][ugoa]*)[+=][rxXst]*w", mode
            ):
                paths = [one.text.rstrip("/") for one in call.operands()[1:]]
                if mode.startswith("1") or all(path in _EVERYBODYS for path in paths):
                    continue
                yield call.hit(
                    f"mode `{mode}` lets everybody change these files where the image is a folder or runs with an "
                    "overlay",
                    "what must be read: chmod -R a+rX; what must be written belongs outside the image",
                )


def _setup(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("setup"):
        yield script.hit_heading(
            "`%setup` runs on the host, as the one who builds: it can change anything there",
            "copy with `%files`, and make folders in `%post`",
        )


def _setup_writes_host(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("setup"):
        moved = False
        for call in script.calls:
            moved |= call.name in ("cd", "pushd")
            if call.name not in (
                "mkdir",
                "cp",
                "mv",
                "rm",
                "ln",
                "touch",
                "chmod",
                "chown",
                "tee",
                "install",
                "apt-get",
                "apt",
                "yum",
                "dnf",
            ):
                continue
            operands = call.operands()
            if call.name in ("cp", "mv", "ln", "install"):
                operands = operands[-1:]
            if call.name in ("apt-get", "apt", "yum", "dnf"):
                yield call.hit(
                    "this installs packages on the host, not in the image", "move it to `%post`", level="error"
                )
                continue
            wrong = [one for one in operands if re.match(r"/(?!tmp|dev)\w", one.text)]
            if not wrong and not moved and call.name in ("mkdir", "touch", "tee"):
                beside = [one for one in operands if re.match(r"(\./)?\w", one.text) and UNKNOWN not in one.text]
                if beside:
                    yield call.hit(
                        f"`{short(beside[0].text)}` is made on the host, in the folder in which one builds",
                        f"write: ${{APPTAINER_ROOTFS}}/{short(beside[0].text)}, or move the line to `%post`",
                        level="warning",
                    )
            if wrong and UNKNOWN not in wrong[0].text[:1]:
                yield call.hit(
                    f"`{short(wrong[0].text)}` is a path of the host here, not of the image",
                    f"write: ${{APPTAINER_ROOTFS}}{wrong[0].text}, or move the line to `%post`",
                )


_OPEN_SERVER = re.compile(
    r"(?:NotebookApp|ServerApp|IdentityProvider)\.(?:token|password)=(?:[\"']{2})?$"
    r"|--disable-authentication\b|--auth[= ]none\b"
    r"|--auth-none=1\b|-SecurityTypes[= ]None\b"
)


def _open_server(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.image_scripts(*RUN_SCRIPTS):
        for call in script.calls:
            words = [*call.texts, *map(" ".join, pairwise(call.texts))]
            found = next((text for text in words if _OPEN_SERVER.search(text)), "")
            if found:
                yield call.hit(
                    f"`{short(found)}` lets everybody on the machine in: what they type runs under the user's name",
                    "leave it out: the server then prints an address with a token",
                )


RULES = (
    Rule(
        id="open-server",
        family="security",
        level="warning",
        title="A server is started without a password",
        reason="Compute and login nodes are shared: everybody there reaches every port. Whoever opens a notebook or a "
        "desktop without a password runs commands as the user who started it, with all their files.",
        remedy="Leave the token on, or make a password for each start.",
        bad=file(UBUNTU, startscript='exec jupyter lab --no-browser --ServerApp.token= "$@"'),
        good=file(UBUNTU, startscript='exec jupyter lab --no-browser "$@"'),
        look=_open_server,
    ),
    Rule(
        id="secret-in-file",
        family="security",
        level="error",
        title="A password or a token stands in the file",
        reason="The definition file is kept in every image that it makes: `sealift inspect --deffile` shows it to "
        "whoever has the image.",
        remedy="Revoke it now: it is known. Bring secrets when the image runs, as a variable or a bound file. To "
        "fetch private things for a build, fetch them on the host and copy them with `%files`.",
        bad=post("git clone --branch v1.0 https://me:hunter2hunter2@example.org/private.git /opt/private"),
        good=file(UBUNTU, files="private /opt/private"),
        look=_secrets,
    ),
    Rule(
        id="key-made-in-image",
        family="security",
        level="warning",
        title="A private key is made in the image",
        reason="A key that `%post` makes is in every copy of the image: whoever has the image can pose as its servers, "
        "or log in wherever the key is known.",
        remedy="Make keys where the image runs, outside of it: in the user's home, or in `$TMPDIR` for one job.",
        bad=post("ssh-keygen -t ed25519 -N '' -f /etc/ssh/key"),
        good=file(UBUNTU, startscript='ssh-keygen -q -N "" -f "$TMPDIR/key"\nexec sshd -D -h "$TMPDIR/key" "$@"'),
        look=_keys_made,
    ),
    Rule(
        id="secret-copied",
        family="security",
        level="error",
        title="`%files` copies a secret",
        reason="Keys and passwords in an image are everybody's who can read the image, and images are shared.",
        remedy="Fetch private things on the host, and copy the things. Bind a key when the image runs: `--bind "
        "~/.ssh/id_ed25519`.",
        bad=file(UBUNTU, files="keys/id_rsa /opt/key"),
        good=file(UBUNTU, files="data/table.csv /opt/table.csv"),
        look=_secret_files,
    ),
    Rule(
        id="download-to-shell",
        family="security",
        level="warning",
        title="A download is run without looking at it",
        reason="The script is whatever the server, or somebody who took it over, gives that day; a broken "
        "connection runs the first half of it. It runs as root, and the image holds what it did.",
        remedy="Download it to a file, check its sum, then run it. Many installers can be told a version.",
        bad=post("curl -LsSf https://astral.sh/uv/0.5.4/install.sh | sh"),
        good=post(
            """
            curl -LsSf -o /tmp/install.sh https://astral.sh/uv/0.5.4/install.sh
            echo "SHA256  /tmp/install.sh" | sha256sum -c
            sh /tmp/install.sh
            """
        ),
        look=_pipe_to_shell,
    ),
    Rule(
        id="tls-check-off",
        family="security",
        level="warning",
        title="The check of certificates is switched off",
        reason="Without it, encryption says nothing about who answers: anybody on the way can give another file.",
        remedy="Mostly `ca-certificates` is missing: install it. For a server with a certificate of its own, bring "
        "that with `%files` and name it.",
        bad=post(
            "wget --no-check-certificate https://example.org/a.tar.gz -O /tmp/a.tar.gz\n"
            "echo SHA256 /tmp/a.tar.gz | sha256sum -c"
        ),
        good=post("wget https://example.org/a.tar.gz -O /tmp/a.tar.gz\necho SHA256 /tmp/a.tar.gz | sha256sum -c"),
        look=_tls_off,
    ),
    Rule(
        id="plain-http",
        family="security",
        level="warning",
        title="A download comes over plain HTTP or FTP, and nothing checks it",
        reason="Anybody on the way, a proxy or a hotel's network, can give another file, and the build takes it.",
        remedy="Write `https://`. Where the server has none, check the sum of what came.",
        bad=post("wget http://example.org/a.tar.gz -O /tmp/a.tar.gz"),
        good=post("wget https://example.org/a.tar.gz -O /tmp/a.tar.gz"),
        look=_plain_http,
    ),
    Rule(
        id="unsigned-packages",
        family="security",
        level="warning",
        title="Packages are installed without a check of their signature",
        reason="Signatures are what protects packages on their way: mirrors speak plain HTTP.",
        remedy="Import the repository's key first, then install without the flag.",
        bad=post("yum install -y --nogpgcheck foo-1.2\nyum clean all", "Bootstrap: docker\nFrom: rockylinux:9.3\n"),
        good=post(
            "rpm --import https://example.org/RPM-GPG-KEY\nyum install -y foo-1.2\nyum clean all",
            "Bootstrap: docker\nFrom: rockylinux:9.3\n",
        ),
        look=_unsigned,
    ),
    Rule(
        id="apt-key",
        family="security",
        level="warning",
        title="`apt-key` is used",
        reason="Debian 13 and current Ubuntu no longer have it. And a key that it adds vouches for packages of "
        "every repository, Debian's own too.",
        remedy="Write the key to /etc/apt/keyrings, and name it in the line of the source with `signed-by`.",
        bad=post("curl -fsSL https://example.org/key.gpg -o /tmp/key.gpg\napt-key add /tmp/key.gpg"),
        good=post(
            """
            curl -fsSL https://example.org/key.gpg -o /etc/apt/keyrings/example.gpg
            echo "deb [signed-by=/etc/apt/keyrings/example.gpg] https://example.org stable main" \\
                > /etc/apt/sources.list.d/example.list
            """
        ),
        look=_apt_key,
    ),
    Rule(
        id="setup-writes-host",
        family="security",
        level="error",
        title="`%setup` changes the host",
        reason="`%setup` runs on the host, outside the image. A path without `$APPTAINER_ROOTFS` before it is the "
        "host's, and who builds as root overwrites it.",
        remedy="Move the line to `%post`, where paths are the image's; copy with `%files`.",
        bad=file(UBUNTU, setup="mkdir -p /opt/data"),
        good=file(UBUNTU, post="mkdir -p /opt/data"),
        look=_setup_writes_host,
    ),
    Rule(
        id="setup-used",
        family="security",
        level="note",
        title="`%setup` runs on the host",
        reason="It runs as the one who builds, with all rights of theirs, so people will not build a file of "
        "others that has it; services that build refuse it; and what it finds differs from host to host.",
        remedy="`%files` copies, `%post` makes folders: almost always these are enough.",
        bad=file(UBUNTU, setup='cp run.sh "${APPTAINER_ROOTFS}/opt/run.sh"'),
        good=file(UBUNTU, files="run.sh /opt/run.sh"),
        look=_setup,
    ),
    Rule(
        id="download-unchecked",
        family="security",
        level="note",
        title="Nothing checks a download",
        reason="A server may give another file under the same address: after a new release, a break-in, or an "
        "error page. Only a sum says that it is the file that was meant.",
        remedy="Write the sum of the file that you looked at behind the download.",
        bad=post("wget https://example.org/a-1.0.tar.gz -O /tmp/a.tar.gz"),
        good=post("wget https://example.org/a-1.0.tar.gz -O /tmp/a.tar.gz\necho SHA256 /tmp/a.tar.gz | sha256sum -c"),
        look=_unchecked,
    ),
    Rule(
        id="world-writable",
        family="security",
        level="note",
        title="Files are made writable for everybody",
        reason="In a SIF nothing can be written anyway, so the mode does not help; in a sandbox directory or an "
        "overlay that people share, everybody can change the programs of the others.",
        remedy="`chmod -R a+rX` lets everybody read and enter. What a program writes belongs outside the image: "
        "bind a folder.",
        bad=post("chmod -R 777 /opt/app"),
        good=post("chmod -R a+rX /opt/app"),
        look=_world_writable,
    ),
)
