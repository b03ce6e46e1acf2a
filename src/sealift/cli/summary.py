"""The closing lines of a build: where the time and the space went."""

from __future__ import annotations

from sealift.flows.requests import BuildResult


def size_text(count: float) -> str:
    """Bytes for people, in powers of 1000 as file managers and registries count them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


FORMS = {
    "sif": "SIF",
    "squashfs": "squashfs",
    "directory": "directory",
    "oci": "OCI layout",
    "oci-archive": "OCI archive",
    "docker-archive": "Docker archive",
}
"""What people call the forms of images."""
LAYERED = ("oci", "oci-archive", "docker-archive")
"""Those whose digest is the manifest's: what registries and engines know the image by."""


def summary(result: BuildResult) -> str:
    took = sum(result.seconds.values())
    state = "unchanged" if result.unchanged else "written"
    what = f"{FORMS[result.form]}, {size_text(result.size)}, {result.entries:,} entries"
    lines = [f"{result.image} {state}: {what}, {took:.1f} s"]
    if result.tree_digest:
        lines.append(f"tree  {result.tree_digest}")
    if result.digest:
        lines.append(f"{'image' if result.form in LAYERED else 'file':<5} {result.digest}")
    spent = [f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items() if seconds >= 0.05]
    if spent:
        lines.append(f"time  {' · '.join(spent)}")
    if result.layers:
        lines.append("space, before compression")
        names = [str(layer["name"]) for layer in result.layers]
        width = max(map(len, names))
        for name, layer in zip(names, result.layers, strict=True):
            entries, size = int(str(layer["entries"])), float(str(layer["size"]))
            lines.append(f"  {name:<{width}}  {size_text(size):>9}  {entries:>9,} entries")
    return "\n".join(lines)
