"""Devices of a process, start-up of a job and its processes, and compilation for other chips.

`devices.py` defines the mesh, `launch.py` starts a job, `processes.py` is its communication.
`compile_for` compiles a program for chips that are not present.
"""

from flowjax.parallel.compiled import CompiledProgram, compile_for, largest_batch
from flowjax.parallel.targets import Target, open_target

__all__ = ["CompiledProgram", "Target", "compile_for", "largest_batch", "open_target"]


def __dir__() -> list[str]:
    return sorted(__all__)
