"""Recursive Language Models on your own machine."""
