"""Devices of a process (`devices.py`) and processes of a job (`processes.py`)."""
