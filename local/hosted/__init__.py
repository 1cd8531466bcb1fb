"""Models that somebody else hosts: Bedrock, and an API that speaks OpenAI's format, with real small models behind."""
