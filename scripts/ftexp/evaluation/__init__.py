"""What a run's eval.py is made of: samples, the model as trained, the scorer. inspect-ai loads it."""
