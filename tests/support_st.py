"""Runs the structured text of docs/signal.md: translates the subset of IEC 61131-3 that it uses into Python."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

_TOKEN = re.compile(r"16#[0-9A-Fa-f]+|\d+|[A-Za-z_]\w*|:=|<>|<=|>=|\.\.|[-+*/()\[\],;:.=<>]")
_WORDS = {"AND": "and", "OR": "or", "NOT": "not", "MOD": "%", "TRUE": "True", "FALSE": "False"}
_SIGNS = {"=": "==", "<>": "!=", "/": "//"}
_TYPES = {"BOOL", "INT", "UINT", "DINT", "UDINT"}
RESERVED = set(
    re.findall(
        r"\w+",
        "ABS ACTION AND ANY ARRAY AT BOOL BY BYTE CASE CONSTANT CONTINUE DATE DINT DO DWORD ELSE ELSIF END_IF EXIT "
        "FALSE FOR FUNCTION IF INT LD LEN LIMIT LINT LREAL MAX METHOD MIN MOD N NOT OF ON OR P PROGRAM R REAL REPEAT "
        "RETAIN RETURN S SEL SHL SHR SINT ST STEP STRUCT SUPER TASK THEN THIS TIME TO TRUE TYPE UDINT UINT ULINT "
        "UNTIL USINT VAR WHILE WITH WORD XOR",
    )
)


def _wrapped(value: int) -> int:
    return (value + 0x8000_0000) % 0x1_0000_0000 - 0x8000_0000


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ABS": abs,
    "MIN": min,
    "UDINT_TO_DINT": _wrapped,
    "UDINT_TO_UINT": lambda value: value % 0x1_0000,
    "UINT_TO_UDINT": int,
    "UDINT_TO_INT": int,
    "DINT_TO_UINT": lambda value: value % 0x1_0000,
}


class _Parser:
    """One pass over the tokens; ``lines`` is the Python that results."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(re.sub(r"\(\*.*?\*\)", "", text, flags=re.DOTALL))
        self.at = 0
        self.lines: list[str] = []
        self.structs: dict[str, dict[str, str]] = {}
        self.values: dict[str, str] = {}
        self.methods: list[str] = []
        self.constants: set[str] = set()
        self.locals: set[str] = set()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.tokens[self.at]
        if expected and token != expected:
            raise SyntaxError(f"{expected!r} expected, {' '.join(self.tokens[self.at - 8 : self.at + 4])!r} found")
        self.at += 1
        return token

    def program(self) -> None:
        while self.peek():
            kind = self.take()
            if kind == "TYPE":
                self.structure()
            elif kind == "FUNCTION":
                self.routine("END_FUNCTION", "def {}({}):", 0, method=False)
            elif kind == "FUNCTION_BLOCK":
                self.take()
                self.values = dict(self.variables(block=True))
            elif kind == "METHOD":
                self.routine("END_METHOD", "def {}({}):", 1, method=True)
            elif kind != "END_FUNCTION_BLOCK":
                raise SyntaxError(f"{kind!r} begins nothing")

    def structure(self) -> None:
        name = self.take()
        self.take(":")
        self.take("STRUCT")
        fields = {}
        while self.peek() != "END_STRUCT":
            fields.update(self.declaration())
        self.take("END_STRUCT")
        self.take("END_TYPE")
        self.structs[name] = fields

    def variables(self, block: bool = False) -> Iterator[tuple[str, str]]:
        """Yield (name, first value); for a routine only the names count."""
        while self.peek() in ("VAR", "VAR_INPUT", "VAR_OUTPUT"):
            self.take()
            constant = self.peek() == "CONSTANT"
            if constant:
                self.take()
            while self.peek() != "END_VAR":
                found = self.declaration()
                if constant and block:
                    self.constants.update(found)
                yield from found.items()
            self.take("END_VAR")

    def declaration(self) -> dict[str, str]:
        names = [self.take()]
        while self.peek() == ",":
            self.take()
            names.append(self.take())
        self.take(":")
        value = self.type()
        if self.peek() == ":=":
            self.take()
            value = self.expression({";"})
        self.take(";")
        for name in names:
            if name.upper() in RESERVED:
                raise SyntaxError(f"{name!r} is reserved")
        return dict.fromkeys(names, value)

    def type(self) -> str:
        name = self.take()
        if name == "ARRAY":
            self.take("[")
            self.take("0")
            self.take("..")
            last = int(self.take())
            self.take("]")
            self.take("OF")
            return f"[{self.type()} for _ in range({last + 1})]"
        if name not in _TYPES and name not in self.structs:
            raise SyntaxError(f"type {name!r} is unknown")
        return {"BOOL": "False"}.get(name, "0" if name in _TYPES else f"{name}()")

    def routine(self, end: str, head: str, depth: int, method: bool) -> None:
        name = self.take()
        returns = self.peek() == ":"
        if returns:
            self.take()
            self.take()
        inputs: list[str] = []
        others: dict[str, str] = {}
        while self.peek() in ("VAR", "VAR_INPUT"):
            is_input = self.peek() == "VAR_INPUT"
            found = dict(self.variables_once())
            if is_input:
                inputs += found
            else:
                others.update(found)
        self.locals = {*inputs, *others, name}
        arguments = ", ".join(["self", *inputs] if method else inputs)
        self.lines.append("    " * depth + head.format(name, arguments))
        for local, value in others.items():
            self.emit(depth + 1, f"{local} = {value}")
        self.emit(depth + 1, f"{name} = 0")
        self.result = name
        self.statements(depth + 1, {end})
        self.take(end)
        self.emit(depth + 1, f"return {name}")
        self.methods.append(name)

    def variables_once(self) -> Iterator[tuple[str, str]]:
        self.take()
        while self.peek() != "END_VAR":
            yield from self.declaration().items()
        self.take("END_VAR")

    def emit(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def statements(self, depth: int, ends: set[str]) -> None:
        while self.peek() not in ends:
            token = self.peek()
            if token == "IF":
                self.branch(depth)
            elif token == "FOR":
                self.take()
                variable = self.take()
                self.take(":=")
                low = self.expression({"TO"})
                self.take("TO")
                high = self.expression({"DO"})
                self.take("DO")
                self.emit(depth, f"for {variable} in range({low}, {high} + 1):")
                self.body(depth, {"END_FOR"})
                self.take("END_FOR")
            elif token == "WHILE":
                self.take()
                self.emit(depth, f"while {self.expression({'DO'})}:")
                self.take("DO")
                self.body(depth, {"END_WHILE"})
                self.take("END_WHILE")
            elif token in ("EXIT", "RETURN"):
                self.take()
                self.take(";")
                self.emit(depth, "break" if token == "EXIT" else f"return {self.result}")
            else:
                target = self.expression({":=", ";"})
                if self.peek() == ":=":
                    self.take()
                    if target.removeprefix("self.") in self.constants:
                        raise SyntaxError(f"{target} is constant")
                    target += f" = {self.expression({';'})}"
                self.take(";")
                self.emit(depth, target)

    def branch(self, depth: int) -> None:
        word = "if"
        while self.peek() in ("IF", "ELSIF"):
            self.take()
            self.emit(depth, f"{word} {self.expression({'THEN'})}:")
            self.take("THEN")
            self.body(depth, {"ELSIF", "ELSE", "END_IF"})
            word = "elif"
        if self.peek() == "ELSE":
            self.take()
            self.emit(depth, "else:")
            self.body(depth, {"END_IF"})
        self.take("END_IF")

    def body(self, depth: int, ends: set[str]) -> None:
        before = len(self.lines)
        self.statements(depth + 1, ends)
        if len(self.lines) == before:
            raise SyntaxError("an empty body")

    def expression(self, ends: set[str]) -> str:
        out: list[str] = []
        depth = 0
        while depth or self.peek() not in ends:
            token = self.take()
            depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token, 0)
            if out and out[-1] == ".":
                out.append(token)
            elif token in _WORDS:
                out.append(f" {_WORDS[token]} ")
            elif token[0].isalpha() or token[0] == "_":
                out.append(token if token in self.locals or token in FUNCTIONS or token == "Delta" else f"self.{token}")
            else:
                out.append(_SIGNS.get(token, token))
        return "".join(out)


def compiled(text: str, name: str, **constants: Any) -> Any:
    """Return an instance of the function block ``name`` in ``text``, with ``constants`` in place of its own.

    Raises:
        SyntaxError: what is written is not of the subset, uses a reserved word, or names differ in case alone.
    """
    parser = _Parser(text)
    parser.program()
    declared = [*parser.values, *parser.methods]
    doubled = {n for n in declared if sum(n.upper() == other.upper() for other in declared) > 1}
    if doubled:
        raise SyntaxError(f"{doubled} differ in case alone")
    source = []
    for struct, fields in parser.structs.items():
        source += [f"class {struct}:", "    def __init__(self):"]
        source += [f"        self.{field} = {value}" for field, value in fields.items()]
    split = next(i for i, line in enumerate(parser.lines) if line.startswith("    def "))
    source += parser.lines[:split]
    source += [f"class {name}:", "    def __init__(self):"]
    source += [f"        self.{variable} = {value}" for variable, value in parser.values.items()]
    source += parser.lines[split:]
    space: dict[str, Any] = dict(FUNCTIONS)
    exec("\n".join(source), space)
    block = space[name]()
    for constant, value in constants.items():
        if constant not in parser.constants:
            raise SyntaxError(f"{constant} is no constant")
        setattr(block, constant, value)
    return block
