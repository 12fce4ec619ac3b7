"""YAML text to plain values: only what JSON could say, and dates; never an object.

The parser of libyaml where the installation has it (the wheels of PyYAML do): a shop's files are read on every start, and it is
many times as fast.
"""

from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(text: str) -> Any:
    """What `text` says.

    Raises:
        yaml.YAMLError: it is not YAML, or asks for an object.
    """
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - one of the two safe ones
