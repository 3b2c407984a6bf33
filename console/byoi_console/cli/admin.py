"""`byoi-console admin`: administrators, made on the machine that holds the database."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import click

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.keys import ApiKeys, KeyRequest
from byoi_console.accounts.people import People
from byoi_console.config import Settings, load
from byoi_console.store.database import Database
from byoi_console.store.migrate import migrate


@click.group()
def admin() -> None:
    """Administrators of this console."""


@admin.command()
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the console's state lies.")
@click.option("--database-url", help="SQLAlchemy URL, where the database is not in the data dir.")
@click.option("--email", required=True, help="Who may administer.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def create(data_dir: Path | None, database_url: str | None, email: str, *, as_json: bool) -> None:
    """Make an administrator with a password and an admin API key, each shown only now.

    Works beside a running `byoi-console serve`, and before its first start.
    """
    settings = load({"data_dir": data_dir, "database_url": database_url}, os.environ)
    made = asyncio.run(_create(settings, email))
    if as_json:
        click.echo(json.dumps(made))
        return
    click.echo(f"email     {made['email']}")
    click.echo(f"password  {made['password']}")
    click.echo(f"API key   {made['api_key']}")
    click.echo("Neither the password nor the key is shown again.")


async def _create(settings: Settings, email: str) -> dict[str, str]:
    database = Database(settings.database)
    try:
        await migrate(database)
        audit = AuditLog(database)
        person = await People(database, audit).create_admin(email)
        wanted = KeyRequest(name=f"admin {person.email}", scope="admin")
        new = await ApiKeys(database, audit).create(person.org_id, wanted, person.person_id)
    finally:
        await database.close()
    return {"email": person.email, "password": person.password, "api_key": new.key}
