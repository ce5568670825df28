"""What the gateway keeps beyond a request: what keys have used, traces of runs, and what was said of answers."""
