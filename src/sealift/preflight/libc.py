"""The C library, the loader's cache and the shell: what comes in from the host has to find them."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.core.finding import Finding, Severity
from sealift.core.mpi import Wireup, version_numbers
from sealift.evidence.imagefacts import locale_key
from sealift.preflight import mpi
from sealift.preflight.question import Question, lines

_NEWER = "begin with a newer base, such as ubuntu:24.04 (glibc 2.39)"


def old(question: Question) -> Iterator[Finding]:
    """Libraries that are brought in need a glibc of their own age or newer."""
    image, site = question.image, question.site
    fact = site.fact("libc.minimum")
    if fact is None or not image.mpi.glibc or version_numbers(image.mpi.glibc) >= version_numbers(fact.shown):
        return
    what = ""
    severity: Severity = "note"
    if mpi.exchanged(question):
        host = site.text("mpi.host", "the host's MPI")
        what = f"{host} of {site.name}, which takes the place of the image's MPI,"
        severity = "warning" if fact.doubtful else "error"
    elif mpi.joins_gpus(question) and site.texts(f"engines.{question.engine.name}.nccl_flags"):
        flags = " ".join(site.texts(f"engines.{question.engine.name}.nccl_flags"))
        what = f"what {question.engine.name} brings in with {flags}, for NCCL over several nodes,"
    if not what:
        return
    can = "can fail" if fact.doubtful else "fails"
    yield Finding(
        id="libc.old",
        severity=severity,
        what=f"the image has glibc {image.mpi.glibc}, and {what} needs {fact.shown}: it {can} with "
        f"`version GLIBC_{fact.shown} not found`",
        evidence=lines(f"the image's libc.so.6 defines GLIBC_{image.mpi.glibc}", *question.says("libc.minimum")),
        remedy=_NEWER,
    )


def musl(question: Question) -> Iterator[Finding]:
    """What a host brings in was built for glibc, and engines' hooks run glibc's ldconfig."""
    image, engine = question.image, question.engine
    if image.mpi.libc != "musl" or _mpi_refused(question):
        return
    gpu = question.site.text("gpu.vendor") in ("nvidia", "amd", "intel")
    if not gpu and engine.ldconfig != "always":
        return
    always = engine.ldconfig == "always"
    hook = f"{engine.name}'s hook runs glibc's ldconfig in the image" if engine.ldconfig else ""
    yield Finding(
        id="libc.musl",
        severity="error" if always else "warning",
        what="the image's C library is musl: "
        + (f"{engine.name} does not start it" if always else "no GPU and no MPI of the host can be used in it"),
        evidence=lines(
            "the driver's libraries were built for glibc" if gpu else "",
            hook,
            *question.says(f"engines.{engine.name}.ldconfig", "gpu.vendor"),
        ),
        remedy="begin with an image of Ubuntu, Debian, Rocky Linux or openSUSE",
    )


def _mpi_refused(question: Question) -> bool:
    found = mpi.plan(question)
    return found is not None and not isinstance(found, Wireup)


def ldconfig(question: Question) -> Iterator[Finding]:
    """Hooks that bring libraries in run the image's own ldconfig; without it nothing finds them."""
    image, engine = question.image, question.engine
    if image.ldconfig or image.mpi.libc == "musl" or not engine.ldconfig:
        return
    brings = bool(image.gpu.of("cuda")) or image.mpi.family != "none"
    if engine.ldconfig != "always" and not brings:
        return
    yield Finding(
        id="libc.ldconfig",
        severity="error" if engine.ldconfig == "always" else "warning",
        what=f"the image has no ldconfig, which {engine.name} runs so that programs find what it brings in",
        evidence=lines(
            "neither /sbin/ldconfig nor /usr/sbin/ldconfig", *question.says(f"engines.{engine.name}.ldconfig")
        ),
        remedy="begin with a base that has it (ubuntu, debian, rockylinux), not with a distroless one",
    )


def shell(question: Question) -> Iterator[Finding]:
    """The runscript, %environment and every job script want /bin/sh inside."""
    if question.image.shell or not question.image.scripts:
        return
    yield Finding(
        id="shell.missing",
        severity="warning",
        what="the image has a runscript, and no /bin/sh to run it: only `exec` of its programs works",
        evidence=", ".join(path for path in question.image.scripts if path.startswith("/.singularity.d/")),
        remedy="install a shell, such as busybox or dash",
    )


def locale(question: Question) -> Iterator[Finding]:
    """A locale that the environment names has to be installed."""
    known = question.image.locales
    if known is None:
        return
    for variable in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = question.image.environment.get(variable, "")
        if value and locale_key(value) not in known:
            yield Finding(
                id="locale.missing",
                severity="warning",
                what=f"{variable} is `{value}`, which the image has not: programs fall back to ASCII, and complain",
                evidence="/usr/lib/locale has no such locale",
                remedy=f"in %environment: export {variable}={'C.UTF-8' if 'C.utf8' in known else 'C'}"
                + _installing(value),
            )
            return


def _installing(value: str) -> str:
    language = value.partition(".")[0]
    if language in ("C", "POSIX"):
        return ""
    return f"   (or install it in %post, after apt-get install locales: localedef -i {language} -f UTF-8 {value})"
