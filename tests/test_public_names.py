"""Public names of all packages, and the types of their arguments."""

import importlib
import inspect
import pkgutil
import types
import typing

import pytest

import flowjax

PACKAGES = ["flowjax"] + [
    module.name
    for module in pkgutil.walk_packages(flowjax.__path__, "flowjax.")
    if module.ispkg and ".assets" not in module.name
]


def public(package):
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in module.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_lists_public_names_only(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(set(module.__all__))
    assert package in ("flowjax.commands", "flowjax.files") or module.__doc__
    for name, value in public(package).items():
        if inspect.ismodule(value) or inspect.isclass(value) or inspect.isfunction(value):
            home = value.__name__ if inspect.ismodule(value) else value.__module__
            assert home.startswith("flowjax"), name
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = module.nonsense


def functions():
    """Yields the public functions, and the public methods of public classes."""
    for package in PACKAGES:
        for name, value in public(package).items():
            if inspect.isfunction(value):
                yield pytest.param(value, id=f"{package}.{name}")
            elif inspect.isclass(value) and value.__module__.startswith("flowjax"):
                for key, member in vars(value).items():
                    function = getattr(member, "__func__", member)
                    if isinstance(function, types.FunctionType) and (
                        key == "__init__" or not key.startswith("_")
                    ):
                        yield pytest.param(function, id=f"{package}.{name}.{key}")


@pytest.mark.parametrize("function", list(functions()))
def test_keyword_arguments_are_declared(function):
    """No public function has `**options: Any`, which would hide misspelled names from checkers."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            assert parameter.annotation not in ("Any", typing.Any), parameter
