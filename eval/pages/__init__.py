"""The evaluation's page: what it says, what it draws, and the cases it embeds. Pure; no torch."""
