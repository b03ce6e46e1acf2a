"""Root folders made of the host's own programs and their libraries, packed as images."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from sealift.core.architecture import Architecture, find_architecture
from sealift.sif.layout import DataType, SifObject
from sealift.sif.writer import plan_sif, write_sif

PROGRAMS = (
    *("bash", "sh", "env", "id", "ls", "cat", "stat", "sleep", "touch", "rm", "mkdir", "head", "grep", "sort"),
    *("true", "ps", "df", "readlink", "ln", "tty", "dd", "wc"),
)

ENVIRONMENT = {
    "01-base.sh": "#!/bin/sh\n# nothing\n",
    "10-docker2singularity.sh": """#!/bin/sh
export PATH="/opt/tool/bin:/usr/bin:/bin"
export FROM_OCI="${FROM_OCI:-"the image's"}"
""",
    "90-environment.sh": """#!/bin/sh
# Custom environment shell code should follow

export FROM_IMAGE="a b"
export EMPTIED=
unset UNSET_BY_IMAGE
NOT_EXPORTED=here
if [[ -n "$FROM_IMAGE" ]]; then source /opt/tool/more.sh; fi
""",
    "95-apps.sh": """#!/bin/sh
if test -n "${SINGULARITY_APPNAME:-}"; then
    if test -d "/scif/apps/${SINGULARITY_APPNAME}"; then
        SCIF_APPROOT="/scif/apps/${SINGULARITY_APPNAME}"
        PATH="$SCIF_APPROOT/bin:$PATH"
        export SCIF_APPROOT PATH SINGULARITY_APPNAME
    else
        echo "Could not locate the container application: ${SINGULARITY_APPNAME}"
        exit 1
    fi
fi
""",
    "99-base.sh": """#!/bin/sh
if [ -z "${LD_LIBRARY_PATH:-}" ]; then
    LD_LIBRARY_PATH="/.singularity.d/libs"
else
    LD_LIBRARY_PATH="$LD_LIBRARY_PATH:/.singularity.d/libs"
fi
if [ -z "${PS1:-}" ]; then
    PS1="Apptainer> "
fi
export LD_LIBRARY_PATH PS1
""",
}

OWN_SCRIPTS = Path(__file__).parents[2] / "src/sealift/data/singularity.d/env"
PLAIN_ENVIRONMENT = """#!/bin/sh
# Custom environment shell code should follow

    export FROM_IMAGE='a b' EMPTIED=
    export FROM_MORE="${NONE:-$FROM_OCI} $HOME ${APPTAINER_NAME}"   # a comment
    unset UNSET_BY_IMAGE; NOT_EXPORTED=here
    if [ -d /opt/tool ] && [ -z "$FROM_HOST" ]; then
        PATH=/opt/tool/sbin:$PATH
    else
        for each in a b; do echo $each; done
    fi
"""

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false",
    "etc/group": "root:x:0:\nstaff:x:50:\n",
    "etc/os-release": "ID=tree\n",
    "opt/tool/more.sh": "export FROM_MORE=$'with\\ttab'\nfollowed() { :; }\n",
    **{f".singularity.d/env/{name}": text for name, text in ENVIRONMENT.items()},
}
SCRIPTS = {
    ".singularity.d/runscript": '#!/bin/sh\necho "run: $# $*"\n',
    ".singularity.d/test": '#!/bin/sh\necho "test: $# $*"\nexit 3\n',
    "scif/apps/foo/scif/runscript": '#!/bin/sh\necho "app foo: $# $* $SCIF_APPROOT"\n',
    "usr/bin/without-shebang": "echo without shebang $#\n",
}
FOLDERS = ("proc", "sys", "dev", "tmp", "var/tmp", "root", "mnt", "usr/lib", "opt/tool/bin", ".singularity.d/libs")
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib", "linked": "/opt/tool", "out": "../../opt"}


def make_tree(root: Path, *, programs: tuple[str, ...] = PROGRAMS) -> Path:
    """Make the tree at `root`, or take the one that is there."""
    if (root / "made").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    for name in ("usr/bin", *FOLDERS):
        (root / name).mkdir(parents=True)
    for name, target in LINKS.items():
        (root / name).symlink_to(target)
    for program in programs:
        copy_program(root, program)
    for path, text in {**FILES, **SCRIPTS}.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if path in SCRIPTS else 0o644)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    (root / "root").chmod(0o700)
    (root / "made").touch()
    return root


def write_plain_environment(folder: Path) -> None:
    """Sealift's own scripts, and assignments such as most recipes have."""
    for script in OWN_SCRIPTS.glob("*.sh"):
        shutil.copy(script, folder / script.name)
    (folder / "10-docker2singularity.sh").write_text(ENVIRONMENT["10-docker2singularity.sh"])
    (folder / "90-environment.sh").write_text(PLAIN_ENVIRONMENT)


def copy_program(root: Path, name: str) -> None:
    """Copy a program of the host, and the libraries that it names, to /usr/bin and to where the loader looks."""
    found = shutil.which(name)
    assert found is not None, name
    shutil.copy(os.path.realpath(found), root / "usr/bin" / name)
    said = subprocess.run(["ldd", os.path.realpath(found)], capture_output=True, text=True, check=False).stdout
    for library in re.findall(r"(/\S+) \(0x", said):
        # The folders are links of the host's making; here all are /usr/lib and what lies in it.
        target = root / "usr/lib" / Path(library).relative_to("/").as_posix().partition("/lib")[2].lstrip("64/")
        if "ld-linux" in library:
            target = root / "usr/lib" / Path(library).name
        elif library.startswith(("/lib/", "/lib64/")):
            target = root / "usr/lib" / "/".join(Path(library).parts[2:])
        elif library.startswith(("/usr/lib/", "/usr/lib64/")):
            target = root / "usr/lib" / "/".join(Path(library).parts[3:])
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(os.path.realpath(library), target)


def make_squashfs(tree: Path, target: Path) -> Path:
    if not target.exists():
        part = target.with_suffix(".part")
        subprocess.run(
            ["mksquashfs", str(tree), str(part), "-noappend", "-all-root", "-quiet", "-no-progress"],
            check=True,
            capture_output=True,
        )
        part.rename(target)
    return target


def make_sif(squashfs: Path, target: Path, architecture: Architecture | None = None) -> Path:
    if not target.exists():
        architecture = architecture or find_architecture(os.uname().machine)
        assert architecture is not None
        layout = plan_sif([SifObject(data_type=DataType.DEFINITION_FILE, data=b"Bootstrap: scratch\n", name="")])
        data = squashfs.read_bytes()
        with target.with_suffix(".part").open("w+b") as file:
            file.seek(layout.partition_offset)
            file.write(data)
            write_sif(file, layout, partition_size=len(data), architecture=architecture, image_id=bytes(16), time=0)
        target.with_suffix(".part").rename(target)
    return target
