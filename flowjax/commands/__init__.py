"""The sub-commands: thin, each an `Args` dataclass and a `run(args)` over the library."""
