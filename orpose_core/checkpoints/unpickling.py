"""Pickles of arrays, read without running anything that a pickle may ask for.

A pickle is a program. The reader here knows plain containers, strings, numbers and NumPy's arrays of numbers.
NumPy's own objects are not handed to the pickle: it could complete a data type so that an array reaches
beyond its memory. Stand-ins record what the pickle says, and the arrays are built from them afterwards.
"""

from __future__ import annotations

import math
import pickle
import reprlib
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar, Literal

import numpy as np

_KINDS = "biuf"
"""NumPy's letters for truth values and numbers."""

_OPCODES = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK, pickle.DUP,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1, pickle.BININT2,
    pickle.LONG, pickle.LONG1, pickle.LONG4, pickle.FLOAT, pickle.BINFLOAT,
    pickle.STRING, pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.UNICODE, pickle.BINUNICODE,
    pickle.SHORT_BINUNICODE, pickle.BINUNICODE8, pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8,
    pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
    pickle.EMPTY_LIST, pickle.LIST, pickle.APPEND, pickle.APPENDS,
    pickle.EMPTY_DICT, pickle.DICT, pickle.SETITEM, pickle.SETITEMS,
    pickle.PUT, pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GET, pickle.BINGET,
    pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD,
)  # fmt: skip


class RefusedPickleError(ValueError):
    """The pickle asks for something other than arrays of numbers and plain containers."""


def load_arrays(file: BinaryIO, encoding: str = "ASCII") -> Any:
    """Return what a pickle holds: dictionaries, lists, tuples, strings, numbers and arrays of numbers.

    Args:
        file: open for reading, at the start of the pickle.
        encoding: of Python 2's strings; ``"latin1"`` where arrays were pickled by Python 2.

    Raises:
        RefusedPickleError: the pickle asks for code, or for arrays of something other than numbers.
        ValueError: the pickle is damaged or cut short.
    """
    try:
        return _built(_ArraysOnly(file, encoding=encoding).load(), {})
    except RefusedPickleError:
        raise
    except RecursionError:
        raise ValueError("its containers are nested too deeply") from None
    except (
        pickle.UnpicklingError, EOFError, ValueError, TypeError, LookupError, AttributeError, ImportError,
        MemoryError, OverflowError, AssertionError, struct.error,
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"damaged or cut short ({reason})") from None


class _DataType:
    """Stands for a ``numpy.dtype`` of numbers, or of objects."""

    __slots__ = ("_code", "_order")

    def __init__(self, code: Any, *_: Any) -> None:
        known = np.dtype(code) if isinstance(code, str) and len(code) <= 8 else None
        if known is None or known.kind not in f"{_KINDS}O" or known.names or known.subdtype:
            raise RefusedPickleError(f"an array of {reprlib.repr(code)}")
        self._code, self._order = known, "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in ("<", ">", "|", "="):
            raise RefusedPickleError(f"a data type completed by {reprlib.repr(state)}")
        if any(part is not None for part in state[2:5]):
            raise RefusedPickleError("an array of records")
        self._order = state[1]

    @property
    def numbers(self) -> np.dtype:
        """The data type, of numbers alone."""
        if self._code.kind not in _KINDS:
            raise RefusedPickleError(f"an array of {self._code}")
        return self._code if self._order == "|" else self._code.newbyteorder(self._order)  # type: ignore[call-overload,arg-type]

    @property
    def of_objects(self) -> bool:
        """Whether the array holds objects, not numbers."""
        return self._code.kind == "O"


class _Array:
    """Stands for an array until the pickle is read to its end."""

    __slots__ = ("_content", "_order", "_shape", "_type")

    def __init__(self, content: Any = b"", kind: Any = None, shape: Any = (0,), order: Any = "C") -> None:
        self._content, self._type, self._shape, self._order = content, kind, shape, order

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise RefusedPickleError("an array completed by something else than an array's state")
        _, self._shape, self._type, fortran, self._content = state
        self._order = "F" if fortran else "C"

    def built(self, done: dict[int, Any]) -> Any:
        """Return the array, or what a single-item array of objects holds."""
        kind, shape, content = self._type, self._shape, self._content
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise RefusedPickleError(f"an array of shape {reprlib.repr(shape)}")
        if not isinstance(kind, _DataType):
            raise RefusedPickleError("an array without a data type")
        if kind.of_objects:
            if not isinstance(content, list) or len(content) != 1 or math.prod(shape) != 1:
                raise RefusedPickleError("an array of objects")
            return _built(content[0], done)
        if isinstance(content, str):
            content = content.encode("latin1")  # how Python 2 wrote bytes
        if not isinstance(content, (bytes, bytearray)):
            raise RefusedPickleError(f"an array made of {type(content).__name__}")
        order: Literal["C", "F"] = "F" if self._order == "F" else "C"
        flat: np.ndarray = np.frombuffer(content, kind.numbers) if content else np.empty(0, kind.numbers)
        return flat.reshape(shape, order=order).copy(order)


class _Function:
    """A name that a pickle may call; nothing can be set on it."""

    __slots__ = ("_run",)
    _run: Callable[..., Any]

    def __init__(self, run: Callable[..., Any]) -> None:
        object.__setattr__(self, "_run", run)

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise RefusedPickleError(f"an attribute {name!r} of a function")


_NDARRAY = "numpy.ndarray"


def _empty_array(kind: Any, *_: Any) -> _Array:
    if kind != _NDARRAY:
        raise RefusedPickleError(f"an array of kind {reprlib.repr(kind)}")
    return _Array()


def _scalar(kind: Any, content: Any) -> Any:
    return _Array(content, kind, (1,)).built({})[0]


def _bytes(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise RefusedPickleError(f"_codecs.encode to {reprlib.repr(encoding)}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    return b""


def _ordered(items: Any = ()) -> OrderedDict:
    made: OrderedDict = OrderedDict()
    for key, value in items:
        _set(made, key, value)
    return made


def _set(mapping: Any, key: Any, value: Any) -> None:
    if not isinstance(mapping, dict) or not isinstance(key, (str, bytes, int)):
        raise RefusedPickleError(f"a dictionary with the key {reprlib.repr(key)}")
    mapping[key] = value


_KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_DataType),
    ("_codecs", "encode"): _Function(_bytes),  # how Python 3 writes bytes for Python 2
    ("__builtin__", "bytes"): _Function(_no_bytes),  # the same for none at all
    ("collections", "OrderedDict"): _Function(_ordered),
    **{
        (f"numpy.{core}.{module}", name): _Function(run)
        for core in ("core", "_core")
        for module, name, run in (
            ("multiarray", "_reconstruct", _empty_array),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _Array),
        )
    },
}


_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined]
"""The one in Python: its memo is a dictionary, so that a false index cannot ask for memory."""


class _ArraysOnly(_PythonUnpickler):
    """Carries out the opcodes above; the table above is all that it knows by name."""

    dispatch: ClassVar = {code[0]: _PythonUnpickler.dispatch[code[0]] for code in _OPCODES}

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name, if it is known."""
        if (module, name) not in _KNOWN:
            raise RefusedPickleError(f"{module}.{name}"[:200])
        return _KNOWN[module, name]

    def load_bytearray8(self) -> None:
        """Read first, then allocate: the length may be a lie."""
        (length,) = struct.unpack("<Q", self.read(8))
        content = self.read(length)
        if len(content) != length:
            raise EOFError("a byte array is cut short")
        self.append(bytearray(content))

    def load_setitem(self) -> None:
        """Set one item; hashing a nested tuple could take forever, so a key is a plain value."""
        value, key = self.stack.pop(), self.stack.pop()
        _set(self.stack[-1], key, value)

    def load_setitems(self) -> None:
        """Set several items."""
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            _set(self.stack[-1], key, value)

    def load_dict(self) -> None:
        """Make a dictionary of the items since the mark."""
        items = self.pop_mark()
        self.append(_ordered(zip(items[::2], items[1::2], strict=True)))

    dispatch |= {
        pickle.BYTEARRAY8[0]: load_bytearray8,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
    }


def _built(value: Any, done: dict[int, Any]) -> Any:
    """Return ``value`` with arrays in place of their stand-ins, which are let go one by one.

    Args:
        value: what the pickle holds.
        done: results by the identity of containers and stand-ins that were met before.
    """
    if not isinstance(value, (dict, list, tuple, _Array, _DataType, _Function)):
        return value
    if id(value) in done:
        return done[id(value)][1]
    if isinstance(value, (_DataType, _Function)):
        raise RefusedPickleError("a data type or a function by itself")
    if isinstance(value, _Array):
        result = value.built(done)
        done[id(value)] = None, result
        return result
    done[id(value)] = value, value
    if isinstance(value, dict):
        for key in value:
            value[key] = _built(value[key], done)
    elif isinstance(value, list):
        value[:] = [_built(item, done) for item in value]
    else:
        done[id(value)] = value, tuple(_built(item, done) for item in value)
    return done[id(value)][1]
