"""The subcommands of `orpose`, one thin module each: its parser, and the call of what does the work."""
