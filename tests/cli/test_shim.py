"""Writing, recognising and removing the commands, and what they do with words that Sealift has not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.flows.shim import NAMES, command_text, install

REAL = '#!/bin/sh\necho real "$0" "$@"\n'


def run(*words: str | Path, path: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in words],
        env={"PATH": path, "HOME": str(home), **env},
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture
def sealift(tmp_path):
    """`sealift("shim", "install")` with nothing on PATH but `bin` of the test."""
    (tmp_path / "bin").mkdir()

    def call(*words: str | Path, path: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        search = path or f"{tmp_path}/bin"
        return run(sys.executable, "-m", "sealift", *words, path=search, home=tmp_path / "home", **env)

    return call


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    """A folder with the commands, alone on PATH."""
    folder: Path = tmp_path_factory.mktemp("ours")
    install(str(folder), {"PATH": str(folder)})
    return folder


def program(path: Path, text: str = REAL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_installing_twice_listing_and_removing(sealift, tmp_path):
    bin_folder = tmp_path / "bin"
    for _ in range(2):
        done = sealift("shim", "install", bin_folder)
        assert (done.returncode, done.stdout.split()) == (0, [f"{bin_folder}/{name}" for name in NAMES])
        assert done.stderr == "try it: apptainer --version\n"
    assert sorted(os.listdir(bin_folder)) == sorted(NAMES)
    assert all((bin_folder / name).stat().st_mode & 0o111 == 0o111 for name in NAMES)
    assert sealift("shim", "list").stdout == "".join(f"{bin_folder}/{name}  works\n" for name in NAMES)
    assert sealift("shim", "remove").stdout.split() == [f"{bin_folder}/{name}" for name in NAMES]
    assert os.listdir(bin_folder) == []
    again = sealift("shim", "remove")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "there was nothing of Sealift's to remove\n")


@pytest.mark.parametrize(
    ("shell", "line", "file"),
    [
        ("/bin/bash", 'export PATH="$HOME/.local/bin:$PATH"', "~/.bashrc"),
        ("/usr/bin/zsh", 'export PATH="$HOME/.local/bin:$PATH"', "~/.zshrc"),
        ("/usr/bin/fish", "fish_add_path $HOME/.local/bin", "~/.config/fish/config.fish"),
        ("/bin/tcsh", "setenv PATH $HOME/.local/bin:$PATH", "~/.cshrc"),
    ],
)
def test_a_folder_off_the_path_is_told_with_the_line_to_add(sealift, tmp_path, shell, line, file):
    done = sealift("shim", "install", SHELL=shell)
    folder = tmp_path / "home/.local/bin"
    assert done.stdout.split() == [f"{folder}/{name}" for name in NAMES]
    assert done.stderr == f"`{folder}` is not on your PATH; add this line to {file}, and type it now:\n  {line}\n"
    assert sealift("shim", "list").stdout == "".join(f"{folder}/{name}  works, not on PATH\n" for name in NAMES)
    assert len(sealift("shim", "remove").stdout.split()) == len(NAMES)


@pytest.mark.parametrize("name", NAMES[:2])
def test_nothing_is_written_where_a_real_one_is_installed(sealift, tmp_path, name):
    real = program(tmp_path / "site" / name)
    done = sealift("shim", "install", tmp_path / "new", path=f"{tmp_path}/bin:{tmp_path}/site")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.startswith(f"error: `{real}` is installed, and Sealift never stands in front of a real one\n")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["file", "link", "dangling link"])
def test_what_is_not_ours_stays(sealift, tmp_path, name, kind):
    foreign = tmp_path / "bin" / name
    if kind == "file":
        foreign.write_text("echo mine\n")
    else:
        foreign.symlink_to(tmp_path / ("none" if kind == "dangling link" else "there"))
        (tmp_path / "there").write_text("echo mine\n")
    done = sealift("shim", "install", tmp_path / "bin")
    assert done.returncode == 2
    assert f"`{foreign}` is not Sealift's, and stays as it is" in done.stderr
    assert os.listdir(tmp_path / "bin") == [name]
    removed = sealift("shim", "remove", tmp_path / "bin")
    assert (removed.returncode, removed.stdout) == (0, "")
    assert f"warning: `{foreign}` is not Sealift's, and stays" in removed.stderr
    assert foreign.is_symlink() or foreign.read_text() == "echo mine\n"


@pytest.mark.needs("plain-user")
def test_a_folder_that_cannot_be_written_is_told(as_user, tmp_path):
    folder = as_user.base / "closed"
    folder.mkdir(mode=0o755)
    done = as_user(["sealift", "shim", "install", folder], user="plain", env={"PATH": f"{as_user.bin}:/none"})
    assert done.returncode == 6
    assert b"no permission" in done.stderr
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("called", "real"),
    [
        ("apptainer", "apptainer"),
        ("apptainer", "singularity"),
        ("singularity", "apptainer"),
        ("run-singularity", "apptainer"),
    ],
)
def test_a_real_one_that_comes_later_is_called_with_every_word(ours, tmp_path, called, real):
    later = program(tmp_path / "site" / real)
    done = run(ours / called, "exec", "--nv", "x.sif", "a b", path=f"{ours}:{tmp_path}/site", home=tmp_path)
    words = "--quiet run exec --nv x.sif a b" if called == "run-singularity" else "exec --nv x.sif a b"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"real {later} {words}\n", "")


def test_two_folders_of_ours_do_not_call_each_other(sealift, tmp_path):
    sealift("shim", "install", tmp_path / "bin")
    sealift("shim", "install", tmp_path / "other")
    path = f"{tmp_path}/bin:{tmp_path}/other"
    done = run(tmp_path / "bin/apptainer", "exec", "none.sif", "true", path=path, home=tmp_path)
    assert done.returncode == 255
    assert "there is no image `none.sif`" in done.stderr
    ours = sealift("exec", "none.sif", "true", path=path)
    assert "there is no image `none.sif`" in ours.stderr


@pytest.mark.parametrize("python", ["/opt/a long way/bin/python", "/opt/" + "deep/" * 40 + "python"])
def test_an_interpreter_that_a_first_line_cannot_hold(python, tmp_path, monkeypatch):
    place = tmp_path / python.lstrip("/")
    place.parent.mkdir(parents=True)
    place.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(place))
    command = program(tmp_path / "singularity", command_text("singularity", str(tmp_path)))
    done = run(command, "--version", path="", home=tmp_path)
    assert done.stdout.startswith("apptainer version 1."), done.stderr


def test_a_python_of_the_users_does_not_disturb(ours, tmp_path):
    (tmp_path / "os.py").write_text("raise SystemExit('a file called os.py')\n")
    (tmp_path / "sealift.py").write_text("raise SystemExit('a file called sealift.py')\n")
    env = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/none", "PYTHONSTARTUP": str(tmp_path / "os.py")}
    done = subprocess.run(
        [ours / "singularity", "exec", "none.sif", "true"],
        cwd=tmp_path,
        env={"PATH": str(ours), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 255
    assert done.stderr.startswith("error: there is no image `none.sif`")


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("instance start x.sif i", "is not to be had here: Sealift has no instances", "run IMAGE &"),
        ("sif add x y", "`singularity sif add` is not to be had here", "build NEW.sif"),
        ("overlay create o", "`singularity overlay` is not to be had here: an overlay is a folder", "mkdir changes"),
        ("biuld x y", "`singularity` has no verb `biuld`", "did you mean `singularity build`?"),
        ("cache", "`singularity cache` wants one of: cache list, cache clean", "singularity cache list"),
        ("build --encrypt x y", "`singularity build` does not take `--encrypt` here", ""),
        ("build --remote x y", "does not take `--remote` here: Sealift builds here, without root", ""),
        ("pull --docker-login docker://x", "`singularity pull` does not take `--docker-login` here", "podman login"),
        ("cache clean -D 30", "`singularity cache clean` does not take `--days` here", "--max-size"),
        ("cache clean -T oci", "Sealift's cache has no kinds that can be cleaned alone", "sealift cache clean"),
        ("build --mksquashfs-args=-noI x y", "`-noI` of `--mksquashfs-args` means nothing here", "-comp zstd"),
        ("-c f exec x.sif true", "`singularity` does not take `--config` here", ""),
        ("exec --nvv x.sif true", "`singularity exec` has no flag `--nvv`", "did you mean `--nv`?"),
    ],
)  # fmt: skip
def test_what_is_refused_is_refused_by_name(ours, tmp_path, line, message, hint):
    done = run(ours / "singularity", *line.split(), path=str(ours), home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert hint in done.stderr


def test_what_cannot_be_pushed_ends_as_apptainers_own_faults_do(ours, tmp_path):
    done = run(ours / "singularity", "push", "x.sif", "library://u/c/n", path=str(ours), home=tmp_path)
    assert (done.returncode, done.stdout) == (255, "")
    assert "`library://u/c/n`: nothing can be pushed to `library:`" in done.stderr
    assert "docker://HOST" in done.stderr


def test_help_and_version(ours, tmp_path):
    def ask(*words: str) -> str:
        done = run(ours / "apptainer", *words, path=str(ours), home=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert ask("--version") == f"apptainer version {ask('version')}" == ask("-q", "--version")
    assert "verbs: build, cache clean" in ask("--help")
    assert ask("help") == ask("--help")
    assert ask("exec", "--help").startswith("usage: apptainer exec [FLAG …] IMAGE CMD …")
    assert ask("help", "exec") == ask("exec", "--help")
    assert "IMAGE SPEC" in ask("build", "--help")
