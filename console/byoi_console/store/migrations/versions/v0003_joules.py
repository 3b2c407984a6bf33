"""What a request took of electricity, as its node measured it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Rows of before have none: nobody measured it then."""
    op.add_column("ledger_rows", sa.Column("joules", sa.Float(), nullable=True))


def downgrade() -> None:
    """Forget it; the node's records, which are kept, still say it."""
    op.drop_column("ledger_rows", "joules")
