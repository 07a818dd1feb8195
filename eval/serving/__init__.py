"""A running OpenAI-compatible server against our own rendering and reading: `python -m eval.serving --base-url U --model M`."""
