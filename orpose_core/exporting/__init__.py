"""Networks written for other engines."""
