"""The REPL in a confined process of its own."""

from rlm.sandbox.host import Sandbox
from rlm.sandbox.policy import Kind, Policy, Report

__all__ = ["Kind", "Policy", "Report", "Sandbox", "report"]


def report(policy: Policy = "best-effort") -> Report:
    """Starts a REPL on this machine and returns which protections it has, as measured in its process.

    Raises:
        SandboxError: it does not start, or with "strict": it cannot be confined.
    """
    with Sandbox(None, query=str, policy=policy) as sandbox:
        return sandbox.report
