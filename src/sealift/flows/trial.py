r"""Tries an image on this host: does it start, do its programs find their libraries, do PyTorch and JAX see GPUs?

One start of the image, in which a script says what it sees, a line for each thing:

    STARTED                  the image's shell runs
    MISSING\tFILE\tLIBRARY   what `ldd` does not find for a file
    GPU\tNAME                a line of `nvidia-smi -L`
    MODULE\tNAME\tTEXT       a Python package and what it says of itself, or the last line of its complaint behind `!`
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping

from sealift.core.architecture import find_architecture
from sealift.core.finding import Finding
from sealift.engines.choose import choose
from sealift.engines.driver import find_driver
from sealift.errors import SealiftError
from sealift.evidence.imagefacts import ImageFacts

SECONDS = 300
"""Importing a large framework from a cold file system takes its time."""
_MODULES = {
    "torch": "import torch; print(torch.__version__, 'CUDA', torch.version.cuda, 'GPUs', torch.cuda.device_count())",
    "jax": "import jax; print(jax.__version__, ' '.join(str(one) for one in jax.devices()))",
}
_FILES_LIMIT = 10
_OF_DRIVER = ("libcuda.so", "libnvidia-", "libnvcuvid.so")


def try_image(facts: ImageFacts, path: str, environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """Findings of one run; a host that cannot run it is a finding, too."""
    return tuple(_try(facts, path, environment))


def _try(facts: ImageFacts, path: str, environment: Mapping[str, str]) -> Iterator[Finding]:
    from sealift.system.process import machine, run

    here = find_architecture(machine())
    if facts.architecture and here is not None and facts.architecture != here.oci:
        yield _not_tried(f"it is for {facts.architecture}, and this host is {here.oci}")
        return
    if not facts.shell:
        yield _not_tried("it has no /bin/sh")
        return
    try:
        engine = choose("auto", env=environment).engine
    except SealiftError as error:
        yield _not_tried(error.message)
        return
    driver = find_driver("nvidia", path=environment.get("PATH", ""), machine=machine())
    flags = ("--nv",) if driver.version and driver.devices else ()
    script = trial_script(facts)
    # Without the working folder among the modules, so that a file there cannot stand in for one of them.
    command = (sys.executable, "-P", "-m", "sealift", "exec", "--cleanenv", *flags, path, "/bin/sh", "-c", script)
    try:
        done = run(command, env=environment, timeout=SECONDS, accept=range(-64, 256))
    except SealiftError as error:
        yield _failed(engine, error.message)
        return
    said = done.out.decode("utf-8", "replace").splitlines()
    if "STARTED" not in said:
        yield _failed(engine, done.err.decode("utf-8", "replace").strip()[-1000:] or f"it ended with {done.code}")
        return
    yield Finding(id="probe.start", severity="ok", what=f"it starts on this host, on: {engine}")
    yield from judge_lines(said, gpu=bool(flags))


def trial_script(facts: ImageFacts) -> str:
    """What runs inside. Every part of it may fail without ending the others."""
    library = facts.mpi.library
    files = [each for use in facts.mpi_uses for each in use.users if each.startswith("/")]
    files += [library.path] if library else []
    files += [owner for owner in facts.gpu.code if owner.startswith("/")]
    lines = ["echo STARTED"]
    for file in files[:_FILES_LIMIT]:
        name = shlex.quote(file)
        lines.append(
            f"ldd {name} 2>/dev/null | while read -r lib arrow not found; do "
            f'[ "$not $found" != "not found" ] || printf "MISSING\\t%s\\t%s\\n" {name} "$lib"; done'
        )
    if facts.gpu.of("cuda"):
        lines.append('nvidia-smi -L 2>/dev/null | while read -r line; do printf "GPU\\t%s\\n" "$line"; done')
    for module, text in _MODULES.items():
        if module in facts.wheels:
            lines.append(
                f"if said=$(python3 -c {shlex.quote(text)} 2>&1); then mark=; else mark=!; fi; "
                f'printf "MODULE\\t{module}\\t%s%s\\n" "$mark" "$(printf %s "$said" | tail -n 1)"'
            )
    return "\n".join([*lines, "exit 0"])


def judge_lines(said: list[str], *, gpu: bool) -> Iterator[Finding]:
    """Findings of what the script said; `gpu` tells that this host's driver was shown inside."""
    missing: dict[str, list[str]] = {}
    for line in said:
        match line.split("\t"):
            case ["MISSING", file, library] if gpu or not library.startswith(_OF_DRIVER):
                missing.setdefault(file, []).append(library)
    for file, libraries in missing.items():
        yield Finding(
            id="probe.libraries",
            severity="error",
            what=f"`{file}` does not find {', '.join(libraries)}",
            evidence="ldd, inside",
            remedy="install what has it in %post, and run ldconfig; or set LD_LIBRARY_PATH in %environment",
        )
    cards = [line.partition("\t")[2] for line in said if line.startswith("GPU\t")]
    if cards:
        yield Finding(
            id="probe.gpu",
            severity="ok",
            what=f"nvidia-smi sees {len(cards)} GPU{'s' if len(cards) > 1 else ''} inside",
            evidence="\n".join(cards),
        )
    for line in said:
        match line.split("\t", 2):
            case ["MODULE", name, text] if text.startswith("!"):
                yield Finding(
                    id="probe.python",
                    severity="error",
                    what=f"Python cannot import {name}",
                    evidence=text[1:],
                    remedy=f"see all of it: sealift exec IMAGE python3 -c 'import {name}'",
                )
            case ["MODULE", name, text]:
                yield Finding(id="probe.python", severity="ok", what=f"Python imports {name}", evidence=text)


def _not_tried(why: str) -> Finding:
    return Finding(id="probe.skipped", severity="note", what=f"the image was not tried on this host: {why}")


def _failed(engine: str, why: str) -> Finding:
    return Finding(
        id="probe.start",
        severity="error",
        what=f"it does not start on this host, on: {engine}",
        evidence=why,
        remedy="see what this host can do: sealift doctor",
    )
