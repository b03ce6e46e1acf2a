"""Python: environments that are not entered, and packages that land where nobody looks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.lint.calls import Call
from sealift.lint.examples import CONDA, PYTHON, UBUNTU, file, post
from sealift.lint.recipe import Recipe, ScriptView
from sealift.lint.tools import action, installs, listed
from sealift.lint.values import Hit, Rule

_OLD = re.compile(
    r"(python-(pip|dev|setuptools|numpy|scipy|matplotlib|virtualenv|tk|all|minimal|yaml|pandas|requests)|python2(\.7)?(-\w+)?|python-?)$"
)


_OTHER_PYTHONS = re.compile(
    r"venv|virtualenv|conda|mamba|EXTERNALLY-MANAGED|break.system.packages|BREAK_SYSTEM_PACKAGES|pyenv|get-pip|uv |pixi"
    r"|deadsnakes|Python-3|altinstall"
)


def _user_install(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in installs(stage.calls, "pip"):
            if one.call.has("--user") and not stage.build_text.count("PYTHONUSERBASE"):
                yield one.call.hit(
                    "`--user` installs to root's ~/.local, which nobody but root sees",
                    "leave `--user` out",
                )


def _activation(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall", "environment", "runscript", "test"):
        ready = False
        for call in script.calls:
            if call.run.is_inner:
                continue  # `bash -c` is another shell
            texts = " ".join(call.texts)
            if call.name in (".", "source") and re.search(
                r"conda\.sh|mamba\.sh|bashrc|profile\.d|micromamba|/activate\b", texts
            ):
                ready = True
            if call.name == "eval" or (call.name in ("conda", "micromamba", "mamba") and "hook" in call.texts):
                ready = True
            if call.name in (".", "source") and call.texts[:1] == ("activate",) and _is_dash(script):
                yield call.hit(
                    f"`{call.name} activate` fails under dash, which is /bin/sh here",
                    "write: . /opt/conda/etc/profile.d/conda.sh && conda activate NAME",
                    "or do without: export PATH=/opt/conda/envs/NAME/bin:$PATH",
                )
                break
            if call.name in ("conda", "mamba", "micromamba") and call.texts[:1] == ("activate",) and not ready:
                if "bash" in script.interpreter and re.search(
                    r"-[a-z]*[il]", script.text[:80].split("\n")[0] + (script.sections[0].arguments or "")
                ):
                    break
                yield _without_hook(call)
                break


def _is_dash(script: ScriptView) -> bool:
    return script.interpreter == "sh" and script.stage.distribution == "debian"


def _without_hook(call: Call) -> Hit:
    return call.hit(
        f"`{call.name} activate` works only in a shell that conda was set up in, which this one is not",
        "load it first: . /opt/conda/etc/profile.d/conda.sh",
        "or do without: export PATH=/opt/conda/envs/NAME/bin:$PATH",
    )


def _managed(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        base = stage.base
        version = re.match(r"(\d+\.\d+|noble|mantic|lunar|oracular|plucky|trixie|bookworm|12|13|\d+)", base.tag)
        managed = (
            base.name == "ubuntu"
            and version
            and version[1] in ("23.04", "23.10", "24.04", "24.10", "25.04", "25.10", "noble")
        ) or (base.name == "debian" and version and version[1].partition(".")[0] in ("12", "13", "bookworm", "trixie"))
        if base.name == "nvidia/cuda" and "ubuntu24.04" in base.tag:
            managed = True
        if not managed or base.agent not in ("docker", "library"):
            continue
        # That the package is there does not say that an environment is made with it.
        text = re.sub(r"python3[\d.]*-(venv|virtualenv)\b", "", stage.build_text)
        if _OTHER_PYTHONS.search(text):
            continue
        for one in installs(stage.calls, "pip"):
            if one.call.program.text.startswith("/") or one.call.has("--target", "-t", "--prefix", "--root"):
                continue
            yield one.call.hit(
                f"`{base.text}` refuses this: its Python is managed by apt (`externally-managed-environment`)",
                "make an environment: python3 -m venv /opt/venv && /opt/venv/bin/pip install …",
            )
            break


def _python2(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for one in installs(stage.calls, "apt", "yum", "apk"):
            names = [field.text for field in one.packages if _OLD.match(field.text.partition("=")[0])]
            names = [name for name in names if name not in ("python", "python-")]
            if names:
                yield one.call.hit(
                    f"{listed(names)} {'is' if len(names) == 1 else 'are'} of Python 2, which ended in 2020 and left "
                    "current releases",
                    "take Python 3: " + re.sub(r"^python(2(\.7)?)?", "python3", names[0]),
                )
                break


def _user_site(recipe: Recipe) -> Iterator[Hit]:
    stage = recipe.last
    if stage is None:
        return
    found = [one for one in installs(stage.calls, "pip", "uv") if not one.call.has("--target", "-t")]
    everywhere = recipe.text
    if re.search(r"venv|virtualenv|uv sync|pipx", stage.build_text):
        return  # such an environment does not look there
    if found and not re.search(r"PYTHONNOUSERSITE|python3?\s+-[a-zA-Z]*[sI]", everywhere):
        yield found[0].call.hit(
            "packages in the user's own ~/.local come before those of the image, other versions and all",
            "write to `%environment`: export PYTHONNOUSERSITE=1",
        )


def _setup_py(recipe: Recipe) -> Iterator[Hit]:
    for stage in recipe.stages:
        for call in stage.calls:
            if re.match(r"python[0-9.]*$", call.name) and "setup.py" in call.texts[:2] and "install" in call.texts:
                yield call.hit(
                    "`setup.py install` is gone from current setuptools, and resolves what it needs without pip",
                    "write: pip install --no-cache-dir .",
                )
            elif call.name in ("easy_install", "easy_install3"):
                yield call.hit(
                    "`easy_install` is gone from current setuptools",
                    "write: pip install --no-cache-dir NAME==VERSION",
                )


def _redirected_version(recipe: Recipe) -> Iterator[Hit]:
    for script in recipe.scripts("post", "appinstall"):
        for call in script.calls:
            one = action(call)
            if one is None or not one.installs or one.tool not in ("pip", "uv", "conda") or call.run.is_inner:
                continue
            found = list(_requirements_cut(script, call))
            if found:
                start, at, end = found[0]
                whole, rest = script.text[start:end], script.text[at:end]
                yield script.hit(
                    start,
                    end,
                    f"the shell reads `{rest[0]}` itself: {one.tool} is told `{script.text[start:at]}` alone"
                    + (f", and its output goes to a file `{rest[1:]}`" if rest[0] == ">" else ""),
                    f"put quotes around it: '{whole}'",
                    edits=tuple(
                        edit
                        for start, _, end in found
                        for edit in (*script.edit(start, start, "'"), *script.edit(end, end, "'"))
                    ),
                )


def _requirements_cut(script: ScriptView, call: Call) -> Iterator[tuple[int, int, int]]:
    """`numpy>=1.24,<2`, which a shell cuts into a word and redirections: start, first redirection, end."""
    redirects = sorted(call.run.command.redirects, key=lambda one: one.start)
    for word in call.run.command.words:
        end = word.end
        for one in redirects:
            if one.start == end and one.operator in (">", "<") and re.match(r"=?\d", one.target.literal or ""):
                end = one.end
        if end > word.end and re.fullmatch(r"[A-Za-z0-9][\w.-]*(\[[\w,-]*\])?", script.text[word.start : word.end]):
            yield word.start, word.end, end


RULES: tuple[Rule, ...] = (
    Rule(
        id="version-is-redirection",
        family="python",
        level="error",
        title="A version's `>` or `<` is read by the shell",
        reason="Without quotes, `numpy>=1.24` tells the shell to write what pip prints to a file `=1.24`, and tells "
        "pip `numpy` alone. What is installed is the newest version, and what pip says is not seen.",
        remedy="Put quotes around each requirement: `'numpy>=1.24,<2'`.",
        bad=post("pip install --no-cache-dir -c pins.txt scipy>=1.10", PYTHON),
        good=post("pip install --no-cache-dir -c pins.txt 'scipy>=1.10'", PYTHON),
        look=_redirected_version,
        fixes=True,
    ),
    Rule(
        id="pip-on-managed-python",
        family="python",
        level="error",
        title="pip installs into a Python that refuses it",
        reason="Since Debian 12 and Ubuntu 23.04 the system's Python belongs to apt, and pip refuses to change it: "
        "`error: externally-managed-environment`.",
        remedy="Make an environment in `/opt/venv` and put its `bin` on the path. In an image that holds one "
        "program, `--break-system-packages` does too.",
        bad=post(
            "apt-get update\napt-get install -y --no-install-recommends python3-pip\nrm -rf /var/lib/apt/lists/*\n"
            "pip install --no-cache-dir numpy==2.1.3"
        ),
        good=file(
            UBUNTU,
            post="apt-get update\napt-get install -y --no-install-recommends python3-venv\nrm -rf "
            "/var/lib/apt/lists/*\n"
            "python3 -m venv /opt/venv\n/opt/venv/bin/pip install --no-cache-dir numpy==2.1.3",
            environment="export PATH=/opt/venv/bin:$PATH\nexport PYTHONNOUSERSITE=1",
        ),
        look=_managed,
    ),
    Rule(
        id="conda-activate",
        family="python",
        level="warning",
        title="A conda environment is activated in a shell that does not know how",
        reason="`conda activate` is a function that conda's set-up defines, and `source activate` needs bash. "
        "Scripts of images run under /bin/sh without that set-up: the build fails, or the base environment "
        "is used without a word.",
        remedy="Load the set-up first: `. /opt/conda/etc/profile.d/conda.sh`. Mostly it is enough to put the "
        "environment's `bin` on the path.",
        bad=post("conda activate base", CONDA),
        good=post(". /opt/conda/etc/profile.d/conda.sh\nconda activate base", CONDA),
        look=_activation,
    ),
    Rule(
        id="pip-user",
        family="python",
        level="warning",
        title="`pip install --user` in `%post`",
        reason="The packages go to root's ~/.local. Who runs the image is not root and has another home.",
        remedy="Leave `--user` out.",
        bad=post("pip install --user --no-cache-dir numpy==2.1.3", PYTHON),
        good=post("pip install --no-cache-dir numpy==2.1.3", PYTHON),
        look=_user_install,
    ),
    Rule(
        id="python-2",
        family="python",
        level="warning",
        title="Packages of Python 2 are installed",
        reason="Python 2 ended in January 2020. Current releases of Debian, Ubuntu and RHEL do not have these "
        "packages.",
        remedy="Take the packages of Python 3: `python3-pip`, `python3-dev`.",
        bad=post("apt-get update\napt-get install -y --no-install-recommends python-pip\nrm -rf /var/lib/apt/lists/*"),
        good=post(
            "apt-get update\napt-get install -y --no-install-recommends python3-pip\nrm -rf /var/lib/apt/lists/*"
        ),
        look=_python2,
    ),
    Rule(
        id="setup-py-install",
        family="python",
        level="warning",
        title="A Python package is installed with `setup.py` or `easy_install`",
        reason="setuptools dropped both. They also fetch what a package needs by themselves, in versions that "
        "nobody chose, and leave nothing that pip could list or remove.",
        remedy="Write `pip install --no-cache-dir .` in the package's folder.",
        bad=post("cd /opt/app\npython3 setup.py install", PYTHON),
        good=post("cd /opt/app\npip install --no-cache-dir .", PYTHON),
        look=_setup_py,
    ),
    Rule(
        id="user-site-on",
        family="python",
        level="note",
        title="The user's own Python packages come before the image's",
        reason="Engines bring the user's home along, and Python looks into `~/.local/lib` before the image's own "
        "packages. A `pip install --user` of last year then breaks today's image, for that user alone.",
        remedy="Write `export PYTHONNOUSERSITE=1` to `%environment`.",
        bad=post("pip install --no-cache-dir numpy==2.1.3", PYTHON),
        good=file(
            PYTHON,
            post="pip install --no-cache-dir numpy==2.1.3",
            environment="export PYTHONNOUSERSITE=1",
        ),
        look=_user_site,
    ),
)
