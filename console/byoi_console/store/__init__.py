"""The database: connections, tables, migrations; every other room keeps its state through it."""
