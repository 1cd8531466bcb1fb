"""Lambda: the processes that run handlers, and what invoking one means, at once or later."""
