"""Pickles read as data. Those that would run something are made here, and shown to be a danger to Python's reader."""

import copyreg
import pickle
import pickletools
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from essential.errors import DataError
from essential.protocols import plain_pickle
from essential.protocols.plain_pickle import read_plain_pickle

RAN: list[object] = []


class Danger:
    """Notes that it was made, or that its state was set."""

    def __new__(cls, *arguments: object) -> "Danger":
        RAN.append(("new", arguments))
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        RAN.append(("state", state))


MADE = Danger()


def call(*arguments: object) -> Danger:
    """Note that it was called."""
    RAN.append(("call", arguments))
    return MADE


class Reduced:
    """Pickles itself as a call of `call`, and a state for what that gives."""

    def __reduce__(self) -> tuple[Any, ...]:
        return call, ("argument",), "state"


@pytest.fixture(autouse=True)
def _nothing_ran_yet() -> Iterator[None]:
    RAN.clear()
    copyreg.add_extension(__name__, "call", 201)
    copyreg.add_extension(__name__, "Danger", 60_001)
    yield
    copyreg.remove_extension(__name__, "call", 201)
    copyreg.remove_extension(__name__, "Danger", 60_001)


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _global(name: str) -> bytes:
    return f"c{__name__}\n{name}\n".encode()


def _message(content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        read_plain_pickle(content, "x.pkl")
    return str(caught.value)


ASKED = "asks for the global '" + __name__
HOSTILE = [
    (_global("call") + b")R.", f"GLOBAL {ASKED}.call' (at byte 0)"),
    (b"\x80\x02]" + _global("call") + b")Ra.", f"GLOBAL {ASKED}.call' (at byte 3)"),
    (_global("MADE") + _text("state") + b"b.", f"GLOBAL {ASKED}.MADE' (at byte 0)"),
    (b"(" + _global("Danger") + b"o.", f"GLOBAL {ASKED}.Danger' (at byte 1)"),
    (b"(S'x'\ni" + f"{__name__}\ncall\n.".encode(), f"INST {ASKED}.call' (at byte 6)"),
    (b"\x80\x04" + _text(__name__) + _text("call") + b"\x93)R.", f"STACK_GLOBAL {ASKED}.call' (at byte 33)"),
    (b"\x82\xc9)R.", "EXT1 asks for the registered global number 201 (at byte 0)"),
    (b"\x83\x61\xea)\x81.", "EXT2 asks for the registered global number 60001 (at byte 0)"),
    (b"\x84\x61\xea\0\0)\x81.", "EXT4 asks for the registered global number 60001 (at byte 0)"),
    *(
        (pickle.dumps({"train": [{"run": [Reduced()]}]}, protocol), f"{'STACK_' * (protocol > 3)}GLOBAL {ASKED}.call'")
        for protocol in range(6)
    ),
]


@pytest.mark.parametrize(("content", "expected"), HOSTILE)
def test_nothing_of_a_pickle_runs_and_what_it_asks_for_is_named(content: bytes, expected: str) -> None:
    message = _message(content)
    assert message.startswith(f"x.pkl: the opcode {expected}")
    assert message.endswith(
        "; nothing of it was run; only a list of plain dictionaries, lists, text and numbers can be read"
    )
    assert RAN == []
    # The danger is real, so that this test can fail.
    pickle.loads(content)
    assert RAN != []


ACTING = {
    "REDUCE": _global("call") + b")R.",
    "BUILD": _global("MADE") + _text("state") + b"b.",
    "OBJ": b"(" + _global("Danger") + b"o.",
    "NEWOBJ": b"\x80\x02" + _global("Danger") + b")\x81.",
    "NEWOBJ_EX": b"\x80\x04" + _global("Danger") + b")}\x92.",
}


@pytest.mark.parametrize("opcode", ACTING)
def test_what_acts_on_an_object_is_refused_by_itself(opcode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the refusal of globals taken away the next wall must hold.
    class WithGlobals(plain_pickle._Machine):
        def __init__(self, length: int) -> None:
            super().__init__(length)
            self.actions["GLOBAL"] = lambda name: self._stack.append(globals()[name.split(" ")[1]])

    monkeypatch.setattr(plain_pickle, "_Machine", WithGlobals)
    content = ACTING[opcode]
    assert f"x.pkl: the opcode {opcode} is one that plain data does not need (at byte " in _message(content)
    assert RAN == []
    pickle.loads(content)
    assert RAN != []


def test_the_opcodes_allowed_are_these_and_no_other_of_any_python() -> None:
    refused = {opcode.name for opcode in pickletools.opcodes} - plain_pickle._Machine(0).actions.keys()
    assert refused >= {
        *("GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
        *("REDUCE", "BUILD", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
        *("DUP", "POP", "POP_MARK", "BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER"),
    }
    assert len(plain_pickle._Machine(0).actions) == 46


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\x95" + b"\xff" * 8 + b"].", None),  # a frame of 2 ** 64 - 1 bytes
        (b"\x8e" + b"\xff" * 7 + b"\x0f.", "is not a whole pickle"),  # BINBYTES8 of as many
        (b"\x8d" + b"\xff" * 7 + b"\x0f.", "is not a whole pickle"),
        (b"\x8b\xff\xff\xff\x7f.", "is not a whole pickle"),  # a number of 2 GB
        (b"\x8b\xa0\x86\x01\0" + b"\x01" * 100_000 + b".", "LONG4 at byte 0 holds a number of 799993 bits"),
        (b"L" + b"9" * 100_000 + b"L\n.", "x.pkl is "),
        (b"]r\xff\xff\xff\xff.", "LONG_BINPUT at byte 1 remembers a value as number 4294967295"),
        (b"(X\x10\x27\0\0" + b"x" * 10_000 + b"\x94" + b"h\0" * 10_000 + b"t.", None),  # a text 10,000 times
        (b"(" * 10_000 + b"l" * 10_000 + b".", "nests more than 32 deep"),
        (b"(" * 10_000 + b".", "ends with 0 values on its stack and 10000 open marks"),
        (b"}(" + b"X\x01\0\0\0a}" * 10_000 + b"u.", None),
    ],
)
def test_the_memory_is_in_proportion_to_the_file(content: bytes, expected: str | None) -> None:
    tracemalloc.start()
    try:
        if expected is None:
            read_plain_pickle(content, "x.pkl")
        else:
            assert expected in _message(content)
        assert tracemalloc.get_traced_memory()[1] < 200_000 + 150 * len(content)
    finally:
        tracemalloc.stop()


def test_a_very_long_global_is_named_in_short() -> None:
    message = _message(b"c" + b"os" * 50_000 + b"\nsystem\n.")
    assert "asks for the global 'osos" in message
    assert len(message) < 400


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "x.pkl is not a whole pickle: it cannot be read at byte 0 ('pickle exhausted before seeing STOP')"),
        (b"\x80\x04]", "is not a whole pickle: it cannot be read at byte 3"),
        (b"X\xff\0\0\0abc", "is not a whole pickle: it cannot be read at byte 8"),
        (b"not a pickle at all\n", "at byte 1 (\"at position 0, opcode b'n' unknown\")"),
        (b"\xff.", "at byte 1 "),
        (b".", "ends with 0 values on its stack and 0 open marks, not with one value; get the file again"),
        (b"]].", "ends with 2 values on its stack and 0 open marks"),
        (b"](.", "ends with 1 values on its stack and 1 open marks"),
        (b"].]", "x.pkl: 1 bytes follow the pickle's end; get the file again"),
        (b"h\x05.", "BINGET at byte 0 asks for the remembered value number 5, and there is none; get the file again"),
        (b"g-1\n.", "GET at byte 0 asks for the remembered value number -1, and there is none"),
        (b"]p99999999999\n.", "PUT at byte 1 remembers a value as number 99999999999; this file can have 0 to 15"),
        (b"]p-1\n.", "PUT at byte 1 remembers a value as number -1"),
        (b"q\0.", "BINPUT at byte 0 needs a value, and the stack is empty"),
        (b"\x94.", "MEMOIZE at byte 0 needs a value, and the stack is empty"),
        (b"Na.", "APPEND at byte 1 needs a value, and the stack is empty"),
        (b"}Na.", "APPEND at byte 2 needs a list, and there is a dict"),
        (b"]e.", "APPENDS at byte 1 needs a mark, and there is none"),
        (b"(e.", "APPENDS at byte 1 needs a value, and the stack is empty"),
        (b"](NNs.", "SETITEM at byte 4 needs a value, and the stack is empty"),
        (b"]U\x01aNs.", "SETITEM at byte 5 needs a dict, and there is a list"),
        (b"}(Nu.", "SETITEMS at byte 3 has a key without a value: None"),
        (b"(U\x01ad.", "DICT at byte 4 has a key without a value: 'a'"),
        (b"}]Ns.", "SETITEM at byte 3 has the key [] in a dictionary; keys are text"),
        (b"}(K\x05Nu.", "SETITEMS at byte 5 has the key 5 in a dictionary; keys are text"),
        (b"N\x86.", "TUPLE2 at byte 1 needs a value, and the stack is empty"),
        (b"t.", "TUPLE at byte 0 needs a mark, and there is none"),
        (b"\x8a\x09" + b"\xff" * 8 + b"\x01.", "LONG1 at byte 0 holds a number of 65 bits; 64 are allowed"),
        (b"\x8b\xff\xff\xff\xff.", "is not a whole pickle"),
        (b"U\x02\xff\xfe.", "SHORT_BINSTRING at byte 0 holds text that is not UTF-8: 'ÿþ'"),
        (b"I12x\n.", "is not a whole pickle: it cannot be read at byte 5 ("),
        (b"L" + b"9" * 5000 + b"L\n.", "x.pkl is"),
        (b"]\x94h\0a.", "nests more than 32 deep, or holds itself"),
        (b"}\x94U\x01ah\0s.", "nests more than 32 deep, or holds itself"),
        (b"]" * 33 + b"a" * 32 + b".", "nests more than 32 deep, or holds itself"),
        (b"]" * 50_000 + b"a" * 49_999 + b".", "nests more than 32 deep, or holds itself"),
        (b"})" + b"\x85" * 50_000 + b"Ns.", "in a dictionary; keys are text"),
        (b")" + b"\x85" * 50_000 + b".", "nests more than 32 deep, or holds itself"),
    ],
)
def test_damaged_pickles(content: bytes, expected: str) -> None:
    message = _message(content)
    assert expected in message
    assert len(message) < 400


def test_32_deep_is_read() -> None:
    value = read_plain_pickle(b"]" * 32 + b"a" * 31 + b".", "x.pkl")
    assert str(value) == "[" * 32 + "]" * 32


def test_a_bomb_of_shared_lists_is_read_at_the_cost_of_its_bytes() -> None:
    # Walked in full this is 10 ** 20 values; as objects it is 21 lists.
    parts = [b"]\x94"]
    for depth in range(20):
        parts.append(b"](" + (b"h" + bytes([depth])) * 10 + b"e\x94")
    # Every list but the last is left on the stack: put them all into one.
    value = read_plain_pickle(b"(" + b"".join(parts) + b"l.", "x.pkl")
    assert len(value) == 21
    assert value[20][9] is value[20][0] is value[19]


def test_an_unknown_escape_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_plain_pickle(rb"S'\d'" + b"\n.", "x.pkl") == r"\d"


def test_text_of_python_2() -> None:
    assert read_plain_pickle(b"\x80\x02U\x05caf\xc3\xa9.", "x.pkl") == "café"
    assert read_plain_pickle(
        b"(dp0\nS'train'\np1\n(lp2\nS'v_1'\np3\nasS'val'\n(lp4\nI00\naF1.5\naL7L\nas.", "x.pkl"
    ) == {
        "train": ["v_1"],
        "val": [False, 1.5, 7],
    }


# The stored keys are text, integers fit 64 bits; NaN is not equal to itself.
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64) + 1, 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters())
)
_PLAIN = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(max_size=5), inner)
        | st.lists(inner, max_size=5).map(tuple)
        | inner.map(lambda value: [value, value])
    ),
    max_leaves=25,
)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(_PLAIN, st.integers(0, 5))
@example([{"a": "x" * 300}] * 300, 4)
@example({str(i): i for i in range(2000)}, 2)
def test_plain_data_comes_back_as_python_reads_it(value: Any, protocol: int) -> None:
    content = pickle.dumps(value, protocol)
    found = read_plain_pickle(content, "x.pkl")
    assert found == pickle.loads(content) == value
    # Equal is not yet the same: True is 1, and 1.0 too.
    assert repr(found) == repr(value)


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_bytes_are_read_where_they_need_no_call(protocol: int) -> None:
    assert read_plain_pickle(pickle.dumps([b"ab", b"c" * 300], protocol), "x.pkl") == [b"ab", b"c" * 300]
    assert "asks for the global '_codecs.encode'" in _message(pickle.dumps([b"ab"], 2))


_OPCODES = st.sampled_from(
    [bytes([code]) for code in range(256)] + [b"(", b"]", b"}", b")", b"\x94", b"h\0", b"U\x01a", b"e", b"u", b"K\x01"]
)


@settings(deadline=None, derandomize=True, max_examples=400)
@given(st.binary(max_size=40) | st.lists(_OPCODES, max_size=15).map(lambda parts: b"".join(parts) + b"."))
def test_whatever_the_bytes_they_are_read_or_refused(content: bytes) -> None:
    with suppress(DataError):
        read_plain_pickle(content, "x.pkl")


@settings(deadline=None, derandomize=True, max_examples=150)
@given(_PLAIN, st.integers(0, 5), st.data())
def test_a_damaged_pickle_is_read_or_refused(value: Any, protocol: int, data: st.DataObject) -> None:
    content = bytearray(pickle.dumps(value, protocol))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DataError):
        read_plain_pickle(bytes(content), "x.pkl")
    with pytest.raises(DataError):
        read_plain_pickle(pickle.dumps(value, protocol)[: data.draw(st.integers(0, len(content) - 1))], "x.pkl")
