"""Pickles read as data. Nothing of a file can run here: no object is looked up by name, called or built.

The standard library's disassembler names every opcode, and all are refused but those that plain data needs
(dictionaries, lists, tuples, text, bytes, numbers, true, false, none). Then its unpickler, the one written in Python,
reads the file. Keys are checked before they are hashed: the hash of a tuple can take for ever or overflow the C stack,
and those of numbers can be made equal.
"""

import io
import pickle
import pickletools
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from essential.errors import DataError
from essential.shown import quoted

_DEEPEST = 32
_LARGEST_INT = 2**64
_ADVICE = "nothing of it was run; only a list of plain dictionaries, lists, text and numbers can be read"
_CONTAINERS = frozenset({dict, list, tuple})
_NUMBERS = frozenset({"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"})
# What opcodes ask for that have it in their argument.
_WANTS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(("GLOBAL", "INST"), lambda name: f"asks for the global {quoted('.'.join(name.split(' ', 1)))}"),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda number: f"asks for the registered global number {number}"),
}
# The allow-list.
_PLAIN = (
    _NUMBERS
    | {"PROTO", "FRAME", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "FLOAT", "BINFLOAT"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "STRING", "BINSTRING", "SHORT_BINSTRING"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"}
    | {"EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE"}
    | {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"}
)


_AGAIN = "get the file again"
_NOT_NEEDED = "is one that plain data does not need"


def read_plain_pickle(content: bytes, name: str) -> Any:
    """Return the plain data that a whole pickle of protocol 0 to 5, which messages call `name`, holds.

    Dictionaries have text as keys, integers fit 64 bits, and containers nest 32 deep at most and never hold themselves;
    one and the same container may stand in several places, so walk what comes back along the shape you expect.

    Raises:
        DataError: an opcode that plain data does not need, by its name and what it asks for; or the file is damaged.
    """
    reader = _Reader(io.BytesIO(content), encoding="utf-8")
    with warnings.catch_warnings():
        # An unknown escape in a text would give a warning, and the user can do nothing about it.
        warnings.simplefilter("ignore", DeprecationWarning)
        position = _check_opcodes(content, name)
        try:
            value = reader.load()
            if reader.stack or reader.metastack:
                raise ValueError("values are left on its stack")
            _refuse_deep(value)
        except _AsksForGlobal as asked:
            what = f"asks for the global {quoted(str(asked))}"
            raise _refused(name, "STACK_GLOBAL", position, what) from None
        except Exception as error:
            if position is not None:
                raise _refused(name, "STACK_GLOBAL", position, _NOT_NEEDED) from None
            problem = f"{name} is a damaged pickle ({type(error).__name__}: {quoted(str(error))})"
            raise DataError(problem, remedy=_AGAIN) from None
    return value


def _check_opcodes(content: bytes, name: str) -> int | None:
    """Refuse opcodes that plain data does not need; return where `STACK_GLOBAL` is: its names are on the stack."""
    file = io.BytesIO(content)
    try:
        for opcode, argument, position in pickletools.genops(file):
            if opcode.name == "STACK_GLOBAL":
                return position
            if opcode.name not in _PLAIN:
                what = _WANTS.get(opcode.name, lambda _: _NOT_NEEDED)(argument)
                raise _refused(name, opcode.name, position, what)
            excess = _excess(opcode.name, argument, len(content))
            if excess is not None:
                raise DataError(f"{opcode.name} at byte {position} {excess}", where=name, remedy=_AGAIN)
    except (ValueError, OverflowError, MemoryError) as error:
        # The disassembler says what it found: an unknown opcode, an argument or a file cut short, bad text.
        problem = f"{name} is not a whole pickle: it cannot be read at byte {file.tell()} ({quoted(str(error))})"
        raise DataError(problem, remedy=_AGAIN) from None
    if file.tell() != len(content):
        raise DataError(f"{len(content) - file.tell()} bytes follow the pickle's end", where=name, remedy=_AGAIN)
    return None


def _excess(opcode: str, argument: Any, length: int) -> str | None:
    """Return why a number is refused in a file of `length` bytes; None if it is not."""
    if opcode in _NUMBERS and abs(argument) >= _LARGEST_INT:
        return f"holds a number of {argument.bit_length()} bits; 64 are allowed"
    # Every entry of the memo takes bytes of an honest file. Larger numbers could be made to have equal hashes.
    if opcode in ("PUT", "BINPUT", "LONG_BINPUT") and not 0 <= argument <= length:
        return f"remembers a value as number {quoted(argument)}; this file can have 0 to {length}"
    return None


def _refused(name: str, opcode: str, position: int | None, what: str) -> DataError:
    return DataError(f"the opcode {opcode} {what} (at byte {position})", where=name, remedy=_ADVICE)


class _AsksForGlobal(Exception):
    """The pickle asks for an object by name."""


class _Reader(pickle._Unpickler):
    """Has no handlers but those of plain data, and checks keys."""

    stack: list[Any]
    metastack: list[list[Any]]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[Any] = {
        ord(opcode.code): pickle._Unpickler.dispatch[ord(opcode.code)]
        for opcode in pickletools.opcodes
        if opcode.name in _PLAIN or opcode.name == "STACK_GLOBAL"
    }

    def find_class(self, module: str, name: str) -> NoReturn:
        raise _AsksForGlobal(f"{module}.{name}")

    def _load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._set(items)

    def _load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        for key in items[::2]:
            if type(key) is not str:
                raise ValueError(f"the key {quoted(key)} in a dictionary; keys are text")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    dispatch |= {ord("d"): _load_dict, ord("s"): _load_setitem, ord("u"): _load_setitems}


def _refuse_deep(value: Any) -> None:
    """Refuse containers that hold themselves or nest too deep, level by level and each container once a level."""
    level = {id(value): value} if type(value) in _CONTAINERS else {}
    for _ in range(_DEEPEST):
        holders = (holder.values() if type(holder) is dict else holder for holder in level.values())
        level = {id(item): item for holder in holders for item in holder if type(item) in _CONTAINERS}
        if not level:
            return
    raise ValueError(f"it nests more than {_DEEPEST} deep, or holds itself")
