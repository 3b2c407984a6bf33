"""The console: enrolment, the /v1 gateway, routing over nodes, and the ledger."""
