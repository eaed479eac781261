"""What Kubernetes knows: objects and their identity, kinds, fields, equality, schemas."""
