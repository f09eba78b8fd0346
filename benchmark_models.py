#!/usr/bin/env python3
"""Which model is good at this: the same samples for each, with accuracy, time and tokens in a table."""

import sys

from rlm.cli.bench import main

if __name__ == "__main__":
    sys.exit(main())
