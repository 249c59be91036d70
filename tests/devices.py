"""The settings of XLA for processes that a test starts."""

import os
import re


def xla_flags(count):
    """Returns the XLA_FLAGS of the tests with another number of host devices."""
    return re.sub(r"(?<=device_count=)\d+", str(count), os.environ["XLA_FLAGS"])
