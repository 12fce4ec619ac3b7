"""Where in a YAML text something stands, so that an error names a line.

Enters: YAML text. Leaves: `Lines`, which finds the line of a place such as `("triggers", 0, "when", "delay")`, and the keys that stand twice in one
mapping, of which YAML silently keeps the last.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml


@dataclass(frozen=True, slots=True)
class Lines:
    """A YAML text as nodes that know their lines."""

    root: yaml.Node | None

    @classmethod
    def of(cls, text: str) -> "Lines":
        """Raises `yaml.YAMLError` when the text is no YAML."""
        return cls(yaml.compose(text, Loader=yaml.SafeLoader))

    def line(self, place: Sequence[str | int]) -> int:
        """The line of a place, counted from 1; of the nearest thing around it that is there. Steps that lead nowhere are passed over."""
        node, line = self.root, 1
        for step in place:
            if isinstance(node, yaml.MappingNode):
                pair = next(((k, v) for k, v in node.value if k.value == step), None)
                if pair is not None:
                    line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
        return line

    def doubled(self) -> Iterator[tuple[int, str]]:
        """Line and name of every key that its mapping has already."""
        waiting = [self.root] if self.root is not None else []
        while waiting:
            node = waiting.pop()
            if isinstance(node, yaml.MappingNode):
                seen: set[str] = set()
                for key, value in node.value:
                    if key.value in seen:
                        yield key.start_mark.line + 1, str(key.value)
                    seen.add(key.value)
                    waiting.append(value)
            elif isinstance(node, yaml.SequenceNode):
                waiting.extend(node.value)
