"""Who is let in, and what a request may cost at the most. docs/security.md says against whom."""
