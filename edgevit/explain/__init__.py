"""What a model looks at: patches, attention and Grad-CAM, computed in NumPy from a run."""
