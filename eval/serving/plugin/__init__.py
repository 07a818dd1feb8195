"""What a vLLM that is tested imports; the folder goes on its PYTHONPATH, so nothing else of this project may lie here."""
