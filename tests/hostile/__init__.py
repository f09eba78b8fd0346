"""Cells that attack: files by aim in percent format, and the harness that runs them against the sandbox."""
