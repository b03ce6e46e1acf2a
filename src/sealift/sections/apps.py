"""SCIF apps: the folders and scripts below /scif, and how `%appinstall` joins `%post`.

/scif/apps/NAME/{bin,lib}
/scif/apps/NAME/scif/{runscript,startscript,test,runscript.help,labels.json}
/scif/apps/NAME/scif/env/{01-base.sh,90-environment.sh}
/scif/data/NAME/{input,output}
/.singularity.d/env/94-appsbase.sh          where each app's parts are, for everybody
"""

from __future__ import annotations

import re

from sealift.deffile.bodies import read_labels
from sealift.deffile.characters import encode, show
from sealift.deffile.values import App, Stage
from sealift.sections.base_environment import HOME
from sealift.sections.draft import Draft
from sealift.sections.labels import to_json

GLOBAL_FILE = f"{HOME}/env/94-appsbase.sh"

_TOLD = (("ENV", "env/90-environment.sh"), ("LABELS", "labels.json"), ("RUN", "runscript"), ("START", "startscript"))
_NOT_IN_NAMES = re.compile("[^a-zA-Z0-9_]")


def app_root(app: App) -> str:
    return f"/scif/apps/{app.name}"


def add_apps(draft: Draft, stage: Stage) -> None:
    """All that is there before `%post`; the global file is written even when there is no app."""
    told = ""
    for app in stage.apps:
        base, meta = app_root(app), f"{app_root(app)}/scif"
        for path in (meta, f"{base}/bin", f"{base}/lib", f"{meta}/env"):
            draft.make_directory(path)
        for path in ("input", "output"):
            draft.make_directory(f"/scif/data/{app.name}/{path}")
        draft.write(f"{meta}/env/01-base.sh", encode(_base_script(app)), 0o755)
        for section, path, mode, head, tail in (
            ("appenv", "env/90-environment.sh", 0o755, "", ""),
            ("apprun", "runscript", 0o755, "#!/bin/sh\n\n", "\n"),
            ("appstart", "startscript", 0o755, "#!/bin/sh\n\n", "\n"),
            ("apptest", "test", 0o755, "#!/bin/sh\n\n", "\n"),
            ("apphelp", "runscript.help", 0o644, "", ""),
        ):
            if app.body(section):
                draft.write(f"{meta}/{path}", encode(head + app.body(section) + tail), mode)
        labels = {"SCIF_APP_NAME": app.name, **read_labels(app.body("applabels"))}
        draft.write(f"{meta}/labels.json", to_json({show(key): show(value) for key, value in labels.items()}), 0o644)
        told += _global_script(draft, app)
    draft.write(GLOBAL_FILE, encode(told), 0o755)


def install_script(stage: Stage) -> str:
    """What follows `%post` in the same shell: each app's `%appinstall` in the app's folder, in order of appearance."""
    return "".join(
        f"\ncd /\n. {app_root(app)}/scif/env/01-base.sh\n\ncd {app_root(app)}\n{app.body('appinstall')}\n\ncd /\n"
        for app in stage.apps
    )


def _base_script(app: App) -> str:
    name, base = app.name, app_root(app)
    return f"""#!/bin/sh

SCIF_APPNAME={name}
SCIF_APPROOT="{base}"
SCIF_APPMETA="{base}/scif"
SCIF_DATA="/scif/data"
SCIF_APPDATA="/scif/data/{name}"
SCIF_APPINPUT="/scif/data/{name}/input"
SCIF_APPOUTPUT="/scif/data/{name}/output"
export SCIF_APPNAME SCIF_APPROOT SCIF_APPMETA SCIF_DATA SCIF_APPDATA SCIF_APPINPUT SCIF_APPOUTPUT
"""


def _global_script(draft: Draft, app: App) -> str:
    # Apptainer puts the name that a variable can hold into the paths too, where they then lead nowhere.
    name = _NOT_IN_NAMES.sub("_", app.name)
    parts = {
        "DATA": f"/scif/data/{name}",
        "META": f"/scif/apps/{name}/scif",
        "ROOT": f"/scif/apps/{name}",
        "BIN": f"/scif/apps/{name}/bin",
        "LIB": f"/scif/apps/{name}/lib",
    }
    lines = [f"## App Global Exports For: {name}"]
    lines += [f'export SCIF_APP{part}_{name}="{path}"' for part, path in parts.items()]
    for part, path in _TOLD:
        if draft.exists(f"{app_root(app)}/scif/{path}"):
            lines.append(f'export SCIF_APP{part}_{name}="/scif/apps/{name}/scif/{path}"')
    return "\n".join(lines) + "\n"
