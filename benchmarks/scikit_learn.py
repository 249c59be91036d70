"""Prints the results of scikit-learn's `check_estimator` for `FlowTransformer`.

python benchmarks/scikit_learn.py                                  # the default
python benchmarks/scikit_learn.py flow=glow steps=5                # options of the estimator
"""

import ast
import platform
import sys
import warnings
from collections import Counter

import jax
import sklearn
from sklearn.utils.estimator_checks import check_estimator

from flowjax import FlowTransformer


def value(text):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    options = {k: value(v) for k, v in (word.split("=", 1) for word in sys.argv[1:])}
    estimator = FlowTransformer(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about data of a few examples
        found = check_estimator(estimator, on_fail=None, on_skip=None)
    versions = f"scikit-learn {sklearn.__version__}, jax {jax.__version__}"
    print(f"{estimator!r}, {versions}, Python {platform.python_version()}")
    print(dict(Counter(check["status"] for check in found)))
    for check in found:
        reason = str(check["exception"]).strip().partition("\n")[0]
        note = "" if check["status"] == "passed" else f": {reason}"
        print(f"{check['status']:<8} {check['check_name']}{note}")
