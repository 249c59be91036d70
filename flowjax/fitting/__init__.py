"""Maximum-likelihood fitting of flows with the training loop of `flowjax.training`."""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
