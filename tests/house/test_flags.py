"""Flags are given by keyword: at a call, a bare True says nothing."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "rapport"
# Decorators of functions that a framework calls: by keyword, or with arguments that are recorded by position.
CALLED_BY_FRAMEWORKS = ("router.", "work.workflow", "field_validator", "model_validator")
# What parameters are annotated with that a command line gives, by keyword.
OF_COMMANDS = "typer."
# module:function -> why its flags may be given by position.
BY_POSITION = {
    "customers/importing/mapping.py:construct_mapping": "the library has it so, which calls it",
}
FLAGS = {"bool", "bool | None", "None | bool", "Optional[bool]"}


def is_flag(parameter: ast.arg) -> bool:
    """Whether a parameter is declared as a bool, also as one that may be None or is annotated, but for commands."""
    annotation = parameter.annotation
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).endswith("Annotated"):
        if OF_COMMANDS in ast.unparse(annotation.slice) or not isinstance(annotation.slice, ast.Tuple):
            return False
        annotation = annotation.slice.elts[0]
    return annotation is not None and ast.unparse(annotation) in FLAGS


def public_functions(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a module and the methods of its classes that others call; constructors are among them."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
            is_public = node.name == "__init__" or not node.name.startswith("_")
            if is_public and not any(text.startswith(CALLED_BY_FRAMEWORKS) for text in decorators):
                yield node


def flags_by_position(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each flag that a call may give by position: the function and the flag."""
    for function in public_functions(tree):
        for parameter in (*function.args.posonlyargs, *function.args.args):
            if is_flag(parameter):
                yield function.name, parameter.arg


def test_public_functions_take_flags_by_keyword() -> None:
    wrong, unused = [], set(BY_POSITION)
    for path in sorted(SOURCE.rglob("*.py")):
        for function, flag in flags_by_position(ast.parse(path.read_text())):
            name = f"{path.relative_to(SOURCE).as_posix()}:{function}"
            unused.discard(name)
            if name not in BY_POSITION:
                wrong.append(f"{name}({flag})")
    assert not wrong, f"put the flags behind a *: {wrong}"
    assert not unused, "an exception for a function that is no more, or has no such flag"


def test_every_form_of_a_flag_is_seen() -> None:
    tree = ast.parse(
        "def a(x: int, y: bool): ...\n"
        "def b(y: 'bool' = True, /): ...\n"
        "async def c(*, y: bool): ...\n"
        "class C:\n"
        "    def __init__(self, y: bool | None) -> None: ...\n"
        "    def d(self, y: Annotated[bool, 1]): ...\n"
        "    def _e(self, y: bool): ...\n"
        "    @field_validator('y')\n"
        "    def f(cls, y: bool): ...\n"
        "@router.get('/')\n"
        "def g(y: bool): ...\n"
        "def h(y: Callable[[bool], None]): ...\n"
        "def i(y: Annotated[bool, typer.Option()]): ...\n"
    )
    assert list(flags_by_position(tree)) == [("a", "y"), ("b", "y"), ("__init__", "y"), ("d", "y")]
