"""Sign-in, one-time links, the device flow, and what an admin may ask of a node."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; nodes of before are their organisation's own and always on."""
    op.create_table(
        "one_time_links",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_one_time_links_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_one_time_links_token_hash")),
    )
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("csrf_secret", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("org_id", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=200), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sign_ins_person_id")),
        sa.ForeignKeyConstraint(["org_id"], ["organisations.id"], name=op.f("fk_sign_ins_org_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sign_ins_token_hash")),
    )
    op.create_index(op.f("ix_sign_ins_person_id"), "sign_ins", ["person_id"], unique=False)
    op.add_column("join_tokens", sa.Column("revoked_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("nodes", sa.Column("machine", sa.String(length=64), nullable=True))
    op.add_column(
        "nodes",
        sa.Column("visibility", sa.String(length=16), nullable=False, server_default="org"),
    )
    op.add_column(
        "nodes", sa.Column("mode", sa.String(length=16), nullable=False, server_default="dedicated")
    )
    op.add_column("nodes", sa.Column("enrolled_by", sa.String(length=64), nullable=True))
    op.add_column("nodes", sa.Column("drained_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("nodes", sa.Column("rotation_ordered_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("nodes", sa.Column("last_models", sa.Text(), nullable=True))
    op.create_index(op.f("ix_nodes_machine"), "nodes", ["machine"], unique=False)
    op.add_column("node_keys", sa.Column("replaces", sa.String(length=64), nullable=True))
    op.add_column("node_keys", sa.Column("first_used_at_ms", sa.BigInteger(), nullable=True))
    op.create_table(
        "device_codes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("device_code_hash", sa.String(length=64), nullable=False),
        sa.Column("user_code", sa.String(length=16), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("machine", sa.String(length=64), nullable=True),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("polled_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("org_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("visibility", sa.String(length=16), nullable=True),
        sa.Column("mode", sa.String(length=16), nullable=True),
        sa.Column("take_over_node_id", sa.String(length=64), nullable=True),
        sa.Column("node_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["org_id"], ["organisations.id"], name=op.f("fk_device_codes_org_id")),
        sa.ForeignKeyConstraint(
            ["take_over_node_id"], ["nodes.id"], name=op.f("fk_device_codes_take_over_node_id")
        ),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.id"], name=op.f("fk_device_codes_node_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_codes")),
        sa.UniqueConstraint("device_code_hash", name=op.f("uq_device_codes_device_code_hash")),
    )
    op.create_index(op.f("ix_device_codes_user_code"), "device_codes", ["user_code"], unique=False)


def downgrade() -> None:
    """Back to the tables of before; who is signed in must sign in again."""
    op.drop_table("device_codes")
    for table, columns in (
        ("node_keys", ("replaces", "first_used_at_ms")),
        (
            "nodes",
            (
                "machine",
                "visibility",
                "mode",
                "enrolled_by",
                "drained_at_ms",
                "rotation_ordered_at_ms",
                "last_models",
            ),
        ),
        ("join_tokens", ("revoked_at_ms",)),
    ):
        if table == "nodes":
            op.drop_index(op.f("ix_nodes_machine"), "nodes")
        for column in columns:
            op.drop_column(table, column)
    op.drop_table("sign_ins")
    op.drop_table("one_time_links")
