"""Pickles read as data. Nothing of a file can run here: no object is looked up by name, called or built.

Python's unpickler is not used. The standard library's disassembler gives the opcodes. Those that plain data needs
(dictionaries, lists, tuples, text, bytes, numbers, true, false, none) are followed on a stack of our own, and all
others are refused. So the memory that a file takes is in proportion to its bytes.
"""

import io
import pickletools
import warnings
from collections.abc import Callable
from typing import Any

from essential.errors import DataError
from essential.files.untrusted import nests_deeper
from essential.shown import quoted

_DEEPEST = 32
_LARGEST_INT = 2**64
_ADVICE = "nothing of it was run; only a list of plain dictionaries, lists, text and numbers can be read"
_AGAIN = "get the file again"


class _Damaged(Exception):
    """The opcodes do not fit each other; the message says how."""


def read_plain_pickle(content: bytes, name: str) -> Any:
    """Return the plain data that a whole pickle of protocol 0 to 5, which messages call `name`, holds.

    Dictionaries have text as keys, integers fit 64 bits, and containers nest 32 deep at most and never hold themselves;
    one and the same container may stand in several places, so walk what comes back along the shape you expect.

    Raises:
        DataError: an opcode that plain data does not need, by its name and what it asks for; or the file is damaged.
    """
    file = io.BytesIO(content)
    machine = _Machine(len(content))
    try:
        with warnings.catch_warnings():
            # An unknown escape in a text would give a warning, and the user can do nothing about it.
            warnings.simplefilter("ignore", DeprecationWarning)
            for opcode, argument, position in pickletools.genops(file):
                action = machine.actions.get(opcode.name)
                if action is None:
                    wanted = machine.wanted(opcode.name, argument)
                    problem = f"the opcode {opcode.name} {wanted} (at byte {position})"
                    raise DataError(problem, where=name, remedy=_ADVICE)
                action(argument)
        value = machine.result()
    except _Damaged as damage:
        problem = f"{name} is a damaged pickle: {opcode.name} at byte {position} {damage}"
        raise DataError(problem, remedy=_AGAIN) from None
    except (ValueError, OverflowError, MemoryError) as error:
        # The disassembler says what it found: an unknown opcode, an argument or a file cut short, bad text.
        problem = f"{name} is not a whole pickle: it cannot be read at byte {file.tell()} ({quoted(str(error))})"
        raise DataError(problem, remedy=_AGAIN) from None
    if file.tell() != len(content):
        raise DataError(f"{len(content) - file.tell()} bytes follow the pickle's end", where=name, remedy=_AGAIN)
    return value


class _Machine:
    """The stack and the memo. `actions`, the allow-list, holds what an opcode does with its argument."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._stack: list[Any] = []
        # Where the stack stood at each open mark; the first is no mark, but the bottom.
        self._marks = [0]
        self._memo: dict[int, Any] = {}
        push, take = self._stack.append, self._take
        self.actions: dict[str, Callable[[Any], object]] = {
            # These change nothing: a frame is a hint for reading ahead.
            **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda _: None),
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "NEWTRUE": lambda _: push(True),
            "NEWFALSE": lambda _: push(False),
            **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), self._push_number),
            **dict.fromkeys(("NONE", "FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), push),
            **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), push),
            **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), self._push_python2_text),
            "EMPTY_LIST": lambda _: push([]),
            "EMPTY_DICT": lambda _: push({}),
            "EMPTY_TUPLE": lambda _: push(()),
            "LIST": lambda _: push(take()),
            "DICT": lambda _: push(_dictionary(take())),
            "TUPLE": lambda _: push(tuple(take())),
            "TUPLE1": lambda _: push(tuple(take(1))),
            "TUPLE2": lambda _: push(tuple(take(2))),
            "TUPLE3": lambda _: push(tuple(take(3))),
            "APPEND": lambda _: self._extend(take(1)),
            "APPENDS": lambda _: self._extend(take()),
            "SETITEM": lambda _: self._update(take(2)),
            "SETITEMS": lambda _: self._update(take()),
            **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), self._put),
            "MEMOIZE": lambda _: self._put(len(self._memo)),
            **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), self._get),
        }

    def wanted(self, opcode: str, argument: Any) -> str:
        """Return what an opcode that is refused asks for."""
        names = argument.split(" ", 1) if opcode in ("GLOBAL", "INST") else self._stack[-2:]
        if opcode in ("GLOBAL", "INST", "STACK_GLOBAL") and all(isinstance(part, str) for part in names):
            return f"asks for the global {quoted('.'.join(names))}"
        if opcode in ("EXT1", "EXT2", "EXT4"):
            return f"asks for the registered global number {argument}"
        return "is one that plain data does not need"

    def result(self) -> Any:
        """Return the one value that is left at the end."""
        if len(self._stack) != 1 or len(self._marks) > 1:
            left = f"{len(self._stack)} values on its stack and {len(self._marks) - 1} open marks"
            raise _Damaged(f"ends with {left}, not with one value")
        if nests_deeper(self._stack[0], _DEEPEST):
            raise _Damaged(f"ends a value that nests more than {_DEEPEST} deep, or holds itself")
        return self._stack[0]

    def _push_number(self, number: int) -> None:
        if abs(number) >= _LARGEST_INT:
            raise _Damaged(f"holds a number of {number.bit_length()} bits; 64 are allowed")
        self._stack.append(number)

    def _push_python2_text(self, value: str) -> None:
        # The disassembler has read the bytes of a Python 2 string as Latin-1; they are ASCII or UTF-8 in practice.
        try:
            self._stack.append(value.encode("latin-1").decode())
        except UnicodeError:
            raise _Damaged(f"holds text that is not UTF-8: {quoted(value)}") from None

    def _take(self, count: int | None = None) -> list[Any]:
        """Take the last values off the stack; without a count, those since the last mark, and the mark."""
        start = self._marks.pop() if count is None else len(self._stack) - count
        if not self._marks:
            raise _Damaged("needs a mark, and there is none")
        if start < self._marks[-1]:
            raise _Damaged("needs a value, and the stack is empty")
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _top(self, kind: type = object) -> Any:
        if len(self._stack) == self._marks[-1]:
            raise _Damaged("needs a value, and the stack is empty")
        if not isinstance(self._stack[-1], kind):
            raise _Damaged(f"needs a {kind.__name__}, and there is a {type(self._stack[-1]).__name__}")
        return self._stack[-1]

    def _extend(self, values: list[Any]) -> None:
        self._top(list).extend(values)

    def _update(self, values: list[Any]) -> None:
        self._top(dict).update(_dictionary(values))

    def _put(self, index: int) -> None:
        # Every entry of the memo takes bytes of an honest file. Larger numbers could be made to have equal hashes.
        if not 0 <= index <= self._length:
            raise _Damaged(f"remembers a value as number {quoted(index)}; this file can have 0 to {self._length}")
        self._memo[index] = self._top()

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise _Damaged(f"asks for the remembered value number {quoted(index)}, and there is none")
        self._stack.append(self._memo[index])


def _dictionary(values: list[Any]) -> dict[str, Any]:
    if len(values) % 2:
        raise _Damaged(f"has a key without a value: {quoted(values[-1])}")
    for key in values[::2]:
        # Text alone: the hash of a tuple can take for ever or overflow the C stack, those of numbers can be made equal.
        if type(key) is not str:
            raise _Damaged(f"has the key {quoted(key)} in a dictionary; keys are text")
    return dict(zip(values[::2], values[1::2], strict=True))
