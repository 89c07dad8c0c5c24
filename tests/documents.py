"""The documents as tests read them: their fenced blocks, and the command lines in these."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from essential.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
# A paragraph that ends in a colon and names a source says that the reader writes the block there.
_FILE = r"`((?:(?:src|tests)/[\w./-]+|[\w-]+)\.(?:py|yaml|toml))`"
_WRITTEN = re.compile(_FILE + r"(?:(?!\n\n).)*:\n\n\Z", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        document: path below the project.
        line: number of its first line.
        language: `sh`, `python`, ...; empty for what is only shown.
        text: without the fences.
        file: where the reader is to write it; None where it is to be run, or only shown.
    """

    document: str
    line: int
    language: str
    text: str
    file: str | None

    @property
    def is_script(self) -> bool:
        """Whether it is a whole file for a shell, not lines to type."""
        return self.text.startswith("#!")

    @property
    def lines(self) -> list[tuple[int, str]]:
        """The command lines of a `sh` block, continued ones joined, each with its number; comments alone are none."""
        joined, found, first = "", [], self.line
        for number, text in enumerate(self.text.splitlines(), start=self.line):
            first = first if joined else number
            joined += text.rstrip("\\") if text.endswith("\\") else text
            if not text.endswith("\\"):
                if joined.strip() and not joined.lstrip().startswith("#"):
                    found.append((first, joined.strip()))
                joined = ""
        return found


def blocks(document: Path) -> list[Block]:
    """Return the blocks of a document in order."""
    text = document.read_text()
    found = []
    for match in _FENCE.finditer(text):
        written = _WRITTEN.search(text[: match.start()])
        line = text[: match.start(3)].count("\n") + 1
        content = re.sub(rf"^{match[1]}", "", match[3], flags=re.MULTILINE)
        found.append(Block(str(document.relative_to(ROOT)), line, match[2], content, written[1] if written else None))
    return found


def words(line: str) -> list[str]:
    """Return a command line as words; `|` and `>` are words of their own, a comment is none."""
    reader = shlex.shlex(line, posix=True, punctuation_chars="|>")
    reader.whitespace_split = True
    return list(reader)


def essential_commands(line: str) -> Iterator[list[str]]:
    """Give the arguments of every `essential` in a command line, also of `python -m essential`."""
    parts = words(line)
    starts = [at for at, word in enumerate(parts) if word == "essential"]
    for start in starts:
        rest = parts[start + 1 :]
        ends = [at for at, word in enumerate(rest) if word in ("|", ">")]
        yield rest[: ends[0]] if ends else rest


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Parse what is given to `essential` without running it, and return its values; what is wrong is an error."""
    command, rest = typer.main.get_command(app), list(arguments)
    context = command.context_class(command, info_name="essential")
    while isinstance(command, TyperGroup):
        if not rest and command.invoke_without_command:
            return {}
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        context, command = found.context_class(found, info_name=name, parent=context), found
    command.parse_args(context, rest)
    return context.params
