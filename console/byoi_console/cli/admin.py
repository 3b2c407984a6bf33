"""`byoi-console admin`: administrators, made on the machine that holds the database."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from byoi_console.accounts.audit import AuditLog
from byoi_console.accounts.keys import ApiKeys, KeyRequest
from byoi_console.accounts.one_time_links import OneTimeLinks
from byoi_console.accounts.people import People, Person
from byoi_console.cli.options import setting_options
from byoi_console.config import Settings, load
from byoi_console.errors import ConfigError
from byoi_console.nodes.keys import kept_origin
from byoi_console.store.backup import DATABASE
from byoi_console.store.database import Database
from byoi_console.store.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@click.group()
def admin() -> None:
    """Administrators of this console."""


@admin.command()
@click.option("--data-dir", type=click.Path(path_type=str), help="Where the console's state lies.")
@click.option("--database-url", help="SQLAlchemy URL, where the database is not in the data dir.")
@click.option("--email", required=True, help="Who may administer.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def create(data_dir: str | None, database_url: str | None, email: str, *, as_json: bool) -> None:
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
    async with _opened(settings) as database:
        audit = AuditLog(database)
        person = await People(database, audit).create_admin(email)
        wanted = KeyRequest(name=f"admin {person.email}", scope="admin")
        new = await ApiKeys(database, audit).create(person.org_id, wanted, person.person_id)
    return {"email": person.email, "password": person.password, "api_key": new.key}


@admin.command("reset-password")
@setting_options("data_dir", "database_url", "database_url_file", "origin")
@click.option("--email", required=True, help="Whose password.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the new password from standard input instead."
)
def reset_password(email: str, *, password_stdin: bool, **flags: object) -> None:
    """Print a link by which somebody chooses another password, once and within a day.

    With --password-stdin the password is set at once and nothing is printed but that. Either way
    every browser that the person is signed in with is signed out when the password changes.
    """
    settings = load(flags, os.environ)
    _refuse_new(settings)
    if password_stdin:
        given = sys.stdin.readline() if sys.stdin is not None else ""  # None where it is closed
        password = given.rstrip("\r\n")
        person = asyncio.run(_set_password(settings, email, password))
        click.echo(f"{person.email} has the new password, and is signed out everywhere.")
        return
    person, link = asyncio.run(_reset_link(settings, email))
    click.echo(f"Within a day and once, {person.email} can choose another password at")
    click.echo(f"  {link}")


async def _set_password(settings: Settings, email: str, password: str) -> Person:
    async with _opened(settings) as database:
        people = People(database, AuditLog(database))
        person = await people.named(email)
        hashed = await people.hashed(password, person.email)
        async with database.write() as connection:
            await people.set_password(connection, person, hashed, actor="console")
    return person


async def _reset_link(settings: Settings, email: str) -> tuple[Person, str]:
    async with _opened(settings) as database:
        audit = AuditLog(database)
        people = People(database, audit)
        person = await people.named(email)
        origin = settings.origin or await kept_origin(database)
        if origin is None:
            raise ConfigError("origin: this console was never started; give its --origin")
        path = await OneTimeLinks(database, audit, people).for_password(person)
    return person, origin + path


def _refuse_new(settings: Settings) -> None:
    """A folder that was mistyped must not become a console.

    Raises:
        ConfigError: nothing lies there yet.
    """
    file = settings.data_dir / DATABASE
    in_folder = settings.database_url is None and settings.database_url_file is None
    if in_folder and not file.is_file():
        raise ConfigError(f"there is no database at {file}; name its folder with --data-dir")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.database)
    try:
        await migrate(database)
        yield database
    finally:
        await database.close()
