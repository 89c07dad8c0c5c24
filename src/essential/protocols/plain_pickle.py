"""Pickles read as data. Nothing of a file can run here: no object is looked up by name, called or built.

Python's own unpickler is not used: it hashes whatever a dictionary has as a key, which can take for ever. The standard
library's disassembler names the opcodes; the ones that plain data needs (dictionaries, lists, tuples, text, bytes,
numbers, true, false, none) are followed on a stack of our own, and every other one is refused.
"""

import io
import pickletools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from essential.errors import DataError
from essential.shown import quoted

_DEEPEST = 32
_LARGEST_INT = 2**64
_ADVICE = "nothing of it was run; only a list of plain dictionaries, lists, text and numbers can be read"
_CONTAINERS = frozenset({dict, list, tuple})
_GLOBALS = frozenset({"GLOBAL", "INST"})
_EXTENSIONS = frozenset({"EXT1", "EXT2", "EXT4"})


class _Malformed(Exception):
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
            # The disassembler would warn of an unknown escape in a text, and the user can do nothing about it.
            warnings.simplefilter("ignore", DeprecationWarning)
            _follow(file, machine, name)
        value = machine.result()
        _refuse_deep(value)
    except _Malformed as problem:
        raise DataError(f"{name} is not a whole pickle: it {problem}; get the file again") from None
    if file.tell() != len(content):
        raise DataError(f"{name}: {len(content) - file.tell()} bytes follow the pickle's end; get the file again")
    return value


def _follow(file: io.BytesIO, machine: "_Machine", name: str) -> None:
    for opcode, argument, position in _opcodes(file):
        action = machine.actions.get(opcode.name)
        if action is None:
            raise DataError(f"{name}: {machine.asked(opcode.name, argument)} (at byte {position}); {_ADVICE}")
        try:
            action(argument)
        except _Malformed as problem:
            message = f"{name} is a damaged pickle: {opcode.name} at byte {position} {problem}; get the file again"
            raise DataError(message) from None


def _opcodes(file: io.BytesIO) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    try:
        yield from pickletools.genops(file)
    except (ValueError, OverflowError, MemoryError) as error:
        # The disassembler says what it found: an unknown opcode, an argument or a file cut short, bad text.
        raise _Malformed(f"cannot be read at byte {file.tell()} ({quoted(str(error))})") from None


class _Machine:
    """The stack and the memo. `actions` holds what every opcode allowed does with its argument."""

    def __init__(self, length: int) -> None:
        self.actions: dict[str, Callable[[Any], None]] = _actions(self)
        self._length = length
        self._stack: list[Any] = []
        # The stacks below the open marks, the last one below the last mark.
        self._below: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def asked(self, opcode: str, argument: Any) -> str:
        """Return what a refused opcode wants."""
        if opcode in _GLOBALS:
            return f"the opcode {opcode} asks for the global {quoted('.'.join(str(argument).split(' ', 1)))}"
        if opcode == "STACK_GLOBAL" and all(isinstance(part, str) for part in self._stack[-2:]):
            return f"the opcode STACK_GLOBAL asks for the global {quoted('.'.join(self._stack[-2:]))}"
        if opcode in _EXTENSIONS:
            return f"the opcode {opcode} asks for the registered global number {quoted(argument)}"
        return f"the opcode {opcode} is one that plain data does not need"

    def result(self) -> Any:
        """Return the one value that is left at the end."""
        if self._below or len(self._stack) != 1:
            left = sum(map(len, self._below)) + len(self._stack)
            raise _Malformed(
                f"ends with {left} values on its stack and {len(self._below)} open marks, not with one value"
            )
        return self._stack[0]

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_int(self, value: int) -> None:
        if abs(value) >= _LARGEST_INT:
            raise _Malformed(f"holds a number of {value.bit_length()} bits; 64 are allowed")
        self._stack.append(value)

    def push_python2_text(self, value: str) -> None:
        # The disassembler has read the bytes of a Python 2 string as Latin-1; they are ASCII or UTF-8 in practice.
        try:
            self._stack.append(value.encode("latin-1").decode())
        except UnicodeDecodeError:
            raise _Malformed(f"holds text that is not UTF-8: {quoted(value)}") from None

    def mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def put(self, index: int) -> None:
        # Every entry of the memo takes bytes of the file, so that an honest one has no index beyond its length.
        if not 0 <= index <= self._length:
            raise _Malformed(f"remembers a value as number {quoted(index)}; this file can have 0 to {self._length}")
        self._memo[index] = self._top()

    def memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._top()

    def get(self, index: int) -> None:
        if index not in self._memo:
            raise _Malformed(f"asks for the remembered value number {quoted(index)}, and there is none")
        self._stack.append(self._memo[index])

    def append(self, values: list[Any]) -> None:
        self._top_of(list).extend(values)

    def set_items(self, values: list[Any]) -> None:
        self._top_of(dict).update(_pairs(values))

    def take(self, count: int | None) -> list[Any]:
        """Take the last values off the stack; None: those since the last mark, and that mark."""
        if count is None:
            if not self._below:
                raise _Malformed("needs a mark, and there is none")
            values, self._stack = self._stack, self._below.pop()
            return values
        if len(self._stack) < count:
            raise _Malformed("needs a value, and the stack is empty")
        values, self._stack[-count:] = self._stack[-count:], []
        return values

    def _top(self) -> Any:
        if not self._stack:
            raise _Malformed("needs a value, and the stack is empty")
        return self._stack[-1]

    def _top_of(self, kind: type) -> Any:
        value = self._top()
        if type(value) is not kind:
            raise _Malformed(f"needs a {kind.__name__}, and there is a {type(value).__name__}")
        return value


def _pairs(values: list[Any]) -> dict[str, Any]:
    keys = values[::2]
    if len(values) % 2:
        raise _Malformed(f"has a key without a value: {quoted(values[-1])}")
    for key in keys:
        # Text alone: the hash of a tuple can take for ever or overflow the C stack, those of numbers can be made equal.
        if type(key) is not str:
            raise _Malformed(f"has the key {quoted(key)} in a dictionary; keys are text")
    return dict(zip(keys, values[1::2], strict=True))


def _actions(machine: _Machine) -> dict[str, Callable[[Any], None]]:
    """Return what each opcode does that plain data needs: this is the allow-list."""
    push, take = machine.push, machine.take
    return {
        # These change nothing: a frame is a hint for reading ahead.
        **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda _: None),
        "MARK": machine.mark,
        "NEWTRUE": lambda _: push(True),
        "NEWFALSE": lambda _: push(False),
        **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), machine.push_int),
        **dict.fromkeys(("NONE", "FLOAT", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), push),
        **dict.fromkeys(("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), push),
        **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), machine.push_python2_text),
        "EMPTY_LIST": lambda _: push([]),
        "LIST": lambda _: push(take(None)),
        "APPEND": lambda _: machine.append(take(1)),
        "APPENDS": lambda _: machine.append(take(None)),
        "EMPTY_DICT": lambda _: push({}),
        "DICT": lambda _: push(_pairs(take(None))),
        "SETITEM": lambda _: machine.set_items(take(2)),
        "SETITEMS": lambda _: machine.set_items(take(None)),
        "EMPTY_TUPLE": lambda _: push(()),
        "TUPLE1": lambda _: push(tuple(take(1))),
        "TUPLE2": lambda _: push(tuple(take(2))),
        "TUPLE3": lambda _: push(tuple(take(3))),
        "TUPLE": lambda _: push(tuple(take(None))),
        **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), machine.put),
        "MEMOIZE": machine.memoize,
        **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), machine.get),
    }


def _refuse_deep(value: Any) -> None:
    """Refuse containers that hold themselves or nest too deep, level by level and each container once a level."""
    level = {id(value): value} if type(value) in _CONTAINERS else {}
    for _ in range(_DEEPEST):
        inside = (item for holder in level.values() for item in _items(holder))
        level = {id(item): item for item in inside if type(item) in _CONTAINERS}
        if not level:
            return
    raise _Malformed(f"nests more than {_DEEPEST} deep, or holds itself")


def _items(holder: Any) -> Any:
    return holder.values() if type(holder) is dict else holder
