from __future__ import annotations

import asyncio
import base64

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from byoi_console.accounts.keys import CACHE_SECONDS, ApiKeys, KeyRequest
from byoi_console.errors import NotFound, TooManyAttempts, Unauthenticated
from byoi_console.store.tables import api_keys


async def made(keys, org_id, **wanted):
    return await keys.create(org_id, KeyRequest(name="test", **wanted), "person_1")


def bearer(new):
    return f"Bearer {new.key}"


async def test_a_key_says_what_it_may_do(keys, org_id):
    new = await made(
        keys, org_id, models=("a", "b"), requests_per_minute=5, max_concurrent=2, scope="admin"
    )
    principal = await keys.authenticate(bearer(new))
    assert principal.key_id == new.facts.id
    assert principal.org_id == org_id
    assert principal.is_admin
    assert principal.models == {"a", "b"}
    assert (principal.requests_per_minute, principal.max_concurrent) == (5, 2)


async def test_a_key_has_at_least_192_random_bits(keys, org_id):
    new = await made(keys, org_id)
    assert new.key.startswith("sk-byoi-")
    secret = new.key.removeprefix("sk-byoi-")
    assert len(base64.urlsafe_b64decode(secret + "==")) * 8 >= 192


async def test_nothing_of_a_key_but_its_hash_and_prefix_is_kept(keys, org_id, database, tmp_path):
    new = await made(keys, org_id)
    async with database.read() as connection:
        row = (await connection.execute(select(api_keys))).one()
    assert new.key not in repr(row)
    await database.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert new.key.encode() not in stored
    assert new.key[12:].encode() not in stored


async def test_keys_are_listed_without_their_text_until_they_are_revoked(keys, org_id):
    first, second = await made(keys, org_id), await made(keys, org_id)
    assert await keys.list(org_id) == [first.facts, second.facts]
    await keys.revoke(org_id, first.facts.id, "person_1")
    assert await keys.list(org_id) == [second.facts]


async def test_a_revoked_key_is_refused_from_the_next_request_on(keys, org_id):
    new = await made(keys, org_id)
    await keys.authenticate(bearer(new))
    assert keys.cached(bearer(new)) is not None
    await keys.revoke(org_id, new.facts.id, "person_1")
    assert keys.cached(bearer(new)) is None
    with pytest.raises(Unauthenticated):
        await keys.authenticate(bearer(new))


async def test_a_look_up_under_way_does_not_bring_a_revoked_key_back(keys, org_id, database):
    """The row was read before the revocation, and is about to be kept after it."""
    new = await made(keys, org_id)
    read, has_read, may_go_on = database.read, asyncio.Event(), asyncio.Event()

    class Slow:
        async def __aenter__(self):
            self.inner = read()
            return await self.inner.__aenter__()

        async def __aexit__(self, *about):
            await self.inner.__aexit__(*about)
            has_read.set()
            await may_go_on.wait()

    database.read = Slow
    async with asyncio.TaskGroup() as tasks:
        look_up = tasks.create_task(keys.authenticate(bearer(new)))
        await has_read.wait()
        await keys.revoke(org_id, new.facts.id, "person_1")
        may_go_on.set()
    assert look_up.result().key_id == new.facts.id
    assert keys.cached(bearer(new)) is None


async def test_another_process_s_revocation_holds_after_five_seconds(
    keys, org_id, database, audit, clock
):
    new = await made(keys, org_id)
    await keys.authenticate(bearer(new))
    await ApiKeys(database, audit).revoke(org_id, new.facts.id, "person_1")
    clock.seconds += CACHE_SECONDS
    with pytest.raises(Unauthenticated):
        await keys.authenticate(bearer(new))


async def test_an_expired_key_is_refused_to_the_millisecond(keys, org_id, clock):
    new = await made(keys, org_id, expires_in_seconds=2)
    await keys.authenticate(bearer(new))
    clock.seconds += 2
    assert keys.cached(bearer(new)) is None
    with pytest.raises(Unauthenticated):
        await keys.authenticate(bearer(new))


async def test_another_organisation_s_key_cannot_be_revoked(keys, org_id):
    new = await made(keys, org_id)
    with pytest.raises(NotFound):
        await keys.revoke("org_other", new.facts.id, "person_2")
    await keys.authenticate(bearer(new))


async def test_a_key_is_revoked_once(keys, org_id):
    new = await made(keys, org_id)
    await keys.revoke(org_id, new.facts.id, "person_1")
    with pytest.raises(NotFound):
        await keys.revoke(org_id, new.facts.id, "person_1")


async def test_a_key_in_use_needs_no_database(keys, org_id, database):
    new = await made(keys, org_id)
    await keys.authenticate(bearer(new))
    await database.close()
    database.read = None
    assert (await keys.authenticate(bearer(new))).key_id == new.facts.id


async def test_wrong_keys_are_looked_at_only_so_often_per_peer(keys, org_id):
    new = await made(keys, org_id)
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await keys.authenticate("Bearer sk-byoi-wrong", peer="10.0.0.1")
    with pytest.raises(TooManyAttempts) as refusal:
        await keys.authenticate("Bearer sk-byoi-wrong", peer="10.0.0.1")
    assert refusal.value.retry_after_seconds > 0
    await keys.authenticate(bearer(new), peer="10.0.0.2")
    await keys.authenticate(bearer(new), peer="10.0.0.1")  # in use: it is in the cache


async def test_a_key_in_use_is_looked_up_again_whoever_guesses_beside_it(keys, org_id, clock):
    """Behind a proxy all clients have one address."""
    new = await made(keys, org_id)
    await keys.authenticate(bearer(new), peer="proxy")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            await keys.authenticate("Bearer sk-byoi-wrong", peer="proxy")
    clock.seconds += CACHE_SECONDS + 0.001
    for _ in range(20):
        keys._wrong.failed("proxy")
    assert keys.cached(bearer(new)) is None
    await keys.authenticate(bearer(new), peer="proxy")
    with pytest.raises(TooManyAttempts):
        await keys.authenticate("Bearer sk-byoi-wrong", peer="proxy")


async def test_every_change_is_in_the_audit_log_without_the_key(keys, org_id, database, audit):
    new = await made(keys, org_id)
    await keys.revoke(org_id, new.facts.id, "person_1")
    assert await audit.first_broken() is None


HOSTILE = [
    None,
    "",
    "Bearer",
    "Bearer ",
    "Basic abc",
    "Bearer sk-byoi-",
    "Bearer sk-byoi-' OR 1=1 --",
    'Bearer sk-byoi-"; DROP TABLE api_keys; --',
    "Bearer sk-byoi-\x00",
    "Bearer sk-byoi-\xff\xfe",
    "Bearer sk-byoi-\udc80",
    "Bearer sk-byoi-" + "a" * 65_536,
    "bEaReR sk-byoi-é",
]


@pytest.mark.parametrize("authorization", HOSTILE, ids=range(len(HOSTILE)))
async def test_a_hostile_authorization_is_no_more_than_wrong(keys, org_id, authorization):
    with pytest.raises(Unauthenticated):
        await keys.authenticate(authorization)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(alphabet=st.characters(), max_size=300))
async def test_no_text_is_a_key(keys, clock, text):
    clock.seconds += 60
    for authorization in (text, f"Bearer {text}", f"Bearer sk-byoi-{text}"):
        with pytest.raises(Unauthenticated):
            await keys.authenticate(authorization)


async def test_a_hash_is_no_key(keys, org_id, database):
    await made(keys, org_id)
    async with database.write() as connection:
        await connection.execute(update(api_keys).values(key_hash="f" * 64))
    with pytest.raises(Unauthenticated):
        await keys.authenticate("Bearer " + "f" * 64)


async def test_keys_are_counted_and_shown_a_page_at_a_time(keys, org_id, clock):
    made = []
    for number in range(5):
        clock.seconds += 1
        made.append((await keys.create(org_id, KeyRequest(name=f"{number}"), "x")).facts)
    await keys.revoke(org_id, made[4].id, "x")
    assert await keys.count(org_id) == 4
    assert [key.name for key in await keys.newest(org_id, limit=2)] == ["3", "2"]
    assert [key.name for key in await keys.newest(org_id, limit=9, offset=3)] == ["0"]
    assert await keys.get(org_id, made[0].id) == made[0]
    assert await keys.get(org_id, made[4].id) is None, "it is revoked"
    assert await keys.get("org_other", made[0].id) is None
