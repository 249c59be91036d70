"""Sub-commands: each module has an `Args` dataclass and a `run(args)`; `main` lists them."""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
