"""Runs an image with nothing but the kernel and, for ordinary users, squashfuse.

In the order in which a run goes through the files: `wanted` (what the options imply), `image` (what the file is),
`overlays` (the user's layers), `layout` (what will be mounted where, as values), all of them asked by `preparing`;
`namespaces` (the user and mount namespaces), `rootfs` (the image becomes a folder), `building` with `room` (mount
points that the image lacks) and `fuselayers` (layers stacked by fuse-overlayfs), `mounting` (carries the layout out),
`scripts` (the image's environment), `action` (which program, found and executed), `waiting` (only with a PID
namespace of its own). `run` tells the story.

The calling process turns into the program: there is no parent to feed, signals, terminal and exit code are the
program's by themselves, and when the last process of the container ends the kernel takes its mounts down, upon which
squashfuse ends too, even after `kill -9`.
"""
