"""A merged tree → a directory, by several threads; and what the file system made of it.

The caller need not be root. What the file system or the caller's rights cannot hold is left out, and the tree file
keeps it: owners, devices (an empty file stands for one), attributes, set-id bits of an ordinary user's files.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from threading import Lock

from sealift.core.tree import Tree, Xattrs
from sealift.packs.directory import read_xattrs
from sealift.packs.layer import overlay_free
from sealift.packs.merge import Merged
from sealift.packs.pack import Pack
from sealift.packs.tails import tail_size
from sealift.packs.treefile import TREE_FILE, OnDisk
from sealift.squashfs.placement import NO_FRAGMENT, STORED

JOB_BYTES = 8 << 20
"""Plain bytes of one job: a larger file is written by several threads."""
JOB_FILES = 256
JOBS_AHEAD = 32

Progress = Callable[[int], None]


def extract(
    merged: Merged, root: bytes, *, pool: Executor, as_root: bool, progress: Progress = lambda _bytes: None
) -> OnDisk:
    """Write the files of `merged` into the existing, empty folder `root`; what is on disk afterwards.

    An empty file stands where the tree file goes, for which the image has a folder and no file of its own.
    Raises OSError (a full disk, no permission) and StoreError (a damaged pack); what is written by then stays.
    """
    return _Extraction(merged, root, pool, as_root, progress).run()


class _Extraction:
    def __init__(self, merged: Merged, root: bytes, pool: Executor, as_root: bool, progress: Progress) -> None:
        self._merged = merged
        self._tree = merged.tree
        self._root = root
        self._pool = pool
        self._as_root = as_root
        self._progress = progress
        self._pending: deque[Future[None]] = deque()
        self._disk = _empty_disk(len(merged.tree))
        self._sets: dict[Xattrs, int] = {(): 0}

    def run(self) -> OnDisk:
        tree = self._tree
        links: list[tuple[int, int]] = []
        firsts: dict[int, int] = {}
        files = array("Q")
        for row, (path, mode, size, group) in enumerate(
            zip(tree.paths, tree.modes, tree.sizes, tree.groups, strict=True)
        ):
            if stat.S_ISDIR(mode):
                if path:
                    os.mkdir(self._place(row), 0o700)
                continue
            if group:
                first = firsts.setdefault(group, row)
                if first != row:
                    links.append((row, first))
                    continue
            if stat.S_ISREG(mode) and size:
                files.append(row)
            else:
                self._make_special(row)
        try:
            for job in self._jobs(files):
                self._submit(job)
            self._wait(0)
        finally:
            # Nothing may write any more when the caller clears away what is there.
            for future in self._pending:
                future.cancel()
            for future in self._pending:
                with contextlib.suppress(BaseException):
                    future.result()
        for row, first in links:
            os.link(self._place(first), self._place(row), follow_symlinks=False)
            self._note(row)
        # Its name is given now, as that changes the time of its folder; its content comes when all else is known.
        kept = self._root + b"/" + TREE_FILE
        _make_empty(kept)
        os.chmod(kept, 0o644)  # whoever may read the directory may know what is in it
        for row in range(len(tree) - 1, -1, -1):
            if stat.S_ISDIR(tree.modes[row]):
                self._finish(row)
        return OnDisk(
            modes=self._disk.modes,
            uids=self._disk.uids,
            gids=self._disk.gids,
            mtimes=self._disk.mtimes,
            xattrs=self._disk.xattrs,
            xattr_sets=tuple(self._sets),
        )

    def _place(self, row: int) -> bytes:
        path = self._tree.paths[row]
        return self._root + b"/" + path if path else self._root

    # -- content --------------------------------------------------------------------------------------------------

    def _submit(self, job: Callable[[], None]) -> None:
        self._pending.append(self._pool.submit(job))
        self._wait(JOBS_AHEAD)

    def _wait(self, left: int) -> None:
        while len(self._pending) > left:
            self._pending[0].result()
            self._pending.popleft()

    def _jobs(self, files: array[int]) -> Iterator[Callable[[], None]]:
        """Files with their tails in one fragment go together, so that it is decompressed once."""
        merged, tree = self._merged, self._tree

        def place(row: int) -> int:
            number = merged.pack_of[row]
            return number << 32 | merged.packs[number].placement.fragments[merged.row_of[row]]

        batch: list[int] = []
        batch_place, batch_bytes = -1, 0
        for row in sorted(files, key=place):
            here, size = place(row), tree.sizes[row]
            if size > JOB_BYTES:
                yield from self._ranges(row)
                continue
            if batch and (here != batch_place or batch_bytes + size > JOB_BYTES or len(batch) == JOB_FILES):
                yield self._batch_job(batch)
                batch, batch_bytes = [], 0
            batch.append(row)
            batch_place = here
            batch_bytes += size
        if batch:
            yield self._batch_job(batch)

    def _batch_job(self, rows: list[int]) -> Callable[[], None]:
        def job() -> None:
            merged = self._merged
            number = merged.pack_of[rows[0]]
            pack = merged.packs[number]
            fragment = pack.placement.fragments[merged.row_of[rows[0]]]
            plain = pack.read_fragment(fragment) if fragment != NO_FRAGMENT else b""
            for row in rows:
                self._write_file(row, pack, merged.row_of[row], plain)
            self._progress(sum(self._tree.sizes[row] for row in rows))

        return job

    def _write_file(self, row: int, pack: Pack, own: int, fragment: bytes) -> None:
        size = pack.tree.sizes[own]
        with open(self._place(row), "xb", buffering=0) as file:
            descriptor = file.fileno()
            full = size - _tail(pack, own)
            _write_blocks(descriptor, pack, pack.placement.starts[own], pack.placement.firsts[own], 0, full)
            if full != size:
                offset = pack.placement.offsets[own]
                _write_all(descriptor, fragment[offset : offset + size - full], full)
            elif _ends_in_hole(pack, own):
                os.ftruncate(descriptor, size)
            self._finish(row, descriptor)

    def _ranges(self, row: int) -> Iterator[Callable[[], None]]:
        """A large file: blocks by several threads, then what needs all of them to be there."""
        merged = self._merged
        pack, own = merged.packs[merged.pack_of[row]], merged.row_of[row]
        size = pack.tree.sizes[own]
        full = size - _tail(pack, own)
        descriptor = os.open(self._place(row), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.ftruncate(descriptor, size)
        os.close(descriptor)
        step = JOB_BYTES // pack.block_size * pack.block_size
        left = _Countdown(-(-full // step))
        start, first = pack.placement.starts[own], pack.placement.firsts[own]
        for position in range(0, full, step):
            length = min(step, full - position)
            yield partial(self._write_range, row, left, start, first, position, length)
            count = -(-length // pack.block_size)
            start += sum(word & (STORED - 1) for word in pack.placement.blocks[first : first + count])
            first += count

    def _write_range(self, row: int, left: _Countdown, start: int, first: int, position: int, length: int) -> None:
        pack, own = self._merged.packs[self._merged.pack_of[row]], self._merged.row_of[row]
        with open(self._place(row), "r+b", buffering=0) as file:
            _write_blocks(file.fileno(), pack, start, first, position, length)
            self._progress(length)
            if left.is_last():
                tail = _tail(pack, own)
                if tail:
                    offset = pack.placement.offsets[own]
                    plain = pack.read_fragment(pack.placement.fragments[own])[offset : offset + tail]
                    _write_all(file.fileno(), plain, pack.tree.sizes[own] - tail)
                self._finish(row, file.fileno())

    # -- all that is not content ----------------------------------------------------------------------------------

    def _make_special(self, row: int) -> None:
        tree, place = self._tree, self._place(row)
        mode = tree.modes[row]
        match stat.S_IFMT(mode):
            case stat.S_IFLNK:
                os.symlink(tree.links[row], place)
            case stat.S_IFIFO:
                os.mkfifo(place, 0o600)
            case stat.S_IFCHR | stat.S_IFBLK if self._as_root:
                try:
                    os.mknod(place, stat.S_IFMT(mode) | 0o600, tree.rdevs[row])
                except PermissionError:  # root of a container
                    _make_empty(place)
            case _:
                _make_empty(place)
        self._finish(row)

    def _finish(self, row: int, descriptor: int | None = None) -> None:
        """Owner first: changing it takes set-id bits and capabilities away. The time last: all else changes it."""
        tree, place = self._tree, self._place(row)
        mode = tree.modes[row]
        link = stat.S_ISLNK(mode)
        target = place if descriptor is None else descriptor
        if self._as_root:
            with contextlib.suppress(PermissionError), _unmapped_ids():
                os.chown(target, tree.uids[row], tree.gids[row], follow_symlinks=not link)
        if not link:
            os.chmod(target, stat.S_IMODE(mode) if self._as_root else open_mode(mode))
        if tree.xattrs[row]:
            _set_xattrs(target, tree.xattr_sets[tree.xattrs[row]], follow=not link)
        seconds = tree.mtimes[row]
        os.utime(target, (seconds, seconds), follow_symlinks=not link)
        self._note(row)

    def _note(self, row: int) -> None:
        place = self._place(row)
        found = os.lstat(place)
        disk = self._disk
        disk.modes[row], disk.uids[row], disk.gids[row] = found.st_mode, found.st_uid, found.st_gid
        disk.mtimes[row] = found.st_mtime_ns
        xattrs = overlay_free(read_xattrs(place))
        if xattrs:
            disk.xattrs[row] = self._sets.setdefault(xattrs, len(self._sets))


class _Countdown:
    """Tells the last of several threads that it is the last."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._lock = Lock()

    def is_last(self) -> bool:
        with self._lock:
            self._left -= 1
            return not self._left


def _empty_disk(rows: int) -> OnDisk:
    def zeros() -> array[int]:
        return array("I", bytes(4 * rows))

    return OnDisk(modes=zeros(), uids=zeros(), gids=zeros(), mtimes=array("q", bytes(8 * rows)), xattrs=zeros())


def _make_empty(place: bytes) -> None:
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _set_xattrs(target: bytes | int, xattrs: Xattrs, *, follow: bool) -> None:
    for name, value in xattrs:
        # What the file system or the caller's rights do not allow is in the tree file.
        with contextlib.suppress(OSError):
            if isinstance(target, int):
                os.setxattr(target, name, value)
            else:
                os.setxattr(target, name, value, follow_symlinks=follow)


@contextlib.contextmanager
def _unmapped_ids() -> Iterator[None]:
    """Root of a user namespace can give files to the ids of the namespace only."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def open_mode(mode: int) -> int:
    """The permission bits of an ordinary user's file. What belongs to the caller stays open to the caller: it can be
    changed, and removed with `rm -r`. A set-id bit would lend the caller's rights to everybody.
    """
    return stat.S_IMODE(mode) | 0o700 if stat.S_ISDIR(mode) else mode & 0o777 | 0o600


def _tail(pack: Pack, row: int) -> int:
    """The bytes of a file that are in a fragment."""
    if pack.placement.fragments[row] == NO_FRAGMENT:
        return 0
    return tail_size(pack.tree.sizes[row], pack.block_size)


def _ends_in_hole(pack: Pack, row: int) -> bool:
    count = -(-pack.tree.sizes[row] // pack.block_size)
    return not pack.placement.blocks[pack.placement.firsts[row] + count - 1]


def _write_blocks(descriptor: int, pack: Pack, start: int, first: int, position: int, length: int) -> None:
    """Write blocks of a pack to a file; what is a hole in the pack is one in the file."""
    end = position + length
    for word in pack.placement.blocks[first : first + -(-length // pack.block_size)]:
        if word:
            _write_all(descriptor, pack.read_block(start, word), position)
            start += word & (STORED - 1)
        position = min(position + pack.block_size, end)


def _write_all(descriptor: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(descriptor, view, position)
        view = view[done:]
        position += done


def size_of(tree: Tree) -> int:
    """Bytes of all files, each hard-link group once."""
    seen: set[int] = set()
    total = 0
    for mode, size, group in zip(tree.modes, tree.sizes, tree.groups, strict=True):
        if stat.S_ISREG(mode) and group not in seen:
            total += size
            if group:
                seen.add(group)
    return total
