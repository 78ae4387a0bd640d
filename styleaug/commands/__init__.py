"""What the subcommands of the command line do, over the public API."""
