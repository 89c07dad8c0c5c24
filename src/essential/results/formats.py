"""Numbers as a reader wants them. `None` is always shown as a dash."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from essential.errors import ConfigError
from essential.files.atomic import sha256_of_json
from essential.shown import plain_cell

NONE = "\u2013"
MINUS = "\u2212"
NBSP = "\u00a0"
"""Between a number and its unit, so that no line ends there."""

_LONGEST_NAME = 48
_DIGITS = 12
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_UNITS_READ = 4
_UNITS = "|".join(BYTE_UNITS[:_UNITS_READ])


def percent(fraction: float | None, decimals: int = 1) -> str:
    """0.875 as "87.5"; also for differences, with a real minus sign."""
    return NONE if fraction is None else f"{100 * fraction:z.{decimals}f}".replace("-", MINUS)


def signed_percent(difference: float | None, decimals: int = 2) -> str:
    """0.012 as "+1.20", -0.012 with a real minus sign; what rounds to nothing has no sign."""
    shown = percent(difference, decimals)
    return f"+{shown}" if difference is not None and difference > 0 and float(shown) > 0 else shown


def probability(value: float | None) -> str:
    """A p value with three digits, "<0.001" below that."""
    if value is None:
        return NONE
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def human_bytes(count: int | None) -> str:
    """8_798_208 as "8.39 MiB": binary units, three digits."""
    if count is None:
        return NONE
    power = byte_power(count)
    value = count / 1024**power
    decimals = 0 if power == 0 or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:.{decimals}f}{NBSP}{BYTE_UNITS[power]}"


def size_text(count: int) -> str:
    """153_600 as "150KiB": the largest unit that gives a whole number, as `parsed_size` reads it."""
    power = next(power for power in reversed(range(_UNITS_READ)) if count % 1024**power == 0)
    return f"{count // 1024**power}{BYTE_UNITS[power]}"


def budget_shown(count: int) -> str:
    """A budget, exact, for a reader: 153_600 as "150 KiB", 153_601 as "153,601 B"."""
    number, unit = re.findall(r"\d+|\D+", size_text(count))
    return f"{grouped(int(number))}{NBSP}{unit}"


def parsed_size(size: int | str) -> int:
    """Return the bytes of a whole number, or of a text such as "150KiB", "1.5 MiB" or "153600".

    Raises:
        ConfigError: it is something else, not a whole number of bytes, or nothing.
    """
    text = str(size).strip()
    found = None if isinstance(size, bool) else re.fullmatch(rf"([0-9]{{1,15}}(?:\.[0-9]{{1,9}})?) ?({_UNITS})?", text)
    count = Fraction(found[1]) * 1024 ** BYTE_UNITS.index(found[2] or "B") if found else Fraction(0)
    if count < 1 or count.denominator > 1:
        raise ConfigError(
            f"{text[:_LONGEST_NAME]!r} is no size in bytes",
            remedy="write whole bytes, or a number with B, KiB, MiB or GiB (1 KiB is 1,024 bytes), such as 32KiB",
        )
    return int(count)


def byte_power(count: int) -> int:
    """The power of 1024 in which `count` is at least 1 and below 1000 (so that "1023 KiB" is never shown)."""
    return next((power for power in range(len(BYTE_UNITS)) if count / 1024**power < 999.5), len(BYTE_UNITS) - 1)


def duration(seconds: float) -> str:
    """134.2 as "2 min 14 s"."""
    if seconds < 59.95:
        return f"{seconds:.1f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{NBSP}min{NBSP}{rest:02d}{NBSP}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h{NBSP}{minutes:02d}{NBSP}min"


def counted(count: int, noun: str) -> str:
    """1, "run" as "1 run"; 5, "class" as "5 classes"; 2, "entry" as "2 entries"."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith("s") else "s")
    return f"{grouped(count)} {noun if count == 1 else plural}"


def grouped(count: int) -> str:
    """168913 as "168,913"."""
    return f"{count:,}"


def shortened(text: str, most: int) -> str:
    """The text, or its start and an ellipsis if it is longer than `most` letters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"


def inside(title: str) -> str:
    """A title inside a sentence: "Episodic" as "episodic", but "MR modules" as it is."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def slug(text: str) -> str:
    """A name for files: "Accuracy over tasks" as "accuracy-over-tasks"; 48 of a to z, 0 to 9 and hyphens at most."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LONGEST_NAME].strip("-") or "unnamed"


def stem(name: str, identity: Iterable[str | None]) -> str:
    """A file name without its ending, safe everywhere: readable by `name`, unique by `identity`."""
    return f"{slug(name)}-{sha256_of_json(list(identity))[:_DIGITS]}"


def as_csv(rows: Iterable[Sequence[str | int | float | None]]) -> str:
    """The text of a CSV file, the first row its columns; None is an empty cell, and texts are `plain_cell`s."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([plain_cell(cell) for cell in row] for row in rows)
    return text.getvalue()
