"""Who we are to a registry: the files and helpers of Docker, Podman and Apptainer, and Apptainer's variables."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sealift.core.reference import DOCKER_HUB
from sealift.errors import HostError
from sealift.system.home import home_folder
from sealift.system.process import Completed, run

Run = Callable[..., Completed]
_HUB_KEYS = ("docker.io", "index.docker.io", "registry-1.docker.io")
_HUB_SERVER = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Name and password, or an identity token to be exchanged for an access token; `source` is for messages."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    source: str = ""

    @property
    def basic(self) -> str:
        """The value of an `Authorization` header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthFile:
    """One file, as far as it could be read: entries and helpers by normalised key (`quay.io/org`)."""

    path: str
    auths: Mapping[str, Login] = field(default_factory=dict, hash=False)
    helpers: Mapping[str, str] = field(default_factory=dict, hash=False)
    store: str = ""
    problem: str = ""


class Credentials:
    """Finds the login for an image's registry; asks helper programs only then. Answers are remembered."""

    def __init__(
        self,
        files: Sequence[AuthFile] = (),
        *,
        login: Login | None = None,
        env: Mapping[str, str] | None = None,
        run_helper: Run = run,
    ) -> None:
        self._files = tuple(files)
        self._login = login
        self._env = dict(env or {})
        self._run = run_helper
        self._answers: dict[tuple[str, str], Login | None] = {}
        self.problems: list[str] = [file.problem for file in files if file.problem]
        """What went wrong on the way; worth telling when a registry says no."""

    def find(self, registry: str, repository: str = "", *, mirror: bool = False) -> Login | None:
        """The login for `registry`; the variables' one is for the image's own registry, not for its mirrors."""
        if self._login is not None and not mirror:
            return self._login
        for file in self._files:
            login = self._from_file(file, registry, repository)
            if login is not None:
                return login
        return None

    def _from_file(self, file: AuthFile, registry: str, repository: str) -> Login | None:
        names = _HUB_KEYS if registry == DOCKER_HUB else (registry,)
        helper = next((file.helpers[name] for name in names if name in file.helpers), "")
        if helper:
            return self._ask(helper, registry)
        for name in names:
            # The longest key wins: auth.json knows logins for one organisation or repository.
            parts = f"{name}/{repository}".rstrip("/").split("/")
            for count in range(len(parts), 0, -1):
                login = file.auths.get("/".join(parts[:count]))
                if login is not None:
                    return login
        return self._ask(file.store, registry) if file.store else None

    def _ask(self, helper: str, registry: str) -> Login | None:
        if (helper, registry) not in self._answers:
            self._answers[helper, registry] = self._ask_now(helper, registry)
        return self._answers[helper, registry]

    def _ask_now(self, helper: str, registry: str) -> Login | None:
        program = f"docker-credential-{helper}"
        server = _HUB_SERVER if registry == DOCKER_HUB else registry
        try:
            done = self._run((program, "get"), env=self._env, stdin=server.encode(), timeout=60.0, accept=range(256))
        except HostError as error:
            self.problems.append(error.message)
            return None
        text = done.out.decode(errors="replace")
        if done.code != 0:
            if "credentials not found" not in text:
                said = (text or done.err.decode(errors="replace")).strip()[:200]
                self.problems.append(f"`{program} get` said: {said}")
            return None
        try:
            answer = json.loads(text)
            username, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            self.problems.append(f"`{program} get` did not answer with JSON of `Username` and `Secret`")
            return None
        if username == "<token>":
            return Login(identity_token=secret, source=program)
        return Login(username=username, password=secret, source=program)


def load_credentials(env: Mapping[str, str], *, run_helper: Run = run) -> Credentials:
    """What this environment says: Apptainer's variables, then the files, first found first."""
    files = [parse_auth_file(data, path) for path in auth_paths(env) if (data := _read(path)) is not None]
    return Credentials(files, login=login_from_variables(env), env=env, run_helper=run_helper)


def login_from_variables(env: Mapping[str, str]) -> Login | None:
    """`APPTAINER_DOCKER_USERNAME` and `…_PASSWORD`, or their SINGULARITY_ twins; both must be there."""
    for prefix in ("APPTAINER", "SINGULARITY"):
        name, secret = env.get(f"{prefix}_DOCKER_USERNAME", ""), env.get(f"{prefix}_DOCKER_PASSWORD", "")
        if name and secret:
            return Login(username=name, password=secret, source=f"${prefix}_DOCKER_USERNAME")
    return None


def auth_paths(env: Mapping[str, str]) -> tuple[str, ...]:
    """Where logins may be kept; `$REGISTRY_AUTH_FILE` alone when it is set, as Podman and skopeo have it."""
    if env.get("REGISTRY_AUTH_FILE"):
        return (env["REGISTRY_AUTH_FILE"],)
    home = home_folder(env)
    config = env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    apptainer = env.get("APPTAINER_CONFIGDIR") or os.path.join(home, ".apptainer")
    paths = [os.path.join(apptainer, "docker-config.json"), os.path.join(home, ".singularity", "docker-config.json")]
    if env.get("XDG_RUNTIME_DIR"):
        paths.append(os.path.join(env["XDG_RUNTIME_DIR"], "containers", "auth.json"))
    paths.append(os.path.join(config, "containers", "auth.json"))
    paths.append(os.path.join(env.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json"))
    return tuple(paths)


def parse_auth_file(data: bytes, path: str) -> AuthFile:
    """Read Docker's config.json or Podman's auth.json. A damaged file or entry is a `problem`, not an error:
    most images need no login.
    """
    try:
        value = json.loads(data)
    except ValueError as error:
        return AuthFile(path=path, problem=f"`{path}` is not JSON: {error}")
    if not isinstance(value, dict):
        return AuthFile(path=path, problem=f"`{path}` is not a JSON object")
    auths: dict[str, Login] = {}
    problem = ""
    for key, entry in _object(value, "auths").items():
        try:
            login = _parse_entry(entry, path)
        except ValueError:
            problem = f"the login for `{key}` in `{path}` cannot be read"
            continue
        if login is not None:
            auths[normalise_key(key)] = login
    helpers = {normalise_key(k): str(v) for k, v in _object(value, "credHelpers").items()}
    store = value.get("credsStore")
    return AuthFile(
        path=path, auths=auths, helpers=helpers, store=store if isinstance(store, str) else "", problem=problem
    )


def normalise_key(key: str) -> str:
    """`https://index.docker.io/v1/` → `index.docker.io`; a path that is a namespace stays."""
    bare = re.sub(r"^https?://", "", key).rstrip("/")
    return re.sub(r"/v[12]$", "", bare)


def _parse_entry(entry: object, path: str) -> Login | None:
    if not isinstance(entry, dict):
        raise ValueError("not an object")  # noqa: TRY004 -- the file is wrong, not the program
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Login(identity_token=token, source=path)
    auth = entry.get("auth")
    if isinstance(auth, str) and auth:
        try:
            name, colon, secret = base64.b64decode(auth, validate=False).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ValueError("not base64") from error
        if not colon:
            raise ValueError("no colon")
        return Login(username=name, password=secret.rstrip("\0"), source=path)
    username, password = entry.get("username"), entry.get("password")
    if isinstance(username, str) and isinstance(password, str) and username:
        return Login(username=username, password=password, source=path)
    return None  # `docker login` with a helper leaves an empty entry


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return None
