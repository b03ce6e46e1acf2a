"""What commands and functions find in a sandbox, as each kind of user."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.conftest import EVERYONE, MODES, Drive, Who, listing, sh

everyone = pytest.mark.parametrize("who", EVERYONE)


@everyone
def test_a_command_that_changes_nothing_leaves_nothing_in_the_upper_layer(drive: Drive, base: Path, who: Who) -> None:
    """The base has no /proc, /sys, /dev, /etc/hosts: they are there for the command and nowhere else."""
    found = drive(
        who,
        lowers=[base],
        steps=[
            sh("ls -d /proc/self /sys/kernel /dev/null /tmp /var/tmp /etc/hosts /etc/resolv.conf; id -u; pwd"),
            {"do": "call", **listing()},
            {"do": "files", "path": "tmp"},
        ],
    )
    assert found["footing"][0] == MODES[who]
    assert found["steps"][0]["out"].split() == [
        *("/dev/null", "/etc/hosts", "/etc/resolv.conf", "/proc/self", "/sys/kernel", "/tmp", "/var/tmp"),
        *("0", "/"),
    ]
    assert found["steps"][1:] == [{"value": [], "reports": []}, []]


@everyone
def test_only_what_was_done_is_in_the_upper_layer(drive: Drive, base: Path, who: Who) -> None:
    script = """
    echo big > /tmp/download; echo other > /var/tmp/download; echo x > /dev/shm/x; echo 127.0.0.1 x >> /etc/hosts
    echo nameserver 127.0.0.9 > /etc/resolv.conf
    echo hello > /opt/hello; rm /data/other; echo > /dev/null
    """
    found = drive(who, lowers=[base], steps=[sh(script), {"do": "call", **listing()}, {"do": "files", "path": "tmp"}])
    assert found["steps"][0]["code"] == 0
    rows = {row[0]: row[1:] for row in found["steps"][1]["value"]}
    assert sorted(rows) == ["/data", "/data/other", "/opt", "/opt/hello"]
    assert rows["/opt/hello"] == ["0o100664", 0, 0, 0, "hello\n", {}]
    assert rows["/data/other"][0] == "0o20000"
    assert found["steps"][2] == ["download"]
    assert "127.0.0.9" not in Path("/etc/resolv.conf").read_text()


@everyone
def test_devices_work(drive: Drive, base: Path, who: Who) -> None:
    script = """
    echo gone > /dev/null; dd if=/dev/zero bs=4 count=1 2>/dev/null | tr '\\000' z
    dd if=/dev/urandom bs=9 count=1 of=/dev/null
    echo to stderr > /dev/stderr; readlink /dev/fd; ls /dev; ls -d /dev/pts/ptmx
    (echo x > /dev/full) 2>/dev/null || echo full
    """
    found = drive(who, lowers=[base], steps=[sh(script)])
    out = found["steps"][0]["out"]
    assert found["steps"][0]["code"] == 0, out
    for word in ("zzzz", "to stderr", "/proc/self/fd", "full", "ptmx", "random", "shm", "tty", "/dev/pts/ptmx"):
        assert word in out


@everyone
def test_exit_codes_signals_and_lines(drive: Drive, base: Path, who: Who) -> None:
    found = drive(
        who,
        lowers=[base],
        steps=[
            sh("echo one; echo two >&2; printf three; exit 7"),
            sh("kill -TERM $$"),
            {"do": "sh", "argv": ["/bin/missing", "-c", "exit 0"]},
            sh("exit 0", cwd="/nowhere"),
            sh("umask; pwd", umask=0o77, cwd="/opt"),
        ],
    )
    steps = found["steps"]
    assert steps[0]["code"] == 7
    assert sorted(steps[0]["lines"]) == [["err", "two\n"], ["out", "one\n"], ["out", "three"]]
    assert steps[1]["code"] == -15
    assert steps[2]["error"] == "ToolError"
    assert steps[2]["message"] == "`/bin/missing` cannot be run in the image: no such file or directory"
    assert steps[3]["error"] == "HostError"
    assert steps[4]["out"] == "0077\n/opt\n"


@everyone
def test_what_a_command_leaves_running_is_ended(drive: Drive, base: Path, who: Who) -> None:
    """One that holds the output open too, in a session of its own and deaf to hang-ups."""
    found = drive(
        who,
        lowers=[base],
        steps=[
            sh("(trap '' HUP TERM INT; setsid sleep 1000) & sleep 0.1; echo started"),
            sh("for each in /proc/[0-9]*; do cat $each/cmdline | tr '\\000' ' '; done"),
        ],
    )
    assert found["steps"][0]["out"] == "started\n"
    assert "sleep 1000" not in found["steps"][1]["out"]


@everyone
def test_the_environment_is_apptainers(drive: Drive, base: Path, who: Who) -> None:
    host = {
        "FOO": "of the host",
        "http_proxy": "http://proxy:1",
        "NO_PROXY": "here",
        "TERM": "vt100",
        **dict.fromkeys(("SSL_CERT_FILE", "PIP_CERT", "CURL_CA_BUNDLE"), "/etc/passwd"),
        "REQUESTS_CA_BUNDLE": "/nowhere",
    }
    found = drive(
        who,
        lowers=[base],
        environment=host,
        steps=[
            sh("env", env={"ADDED": "1"}),
            sh("cat $SSL_CERT_FILE; cat /etc/hosts"),
            sh("env", inside=False, cwd="/"),
            {"do": "call", **listing()},
            sh("cat $APT_CONFIG $WGETRC"),
        ],
    )
    inside = dict(line.split("=", 1) for line in found["steps"][0]["out"].splitlines())
    private = [name for name in inside if inside[name].startswith("/dev/.sealift/")]
    assert inside["SSL_CERT_FILE"] == inside["PIP_CERT"] == "/dev/.sealift/certificates-0.pem"
    assert "REQUESTS_CA_BUNDLE" not in inside
    bundle = "/dev/.sealift/certificates-0.pem"
    apt = f'Acquire::https::CAInfo "{bundle}";\n'
    apt += 'APT::Sandbox::User "root";\n' if who == "plain" else ""
    assert found["steps"][4]["out"] == f"{apt}ca_certificate = {bundle}\n"
    assert {name: value for name, value in inside.items() if name not in private} == {
        "ADDED": "1",
        "HOME": "/root",
        "LANG": "C",
        "LD_LIBRARY_PATH": "/.singularity.d/libs",
        "NO_PROXY": "here",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PS1": "Apptainer> ",
        "PWD": "/",
        "TERM": "vt100",
        "http_proxy": "http://proxy:1",
    }
    assert found["steps"][1]["out"] == Path("/etc/passwd").read_text() + Path("/etc/hosts").read_text()
    outside = dict(line.split("=", 1) for line in found["steps"][2]["out"].splitlines() if "=" in line)
    assert outside["FOO"] == "of the host"
    assert found["steps"][3]["value"] == []


@everyone
def test_outside_runs_see_the_host_and_the_merged_root(drive: Drive, base: Path, open_folder: Path, who: Who) -> None:
    (open_folder / "of-the-host").write_text("host\n")
    script = (
        f"id -u; cat {open_folder}/of-the-host; cat ROOT/data/owned; mkdir ROOT/tmp/deep; chown 5:6 ROOT/tmp/deep\n"
    )
    script += "ls ROOT/proc; ls -d /proc/$$"
    found = drive(who, lowers=[base], steps=[sh(script, inside=False, cwd="/"), {"do": "call", **listing()}])
    out = found["steps"][0]["out"].splitlines()
    assert out[:3] == ["0", "host", "of 1000:100"], found["steps"][0]
    assert out[3].startswith("/proc/")
    rows = {row[0]: row[1:4] for row in found["steps"][1]["value"]}
    assert rows == {"/tmp": ["0o40755", 0, 0], "/tmp/deep": ["0o40775", 5, 6]}


@everyone
def test_an_empty_root_and_directories_as_layers(drive: Drive, open_folder: Path, base: Path, who: Who) -> None:
    """A directory is a lower layer as it is; later ones hide earlier ones."""
    top = open_folder / "top"
    (top / "data").mkdir(parents=True)
    (top / "data" / "owned").write_text("hidden\n")
    empty = drive(who, steps=[{"do": "call", "function": "driver:seen", "path": ""}, {"do": "call", **listing()}])
    assert empty["steps"][0]["value"] == ["dev", "etc", "proc", "sys", "tmp", "var"]
    assert empty["steps"][1]["value"] == []
    found = drive(who, lowers=[base, {"path": str(top), "kind": "directory"}], steps=[sh("cat /data/owned; ls /data")])
    assert found["steps"][0]["out"] == "hidden\nother\nowned\n"


@everyone
def test_a_bare_root_is_the_upper_folder_itself(drive: Drive, who: Who) -> None:
    script = 'test -z "$(ls -A ROOT)" && mkdir ROOT/etc && echo x > ROOT/etc/x && chown 7:8 ROOT/etc/x'
    found = drive(who, bare=True, steps=[sh(script, inside=False, cwd="/"), {"do": "call", **listing()}])
    assert found["steps"][0]["code"] == 0, found["steps"][0]
    assert [row[:4] for row in found["steps"][1]["value"]] == [
        ["/etc", "0o40775", 0, 0],
        ["/etc/x", "0o100664", 7, 8],
    ]


@everyone
def test_binds_appear_and_leave_no_trace(drive: Drive, base: Path, open_folder: Path, who: Who) -> None:
    secret = open_folder / "secret"
    secret.write_text("hush\n")
    folder = open_folder / "folder"
    folder.mkdir()
    (folder / "f").write_text("in it\n")
    found = drive(
        who,
        lowers=[base],
        binds=[
            {"source": str(secret), "destination": "/run/secrets/token"},
            {"source": str(folder), "destination": "/data"},
        ],
        steps=[
            sh("cat /run/secrets/token /data/f; (echo x > /data/f) 2>/dev/null || echo read-only"),
            {"do": "call", **listing()},
        ],
    )
    assert found["steps"][0]["out"] == "hush\nin it\nread-only\n"
    assert found["steps"][1]["value"] == []


@everyone
def test_functions_are_called_inside(drive: Drive, base: Path, who: Who) -> None:
    call: dict[str, Any] = {"do": "call", "function": "driver:failing"}
    found = drive(
        who,
        lowers=[base],
        steps=[
            {"do": "call", "function": "driver:talkative", "count": 3, "descriptors": [2]},
            *({**call, "kind": kind} for kind in ("image", "tool", "oserror", "value", "exit")),
            sh("echo still here"),
        ],
    )
    steps = found["steps"]
    assert steps[0]["value"]["mode"] == MODES[who]
    assert steps[0]["reports"] == [{"number": number} for number in range(3)]
    assert steps[1] == {"error": "ImageError", "message": "the image is damaged", "hints": ["fetch it again"]}
    assert steps[2]["error"] == "ToolError"
    assert steps[3] == {"error": "FileNotFoundError", "message": "[Errno 2] No such file or directory: '/missing'"}
    assert steps[4]["error"] == "RuntimeError"
    assert "ValueError: an unforeseen thing" in steps[4]["message"]
    assert steps[5]["message"] == "a process of the sandbox was killed"
    assert steps[6]["out"] == "still here\n"


@everyone
def test_links_in_the_place_of_mount_points(drive: Drive, base: Path, open_folder: Path, who: Who) -> None:
    """systemd's images have resolv.conf as a link into /run; some have /var/tmp as a link to /tmp."""
    top = open_folder / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    (top / "var").mkdir()
    (top / "var/tmp").symlink_to("/tmp")
    found = drive(
        who,
        lowers=[base, {"path": str(top), "kind": "directory"}],
        steps=[sh("cat /etc/resolv.conf; echo x > /var/tmp/x; cat /tmp/x"), {"do": "call", **listing()}],
    )
    assert found["steps"][0]["out"] == Path("/etc/resolv.conf").read_text() + "x\n"
    assert found["steps"][1]["value"] == []


@everyone
def test_files_of_pre_and_setup_are_in_the_sections_tmp(drive: Drive, base: Path, open_folder: Path, who: Who) -> None:
    name = f"sealift-hosttmp-{os.getpid()}-{who}"
    found = drive(
        who,
        lowers=[base],
        steps=[
            sh(f"mkdir /tmp/{name}; echo from setup > /tmp/{name}/f; ln -s f /tmp/{name}/l", inside=False, cwd="/"),
            {
                "do": "call",
                "function": "sealift.sandbox.hosttmp:copy_in",
                "paths": [f"/tmp/{name}", f"/tmp/{name}/f", f"/tmp/{name}/l", "/tmp/vanished", "/etc/passwd"],
            },
            sh(f"cat /tmp/{name}/l"),
            sh(f"rm -r /tmp/{name}", inside=False, cwd="/"),
        ],
    )
    assert found["steps"][1]["value"] == 3
    assert found["steps"][2]["out"] == "from setup\n"
    assert not os.path.exists(f"/tmp/{name}")


@pytest.mark.needs("root", "mksquashfs", "squashfuse")
def test_images_lie_at_an_offset(drive: Drive, base: Path, open_folder: Path) -> None:
    image = open_folder / "shifted"
    image.write_bytes(bytes(32768) + base.read_bytes())
    for without in ("", "root", "squashfuse,root"):
        found = drive(
            "root",
            lowers=[{"path": str(image), "offset": 32768}],
            environment={"SEALIFT_WITHOUT": without},
            steps=[sh("cat /data/owned")],
        )
        assert found["steps"][0]["out"] == "of 1000:100\n", without


@everyone
def test_a_damaged_image_is_refused(drive: Drive, open_folder: Path, who: Who) -> None:
    image = open_folder / "damaged"
    image.write_bytes(b"no squashfs" * 1000)
    found = drive(who, lowers=[image], steps=[])
    assert found["error"][0] == "HostError"
    assert found["error"][1].startswith(f"`{image}` could not be mounted: ")
    assert not os.path.exists(os.path.dirname(found["work"]))
    assert json.dumps(found).count("sealift doctor") == 1
