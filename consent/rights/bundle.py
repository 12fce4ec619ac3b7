"""The file that is handed out: a ZIP with a page for people, JSON for machines, and a manifest of digests (consent.D8, D9).

What enters: a package, and for portability the files that take it elsewhere. What leaves: bytes; the same content gives the same bytes.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Final

from consent.rights.package import Package

MANIFEST: Final = "manifest.json"
FORM: Final = "candor.bundle/1"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the oldest that a ZIP can say: times of making would make equal content differ


def pack(package: Package, page: str, more: Mapping[str, bytes]) -> bytes:
    """A ZIP of ``index.html``, ``access.json``, ``manifest.json`` and further files by name."""
    files = {
        "index.html": page.encode(),
        "access.json": json.dumps(package.model_dump(mode="json"), indent=2, ensure_ascii=False).encode(),
        **more,
    }
    listed = {
        "format": FORM,
        "request": package.request.id,
        "files": {
            name: {"sha256": hashlib.sha256(words).hexdigest(), "bytes": len(words)} for name, words in files.items()
        },
    }
    files[MANIFEST] = json.dumps(listed, indent=2, sort_keys=True).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def faults(bundle: bytes) -> list[str]:
    """What in a bundle is not as its manifest says; empty when all is well."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        names = set(archive.namelist())
        listed = json.loads(archive.read(MANIFEST))["files"]
        found = [f"{name} is not listed" for name in sorted(names - listed.keys() - {MANIFEST})]
        for name, said in sorted(listed.items()):
            if name not in names:
                found.append(f"{name} is missing")
            elif hashlib.sha256(archive.read(name)).hexdigest() != said["sha256"]:
                found.append(f"{name} was altered")
    return found
