"""What mail providers report by webhooks: a module each for its signature and its words."""
