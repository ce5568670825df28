"""How good routers are, on recorded outcomes."""
