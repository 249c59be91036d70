"""Devices of a process (`devices.py`), start-up of a job (`launch.py`) and its `processes.py`."""
