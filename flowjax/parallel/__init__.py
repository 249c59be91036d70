"""Devices of a process, and the processes of a job."""
