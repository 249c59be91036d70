"""The exception class of user errors."""


class FlowjaxError(ValueError):
    """Error in a user's input: the message names the input, what was expected and what came."""
