"""Typed, described, ranged ROS parameters, declared once from a frozen dataclass and read back into it.

    @dataclass(frozen=True)
    class GatewayParameters:
        max_pixels: int = parameter(4800, "Strict upper limit ...", low=1, high=4800)

    settings = declare(node, GatewayParameters)

Only the dataclass contains defaults. A parameter is read-only unless ``live=True``. Live parameters can be
set while the node runs, and :func:`on_change` passes the new dataclass to the node if all values are valid.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterImmutableException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from orpose_ros.running.rclpy_internals import given_parameters

Settings = TypeVar("Settings")

PARAMETER_ERRORS = (
    InvalidParameterException,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterImmutableException,
)
"""Exceptions of rclpy for parameters with a wrong type or value."""


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    booleans: tuple[str, str] | None = None,
    live: bool = False,
) -> Any:
    """Return a dataclass field that :func:`declare` turns into a ROS parameter.

    Args:
        default: the default value.
        description: description with the unit, which ``ros2 param describe`` shows.
        low: smallest value allowed (numbers).
        high: largest value allowed (numbers).
        choices: the only values allowed (strings).
        booleans: the choices that ``false`` and ``true`` mean, which are then allowed, too.
        live: whether it may be set while the node runs.
    """
    metadata = {"description": description, "low": low, "high": high, "choices": choices,
                "booleans": booleans, "live": live}  # fmt: skip
    return dataclasses.field(default=default, metadata=metadata)


def declare(node: Node, kind: type[Settings]) -> Settings:
    """Declare every field of the dataclass ``kind`` as a parameter of ``node`` and return the values.

    Raises:
        ValueError: a value has the wrong type, is out of its range or is not one of the choices. The text
            names the node, the parameter, the expected and the given value.
    """
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if node.has_parameter(field.name):
            continue
        descriptor = _descriptor(field, hints[field.name])
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        try:
            node.declare_parameter(field.name, default, descriptor)
        except PARAMETER_ERRORS as error:
            given = given_parameters(node)
            raise ValueError(
                f"{node.get_name()}: parameter {field.name}: expected {_expected(field, hints[field.name])}, "
                f"got {given.get(field.name, repr(error))}"
            ) from error
    return read(node, kind)


def read(node: Node, kind: type[Settings], changed: dict[str, Any] | None = None) -> Settings:
    """Return the dataclass of the current parameters, updated with ``changed``.

    Raises:
        ValueError: see :func:`declare`.
    """
    hints = get_type_hints(kind)
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = (changed or {}).get(field.name, node.get_parameter(field.name).value)
        if isinstance(value, (list, array.array)):  # so come the arrays of ROS
            value = tuple(value)
        if isinstance(value, bool) and field.metadata["booleans"]:
            value = field.metadata["booleans"][value]
        _check(node, field, hints[field.name], value)
        values[field.name] = value
    return kind(**values)


def on_change(node: Node, kind: type[Settings], changed: Callable[[Settings], None]) -> None:
    """Call ``changed`` with the new dataclass after live parameters were set.

    Invalid values (also according to the dataclass's ``__post_init__``) are refused with the reason, and the
    old values are kept.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]

    def candidate(parameters: list[Parameter]) -> dict[str, Any]:
        return {p.name: p.value for p in parameters if p.name in names}

    def validate(parameters: list[Parameter]) -> SetParametersResult:
        try:
            read(node, kind, candidate(parameters))
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def apply(parameters: list[Parameter]) -> None:
        if candidate(parameters):
            changed(read(node, kind))

    node.add_on_set_parameters_callback(validate)
    node.add_post_set_parameters_callback(apply)


def unknown(node: Node) -> list[str]:
    """Return the parameters given to ``node`` that it does not have, such as misspelled ones.

    Call it after all parameters have been declared.
    """
    return sorted(
        n for n in given_parameters(node) if not node.has_parameter(n) and not n.startswith("qos_overrides.")
    )


def _descriptor(field: dataclasses.Field[Any], hint: Any) -> ParameterDescriptor:
    meta = field.metadata
    descriptor = ParameterDescriptor(description=meta["description"], read_only=not meta["live"])
    # ROS takes an empty list for one of bytes, and lets a parameter have one type only. Where it would refuse
    # what is allowed here, read() alone checks the type.
    descriptor.dynamic_typing = field.default == () or meta["booleans"] is not None
    if meta["choices"]:
        descriptor.additional_constraints = "one of " + ", ".join(meta["choices"])
    low, high = meta["low"], meta["high"]
    if low is None and high is None:
        return descriptor
    scalar = get_args(hint)[0] if get_origin(hint) is tuple else hint
    if scalar is hint and scalar is int:
        descriptor.integer_range = [
            IntegerRange(from_value=int(low if low is not None else -(2**63)),
                         to_value=int(high if high is not None else 2**63 - 1), step=0)
        ]  # fmt: skip
    elif scalar is hint and scalar is float:
        descriptor.floating_point_range = [
            FloatingPointRange(from_value=float(low if low is not None else "-inf"),
                               to_value=float(high if high is not None else "inf"), step=0.0)
        ]  # fmt: skip
    return descriptor


def _expected(field: dataclasses.Field[Any], hint: Any) -> str:
    meta = field.metadata
    hint = str if get_origin(hint) is Literal else hint
    words = hint.__name__ if isinstance(hint, type) and get_origin(hint) is None else str(hint)
    if meta["choices"]:
        words += " out of " + ", ".join(meta["choices"])
    if meta["booleans"]:
        words += ", or false or true"
    if meta["low"] is not None:
        words += f" of at least {meta['low']}"
    if meta["high"] is not None:
        words += f" of at most {meta['high']}"
    return words


def _check(node: Node, field: dataclasses.Field[Any], hint: Any, value: Any) -> None:
    """Check choices and the ranges of arrays, which ROS does not check."""
    meta = field.metadata
    items = value if isinstance(value, tuple) else (value,)
    hint = str if get_origin(hint) is Literal else hint
    scalar = get_args(hint)[0] if get_origin(hint) is tuple else hint
    good = isinstance(value, tuple) == (scalar is not hint) and all(type(item) is scalar for item in items)
    good = good and all(not meta["choices"] or item in meta["choices"] for item in items)
    if all(isinstance(item, (int, float)) for item in items):
        good = good and all(meta["low"] is None or item >= meta["low"] for item in items)
        good = good and all(meta["high"] is None or item <= meta["high"] for item in items)
    if not good:
        raise ValueError(
            f"{node.get_name()}: parameter {field.name}: expected {_expected(field, hint)}, got {value!r}"
        )
