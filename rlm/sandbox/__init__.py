"""The REPL in a process of its own."""

from rlm.sandbox.host import Sandbox

__all__ = ["Sandbox"]
