"""Routers: what to expect of each member, before any of them is asked."""
