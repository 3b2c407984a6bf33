"""Every table of the console. Times are milliseconds of Unix time on the console's clock."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

console_state: Final = Table(
    "console_state",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    comment="The console's own key, its ticket secret and its origin, the same for every replica.",
)

organisations: Final = Table(
    "organisations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)

people: Final = Table(
    "people",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(320), nullable=False, unique=True, comment="lower case"),
    Column("password_hash", Text, nullable=False, comment="argon2id"),
    Column("created_at_ms", BigInteger, nullable=False),
)

members: Final = Table(
    "members",
    metadata,
    Column("person_id", ForeignKey("people.id"), primary_key=True),
    Column("org_id", ForeignKey("organisations.id"), primary_key=True),
    Column("role", String(16), nullable=False),
)

api_keys: Final = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("org_id", ForeignKey("organisations.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True, comment="SHA-256 as hex"),
    Column("prefix", String(24), nullable=False, comment="what people may see of the key"),
    Column("models", Text, comment="JSON list; null: every model"),
    Column("requests_per_minute", Integer),
    Column("max_concurrent", Integer),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
)

audit_log: Final = Table(
    "audit_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("org_id", String(64), index=True),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("details", Text, nullable=False, comment="JSON: what it was and what it is"),
    Column("hash", String(64), nullable=False, comment="SHA-256 over the hash before and this row"),
)

join_tokens: Final = Table(
    "join_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("org_id", ForeignKey("organisations.id"), nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("uses", Integer, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("revoked_at_ms", BigInteger),
)

nodes: Final = Table(
    "nodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("org_id", ForeignKey("organisations.id"), nullable=False, index=True),
    Column("name", String(200), nullable=False),
    Column("host", Text, comment="JSON, as the node told it at enrolment"),
    Column("machine", String(64), index=True, comment="HMAC of origin and machine id, as hex"),
    Column("visibility", String(16), nullable=False, comment="org or community"),
    Column("mode", String(16), nullable=False, comment="dedicated or idle, as chosen at enrolment"),
    Column("join_token_id", ForeignKey("join_tokens.id")),
    Column("enrolled_by", String(64), comment="the person who approved it; null: a join token"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("last_seen_at_ms", BigInteger, comment="null: never connected"),
    Column("has_departed", Boolean, nullable=False, comment="its last word was a goodbye"),
    Column("revoked_at_ms", BigInteger),
    Column("deleted_at_ms", BigInteger),
    Column("drained_at_ms", BigInteger, comment="gets no new requests until an admin says so"),
    Column("rotation_ordered_at_ms", BigInteger, comment="shall make itself a new key"),
    Column("last_models", Text, comment="JSON list of the model ids that it offered last"),
    Column("epoch", BigInteger, nullable=False),
)

node_keys: Final = Table(
    "node_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, index=True),
    Column("public_key", String(64), nullable=False, unique=True, comment="Ed25519, base64"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("replaces", String(64), comment="the key that signed this one; it ends with our use"),
    Column("first_used_at_ms", BigInteger, comment="null: never connected with it"),
    Column("revoked_at_ms", BigInteger, comment="proves nothing new; old records stay checkable"),
)

pins: Final = Table(
    "pins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node_id", ForeignKey("nodes.id"), nullable=False, index=True),
    Column("org_id", ForeignKey("organisations.id"), nullable=False),
    Column("state", String(16), nullable=False, comment="asked, granted, or how it ended"),
    Column("reason", String(500), nullable=False, comment="why, in the asker's words"),
    Column("asked_by", String(320), nullable=False, comment="as the node's owner reads it"),
    Column("asked_at_ms", BigInteger, nullable=False),
    Column("answered_by", String(200), comment="who decided at the node, as the node says"),
    Column("answered_at_ms", BigInteger),
    Column("ended_by", String(200), comment="who took the wish back here"),
    Column("ended_at_ms", BigInteger),
    comment="Nodes that an organisation wants for itself alone.",
)

device_codes: Final = Table(
    "device_codes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("device_code_hash", String(64), nullable=False, unique=True),
    Column("user_code", String(16), nullable=False, index=True, comment="no dash; while pending"),
    Column("public_key", String(64), nullable=False),
    Column("host", Text, nullable=False, comment="JSON, as the machine told it"),
    Column("machine", String(64), comment="HMAC of origin and machine id, as hex"),
    Column("peer", String(64), nullable=False, comment="the address that it asked from"),
    Column("state", String(16), nullable=False, comment="pending, approved, denied or used"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("polled_at_ms", BigInteger),
    Column("interval_seconds", Integer, nullable=False, comment="grows with every slow_down"),
    Column("decided_by", String(64), comment="who approved or denied"),
    Column("org_id", ForeignKey("organisations.id")),
    Column("name", String(200), comment="chosen at approval; null: as the machine or node has it"),
    Column("visibility", String(16)),
    Column("mode", String(16)),
    Column("take_over_node_id", ForeignKey("nodes.id")),
    Column("node_id", ForeignKey("nodes.id"), comment="what it has become"),
)

sign_ins: Final = Table(
    "sign_ins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True, comment="of the cookie"),
    Column("csrf_secret", String(64), nullable=False),
    Column("person_id", ForeignKey("people.id"), nullable=False, index=True),
    Column("org_id", ForeignKey("organisations.id"), nullable=False, comment="shown now"),
    Column("peer", String(64), nullable=False, comment="the address that it was made from"),
    Column("browser", String(200), nullable=False, comment="as it names itself"),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("last_seen_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger),
    comment="Browsers that a person has signed in with.",
)

one_time_links: Final = Table(
    "one_time_links",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column(
        "purpose", String(32), nullable=False, comment="first-admin, reset-password or invitation"
    ),
    Column("person_id", ForeignKey("people.id")),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("used_at_ms", BigInteger),
)

ledger_rows: Final = Table(
    "ledger_rows",
    metadata,
    Column("request_id", String(128), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("org_id", String(64), nullable=False),
    Column("api_key_id", String(64), nullable=False),
    Column("node_id", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("route", String(64), nullable=False),
    Column("price_version", Integer, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("status", Integer, nullable=False),
    Column("finish_reason", String(64)),
    Column("error_code", String(64)),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("day", String(10), nullable=False, comment="UTC day of started_at_ms"),
    Column("first_token_ms", Float),
    Column("duration_ms", Float),
    Column("delivered_events", Integer),
    Column("delivered_bytes", BigInteger),
    Column("prompt_tokens", BigInteger, nullable=False, comment="billed, as the three below"),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("joules", Float, comment="as the node measured it; null: nobody did"),
    Column("is_uncounted", Boolean, nullable=False, comment="only the node's claim is known"),
    Column("has_difference", Boolean, nullable=False, comment="the two counts do not agree"),
    Column("counted", Text, comment="JSON: the console's own count; null: none"),
    Column("claimed", Text, comment="JSON: the node's count; null: none has come"),
    Column("claim_body", Text, comment="the record's exact bytes, as evidence"),
    Column("claim_signature", Text),
    Column("claim_key_id", String(64)),
    Column("posted_at_ms", BigInteger),
    Column("claimed_at_ms", BigInteger),
    Index("ix_ledger_rows_org_id_started_at_ms", "org_id", "started_at_ms"),
    Index("ix_ledger_rows_org_id_day", "org_id", "day"),
)
