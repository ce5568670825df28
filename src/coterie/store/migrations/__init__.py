"""How a database becomes this version's, one step after another. Alembic runs them; users never do."""
