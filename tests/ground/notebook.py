"""What a notebook's front end does with a kernel, by Jupyter's own client; each answer is a line of JSON on stdout.

    python notebook.py NAME work         start, run a cell, interrupt one, restart, kill and start again, shut down
    python notebook.py NAME wait         start, and wait to be killed

It is run as a program of its own, so that the tests can end it in any way.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from jupyter_client.manager import KernelManager

PATIENCE = 120
LOOK = """
import json, os
print(json.dumps({
    "system": open("/etc/os-release").read(),
    "folder": os.getcwd(),
    "image": os.environ.get("FROM_THE_IMAGE"),
    "ordered": os.environ.get("ORDERED"),
    "threads": os.environ.get("OMP_NUM_THREADS"),
    "kept out": os.environ.get("NOT_FOR_KERNELS"),
    "user site": os.environ.get("PYTHONNOUSERSITE"),
}))
"""


STUCK = """
from signal import SIG_IGN, SIGINT, SIGTERM, signal
lost = 1
signal(SIGINT, SIG_IGN), signal(SIGTERM, SIG_IGN)
print("stuck", flush=True)
while True: pass
"""


def say(**told: Any) -> None:
    print(json.dumps(told), flush=True)


def cell(client: Any, code: str, *, when_it_says: dict[str, Any] | None = None) -> str:
    """What the cell printed, or the name of its error; a text that it prints can call a function."""
    out: list[str] = []

    def take(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            out.append(content["text"])
            for text, act in (when_it_says or {}).items():
                if text in content["text"]:
                    act()
        if message["msg_type"] == "error":
            out.append(content["ename"])

    client.execute_interactive(code, timeout=PATIENCE, output_hook=take)
    return "".join(out)


def main(name: str, what: str) -> None:
    # Where Jupyter's server has it
    connection = os.path.join(os.environ["JUPYTER_RUNTIME_DIR"], "kernel-1.json")
    manager = KernelManager(kernel_name=name, connection_file=connection)
    manager.start_kernel(stdout=sys.stderr.fileno())
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE)
    say(looked=json.loads(cell(client, LOOK)))
    if what == "wait":
        sys.stdin.read()
    interrupted = cell(
        client,
        "import time\nprint('asleep', flush=True)\nwhile True: time.sleep(1)",
        when_it_says={"asleep": manager.interrupt_kernel},
    )
    say(interrupted=interrupted)
    say(after=cell(client, "print(6 * 7)"))
    cell(client, "lost = 1")
    manager.restart_kernel(stdout=sys.stderr.fileno())
    client.wait_for_ready(timeout=PATIENCE)
    say(restarted=cell(client, "print(lost)"))
    # A kernel that answers nothing is killed, and started again with the same ports.
    client.execute(STUCK)
    while client.get_iopub_msg(timeout=PATIENCE)["content"].get("text") != "stuck\n":
        pass
    manager.restart_kernel(now=True, stdout=sys.stderr.fileno())
    client.wait_for_ready(timeout=PATIENCE)
    say(restarted=cell(client, "print(lost)"))
    client.stop_channels()
    manager.shutdown_kernel()
    say(alive=manager.is_alive())


main(sys.argv[1], sys.argv[2])
