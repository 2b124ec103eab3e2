"""Push messages: what they say on each kind of device, and the ways to the providers that deliver them."""
