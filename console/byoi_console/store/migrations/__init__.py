"""Alembic's environment and one file per change of the tables, applied by `store.migrate`."""
