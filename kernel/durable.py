"""What a power cut may not undo.

Enters: a folder in which a file was named, renamed or removed. Leaves: nothing; the folder's entries are on the disk.
"""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make what was named, renamed or removed inside a folder survive a power cut. The files' own bytes are their writers' to sync."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
