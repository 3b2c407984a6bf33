"""What programs and pages call to look after keys, nodes and usage: `/api/*` and enrolment."""
