"""Judge the program of a torch.export archive before torch reads it; standard library only.

A program looks like data, but torch makes Python of parts of it: expressions of sizes are *evaluated*,
names are written into source code, and an operator may be any attribute that can be reached from the
package, ``torch.os.system`` as well. So only the words that an exported network has are let through.
Traces and guards, which are not needed to run it, are dropped.
"""

from __future__ import annotations

import json
import keyword
import re
from typing import Any

__all__ = ["ForbiddenProgram", "clean_program"]

_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|quantized|quantized_decomposed)\.(?!__)\w+(\.\w+)?"
    r"|torch\.ops\.aten\.__i?(and|or|xor|lshift|rshift)__(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|getitem|lt|le|gt|ge|eq|ne|and_|or_|not_)"
    r"|math\.(ceil|floor|trunc|sqrt|pow|prod)"
    r"|torch\.(sym_(int|float|max|min|not|ite|sum|sqrt)|_sym_sqrt)"
)
_READS_FILES = re.compile(r"torch\.ops\.aten\.(from_file|save)\b")

_NAME = re.compile(r"[A-Za-z_]\w{0,199}", re.ASCII)
_PATH = re.compile(r"[\w.\-]{0,400}", re.ASCII)
_NAMES = {"name", "as_name"}
_PATHS = {"parameter_name", "buffer_name", "tensor_constant_name", "fqn"}

_WORDS = frozenset(
    {
        "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Mod", "Abs",
        "FloorDiv", "CleanDiv", "CeilDiv", "PythonMod", "ModularIndexing", "Where", "Identity",
        "CeilToInt", "FloorToInt", "TruncToInt", "TruncToFloat", "RoundToInt", "RoundDecimal",
        "ToFloat", "PowByNatural", "FloatPow", "FloatTrueDiv", "IntTrueDiv", "LShift", "RShift",
        "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "LessThan", "StrictLessThan",
        "GreaterThan", "StrictGreaterThan", "And", "Or", "Not",
        "True", "False", "true", "false", "positive", "nonnegative", "integer", "real", "precision",
    }
)  # fmt: skip
_TOKEN = re.compile(r"\s+|\d+(?:\.\d+)?|'[A-Za-z_]\w*'|[A-Za-z_]\w*|[()+\-*/%,=<>!&|~]", re.ASCII)
_SYMBOL = re.compile(r"[a-z]{1,3}\d+", re.ASCII)
_MOST_EXPRESSION = 2000

_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
_CPU = {"type": "cpu", "index": None}


class ForbiddenProgram(ValueError):
    """The program says what no exported network says; the message names it."""


def clean_program(content: bytes) -> tuple[bytes, str | None]:
    """Judge a program, and write anew what is needed to run it.

    Parameters
    ----------
    content : bytes
        The entry ``models/NAME.json``.

    Returns
    -------
    program : bytes
        For torch: on the CPU, without traces, guards and signatures of inner modules.
    keyword : str or None
        Name by which the only input is passed; None: by position.

    Raises
    ------
    ForbiddenProgram
        When anything in it is none of the words of an exported network of one image.
    """
    try:
        program = json.loads(content)
        program["guards_code"] = []
        _judge(program)
        module = program["graph_module"]
        _one_image(module["signature"]["input_specs"])
        by_keyword = _call(module["module_call_graph"])
        module["treespec_namedtuple_fields"] = {}
        module["metadata"] = {}
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        if isinstance(error, ForbiddenProgram):
            raise
        msg = (
            "its program cannot be understood; the file is damaged, or of another version of torch"
        )
        raise ForbiddenProgram(msg) from error
    except RecursionError as error:
        msg = "its program is nested too deep"
        raise ForbiddenProgram(msg) from error
    return json.dumps(program).encode(), by_keyword


def _judge(value: Any) -> None:  # noqa: ANN401  # of JSON
    """Walk through everything; without recursion, so that depth costs nothing."""
    waiting: list[Any] = [value]
    while waiting:
        here = waiting.pop()
        if isinstance(here, list):
            waiting += here
        elif isinstance(here, dict):
            if "inputs" in here and "target" in here:
                _operator(here["target"])
                here["metadata"] = {}
            for key, inner in here.items():
                _field(key, inner)
                if isinstance(inner, dict) and {"type"} <= set(inner) <= {"type", "index"}:
                    here[key] = dict(_CPU)
                else:
                    waiting.append(inner)


def _field(key: str, value: Any) -> None:  # noqa: ANN401  # of JSON
    """Judge one named value."""
    if key == "as_operator":
        _operator(value)
    elif key == "expr_str":
        _expression(value)
    elif key in ("as_custom_obj", "custom_obj", "class_fqn"):
        msg = "its program uses objects of another library"
        raise ForbiddenProgram(msg)
    elif key in _NAMES or key == "forward_arg_names":
        for name in value if key == "forward_arg_names" else [value]:
            _named(name, _NAME)
    elif key in _PATHS:
        _named(value, _PATH)


def _named(value: Any, pattern: re.Pattern[str]) -> None:  # noqa: ANN401  # of JSON
    """Refuse what would be more than a name in the source code that torch writes."""
    # a table of tensors may have one that is called "name": then the value is its record
    if not value or isinstance(value, dict):
        return
    if not isinstance(value, str) or not pattern.fullmatch(value) or keyword.iskeyword(value):
        msg = f"its program has the name {_cut(value)}, which is no name"
        raise ForbiddenProgram(msg)


def _operator(target: Any) -> None:  # noqa: ANN401  # of JSON
    if (
        not isinstance(target, str)
        or _READS_FILES.match(target)
        or not _OPERATORS.fullmatch(target)
    ):
        msg = f"its program calls {_cut(target)}, which is no operator of a network"
        raise ForbiddenProgram(msg)


def _expression(text: Any) -> None:  # noqa: ANN401  # of JSON
    """Allow arithmetic of sizes; torch evaluates it as Python."""
    ok = isinstance(text, str) and len(text) <= _MOST_EXPRESSION
    position = 0
    while ok and position < len(text):
        token = _TOKEN.match(text, position)
        ok = token is not None and _is_word(token[0])
        position = token.end() if token else position
    if not ok:
        msg = f"its program has the size {_cut(text)}, which is no arithmetic"
        raise ForbiddenProgram(msg)


def _is_word(token: str) -> bool:
    plain = token.strip("'")
    if not _NAME.fullmatch(plain):
        return True  # a number or a sign
    return plain in _WORDS or bool(_SYMBOL.fullmatch(plain))


def _one_image(specs: list[dict[str, Any]]) -> None:
    inputs = [spec["user_input"]["arg"] for spec in specs if "user_input" in spec]
    if len(inputs) != 1 or "as_tensor" not in inputs[0]:
        msg = f"its program must have one input, the image; it has {len(inputs)}"
        raise ForbiddenProgram(msg)


def _call(entries: list[dict[str, Any]]) -> str | None:
    """Check how the program is called; drop the signatures of inner modules."""
    own = entries[0]["signature"]
    for entry in entries[1:]:
        entry["signature"] = None
    given = _spec(own["in_spec"])
    _spec(own["out_spec"])
    positional, named = given["children_spec"]
    if len(positional["children_spec"]) == 1:
        return None
    keys = json.loads(named["context"])
    if len(keys) != 1 or not _NAME.fullmatch(keys[0]) or keyword.iskeyword(keys[0]):
        msg = "its program must be called with one image, by position or by name"
        raise ForbiddenProgram(msg)
    return str(keys[0])


def _spec(text: str) -> dict[str, Any]:
    """Check a description of nested containers; those of other kinds import what they name."""
    version, outer = json.loads(text)
    waiting = [outer]
    while waiting:
        here = waiting.pop()
        if here["type"] not in _CONTAINERS or "__enum__" in str(here["context"]):
            msg = (
                f"its program takes or answers with {_cut(here['type'])}; return a tensor, a list or a "
                "dictionary of tensors"
            )
            raise ForbiddenProgram(msg)
        waiting += here["children_spec"]
    if type(version) is not int or not isinstance(outer, dict):
        raise TypeError
    return outer


def _cut(value: Any) -> str:  # noqa: ANN401  # of JSON
    return repr("".join(letter for letter in str(value)[:80] if letter.isprintable()))
