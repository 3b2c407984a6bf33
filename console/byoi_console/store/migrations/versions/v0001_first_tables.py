"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of the first version."""
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("details", sa.Text(), nullable=False, comment="JSON: what it was and what it is"),
        sa.Column(
            "hash",
            sa.String(length=64),
            nullable=False,
            comment="SHA-256 over the hash before and this row",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_org_id"), "audit_log", ["org_id"], unique=False)
    op.create_table(
        "console_state",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_console_state")),
        comment="The console's own key, its ticket secret and its origin, the same for every replica.",
    )
    op.create_table(
        "ledger_rows",
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=False),
        sa.Column("api_key_id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=256), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("price_version", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("finish_reason", sa.String(length=64), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("started_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False, comment="UTC day of started_at_ms"),
        sa.Column("first_token_ms", sa.Float(), nullable=True),
        sa.Column("duration_ms", sa.Float(), nullable=True),
        sa.Column("delivered_events", sa.Integer(), nullable=True),
        sa.Column("delivered_bytes", sa.BigInteger(), nullable=True),
        sa.Column(
            "prompt_tokens", sa.BigInteger(), nullable=False, comment="billed, as the three below"
        ),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger(), nullable=False),
        sa.Column(
            "is_uncounted", sa.Boolean(), nullable=False, comment="only the node's claim is known"
        ),
        sa.Column(
            "has_difference", sa.Boolean(), nullable=False, comment="the two counts do not agree"
        ),
        sa.Column(
            "counted", sa.Text(), nullable=True, comment="JSON: the console's own count; null: none"
        ),
        sa.Column(
            "claimed",
            sa.Text(),
            nullable=True,
            comment="JSON: the node's count; null: none has come",
        ),
        sa.Column(
            "claim_body", sa.Text(), nullable=True, comment="the record's exact bytes, as evidence"
        ),
        sa.Column("claim_signature", sa.Text(), nullable=True),
        sa.Column("claim_key_id", sa.String(length=64), nullable=True),
        sa.Column("posted_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("claimed_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("request_id", "attempt", name=op.f("pk_ledger_rows")),
    )
    op.create_index("ix_ledger_rows_org_id_day", "ledger_rows", ["org_id", "day"], unique=False)
    op.create_index(
        "ix_ledger_rows_org_id_started_at_ms",
        "ledger_rows",
        ["org_id", "started_at_ms"],
        unique=False,
    )
    op.create_table(
        "organisations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
    )
    op.create_table(
        "people",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False, comment="lower case"),
        sa.Column("password_hash", sa.Text(), nullable=False, comment="argon2id"),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_people")),
        sa.UniqueConstraint("email", name=op.f("uq_people_email")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False, comment="SHA-256 as hex"),
        sa.Column(
            "prefix", sa.String(length=24), nullable=False, comment="what people may see of the key"
        ),
        sa.Column("models", sa.Text(), nullable=True, comment="JSON list; null: every model"),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("max_concurrent", sa.Integer(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organisations.id"], name=op.f("fk_api_keys_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_index(op.f("ix_api_keys_org_id"), "api_keys", ["org_id"], unique=False)
    op.create_table(
        "join_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("uses_left", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id"], ["organisations.id"], name=op.f("fk_join_tokens_org_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_join_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_join_tokens_token_hash")),
    )
    op.create_table(
        "members",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["organisations.id"], name=op.f("fk_members_org_id")),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_members_person_id")),
        sa.PrimaryKeyConstraint("person_id", "org_id", name=op.f("pk_members")),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "host", sa.Text(), nullable=True, comment="JSON, as the node told it at enrolment"
        ),
        sa.Column("join_token_id", sa.String(length=64), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "last_seen_at_ms", sa.BigInteger(), nullable=True, comment="null: never connected"
        ),
        sa.Column(
            "has_departed", sa.Boolean(), nullable=False, comment="its last word was a goodbye"
        ),
        sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["join_token_id"], ["join_tokens.id"], name=op.f("fk_nodes_join_token_id")
        ),
        sa.ForeignKeyConstraint(["org_id"], ["organisations.id"], name=op.f("fk_nodes_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nodes")),
    )
    op.create_index(op.f("ix_nodes_org_id"), "nodes", ["org_id"], unique=False)
    op.create_table(
        "node_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False, comment="Ed25519, base64"),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column(
            "revoked_at_ms",
            sa.BigInteger(),
            nullable=True,
            comment="proves nothing new; old records stay checkable",
        ),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_node_keys_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node_keys")),
        sa.UniqueConstraint("public_key", name=op.f("uq_node_keys_public_key")),
    )
    op.create_index(op.f("ix_node_keys_node_id"), "node_keys", ["node_id"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    op.drop_index(op.f("ix_node_keys_node_id"), table_name="node_keys")
    op.drop_table("node_keys")
    op.drop_index(op.f("ix_nodes_org_id"), table_name="nodes")
    op.drop_table("nodes")
    op.drop_table("members")
    op.drop_table("join_tokens")
    op.drop_index(op.f("ix_api_keys_org_id"), table_name="api_keys")
    op.drop_table("api_keys")
    op.drop_table("people")
    op.drop_table("organisations")
    op.drop_index("ix_ledger_rows_org_id_started_at_ms", table_name="ledger_rows")
    op.drop_index("ix_ledger_rows_org_id_day", table_name="ledger_rows")
    op.drop_table("ledger_rows")
    op.drop_table("console_state")
    op.drop_index(op.f("ix_audit_log_org_id"), table_name="audit_log")
    op.drop_table("audit_log")
