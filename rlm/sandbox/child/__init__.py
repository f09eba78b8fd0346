"""What runs in the clean interpreter: the launcher, and the workers it forks. Standard library only.

Imports nothing else of rlm but `protocol` and `limits`. The host trusts none of it once a cell has run.
"""
