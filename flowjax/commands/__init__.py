"""Sub-commands: each module has an `Args` dataclass and a `run(args)`; `main` lists them."""
