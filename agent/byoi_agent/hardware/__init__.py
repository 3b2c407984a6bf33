"""What this machine is: accelerators and host as plain data; asked by daemon and CLI."""
