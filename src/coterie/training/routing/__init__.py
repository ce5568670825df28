"""How routers are fitted, and what is said of them."""
