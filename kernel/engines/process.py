"""What both embedded engines need from the operating system: a user, a lock, reachable binaries, a shared-use mark.

Nothing here knows Postgres or Valkey. As root an engine runs as the OS user ``pgserver`` (Postgres refuses root; for
Valkey it is simply better); otherwise as ourselves.
"""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Final

import psutil

from kernel.errors import Unavailable

ENGINE_USER: Final = "pgserver"


class EngineFailed(Unavailable):
    """An embedded engine could not be started, reached or stopped."""

    code = "engine_failed"
    remedy = "Read the engine's log in the data folder; `candor doctor` names it."


def engine_user() -> pwd.struct_passwd | None:
    """The OS user that engines run as: ``pgserver`` (made if absent) as root, else None for ourselves."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(ENGINE_USER)
    made = subprocess.run(  # noqa: S603 - fixed words
        ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", ENGINE_USER],  # noqa: S607 - from PATH
        check=False,
        capture_output=True,
        text=True,
    )
    try:
        return pwd.getpwnam(ENGINE_USER)  # another process may have made it meanwhile
    except KeyError:
        msg = f"expected to make the OS user '{ENGINE_USER}', got exit code {made.returncode} from useradd"
        raise EngineFailed(
            msg, remedy=f"Make the user '{ENGINE_USER}' yourself, or run Candor as an ordinary user."
        ) from None


def run_as(words: Sequence[str], *, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run a command as the engine user to its end; output is captured through a file-free pipe."""
    user = engine_user()
    return subprocess.run(  # noqa: S603 - our own binaries and paths
        list(words),
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        cwd="/",
        env=engine_environment(),
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        extra_groups=[] if user else None,
    )


def engine_environment() -> dict[str, str]:
    """A clean environment: no PG* variable of the caller, no secret of ours."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def own_folder(path: Path, mode: int = 0o700, *, give: bool = True) -> Path:
    """Make ``path`` (parents traversable, not listable) and, unless told otherwise, give it to the engine user."""
    user = engine_user()
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o711, exist_ok=True)
        folder.chmod(0o711)
    path.chmod(mode)
    if user is not None:
        if give:
            os.chown(path, user.pw_uid, user.pw_gid)
        blocked = [str(folder) for folder in path.parents if not folder.stat().st_mode & stat.S_IXOTH]
        if blocked:
            msg = f"expected folders that the OS user '{ENGINE_USER}' may pass through, got a closed one: {blocked[-1]}"
            raise EngineFailed(msg, remedy="Set data_dir to a folder outside home folders, such as /var/lib/candor.")
    return path


def wheel_folder(package: str, inside: str, copies: Path) -> Path:
    """A folder inside an installed wheel, copied once to ``copies`` when the engine user cannot reach the original.

    A virtual environment below a closed home folder is the usual case; opening that home to everyone is not our way.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        msg = f"expected the package '{package}' to be installed, got none"
        raise EngineFailed(msg, remedy="Run `make setup`, or give the address of an external engine.")
    original = Path(spec.submodule_search_locations[0]) / inside
    if not original.is_dir():
        msg = f"expected '{inside}' in the package '{package}', got no such folder (wheel for another platform?)"
        raise EngineFailed(msg, remedy="Give the address of an external engine in the settings.")
    if engine_user() is None or all(folder.stat().st_mode & stat.S_IXOTH for folder in (original, *original.parents)):
        return original
    copy = copies / f"{package}.{original.stat().st_mtime_ns}"
    if not copy.exists():
        own_folder(copies, 0o755, give=False)
        half = copies / f".{copy.name}.{os.getpid()}"
        shutil.copytree(original, half / package / inside, symlinks=True)
        libraries = original.parents[len(Path(inside).parts)] / f"{package}.libs"
        if (
            libraries.is_dir()
        ):  # beside the package, where the programs of a repaired wheel look for them, by a relative path
            shutil.copytree(libraries, half / libraries.name, symlinks=True)
        half.rename(copy)
    return copy / package / inside


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """An exclusive lock between processes, for the moments of starting and stopping."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


class Use:
    """Who uses a running engine: a shared file lock a process, released by the kernel even when the process is killed.

    The one who started an engine stops it, unless others still use it; then it leaves a mark and the last one stops it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "in-use"
        self._mark = folder / "stop-when-unused"
        self._handle: IO[str] | None = None

    def take(self) -> None:
        """Join the users."""
        if self._handle is None:
            self._handle = self._path.open("a")
            fcntl.flock(self._handle, fcntl.LOCK_SH)

    def leave(self, *, started: bool) -> bool:
        """Leave the users; True when the caller must stop the engine now. Call it under the engine's lock."""
        if self._handle is None:
            return False
        handle, self._handle = self._handle, None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if started:
                    self._mark.touch()
                return False
        must = started or self._mark.exists()
        self._mark.unlink(missing_ok=True)
        return must

    def taken(self) -> bool:
        """Whether anyone uses the engine now."""
        if not self._path.exists():
            return False
        with self._path.open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def fresh(self) -> None:
        """A newly started engine carries no mark of the one before."""
        self._mark.unlink(missing_ok=True)


def living(pid: int, name: str, word: str) -> psutil.Process | None:
    """The process ``pid`` if it runs, is called ``name`` and has ``word`` in its command line; else None.

    A pid in a file proves nothing: after a crash or a reboot it may belong to anyone.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or not process.name().startswith(name):
            return None
        return process if any(word in part for part in process.cmdline()) else None
    except psutil.NoSuchProcess:
        return None
