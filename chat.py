#!/usr/bin/env python3
"""A conversation in the terminal; every question runs through the RLM loop."""

import sys

from rlm.cli.chat import main

if __name__ == "__main__":
    sys.exit(main())
