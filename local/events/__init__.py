"""EventBridge: what an event matches, what a target is given of it, when a schedule is due, and its delivery."""
